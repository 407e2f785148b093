"""Proxies and certificates from the environment."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from tacos.errors import ConfigError
from tacos.llm.backends.hints import certificate_hint
from tacos.llm.backends.network import Route, route_to, trusted
from tacos.llm.client import complete

from .helpers import ask, client
from .server import FaultServer, reply


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in (
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
        ):
            monkeypatch.delenv(name)


def route(url: str) -> Route:
    return route_to(URL(url))


def test_a_proxy_is_taken_by_scheme_and_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert route("http://judge.test/v1") == Route()
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@proxy:3128")
    monkeypatch.setenv("no_proxy", ".internal")
    assert route("http://judge.test/v1") == Route(URL("http://proxy:3128"), "me", "secret")
    assert route("https://judge.test/v1") == Route()
    assert route("http://judge.internal/v1") == Route()
    monkeypatch.setenv("ALL_PROXY", "other:80")
    assert route("https://judge.test/v1").proxy == URL("http://other:80")


@pytest.mark.parametrize("here", ["http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1"])
def test_this_machine_is_reached_without_a_proxy(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert route(here) == Route()


def test_a_proxy_of_another_kind_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy:1080")
    with pytest.raises(ConfigError, match=r"ALL_PROXY names a socks5 proxy.*NO_PROXY"):
        route("https://judge.test/v1")


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that answers every request itself: its URL, and what it was asked."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path if hasattr(request, "raw_path") else str(request.url))
        return web.json_response(reply("by proxy"))

    async def start() -> int:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    yield f"http://127.0.0.1:{port}", asked
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


def test_calls_go_through_the_proxy(proxy: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, asked = proxy
    monkeypatch.setenv("http_proxy", url)
    assert complete(client("http://judge.internal.test/v1"), [ask("q")])[0].text == "by proxy"
    assert len(asked) == 1 and asked[0].endswith("/v1/chat/completions")


def test_a_bundle_that_is_none_is_named_by_its_variable(tmp_path: Path) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        with pytest.raises(ConfigError, match=rf"{name} names .*no\.pem, which holds no certificates"):
            trusted({name: str(tmp_path / "no.pem")})
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="holds no certificates"):
        trusted({"SSL_CERT_FILE": str(tmp_path / "bad.pem")})


def test_a_secure_connection_that_fails_is_the_rows_error_with_what_helps(server: FaultServer) -> None:
    (found,) = complete(client(server.endpoint.replace("http:", "https:"), max_failed_share=1.0), [ask("q")])
    assert "write http:// in llms.<name>.endpoint" in (found.error or "") and server.hits == 0
    untrusted = "certificate verify failed: unable to get local issuer certificate"
    assert "SSL_CERT_FILE" in certificate_hint(untrusted)
