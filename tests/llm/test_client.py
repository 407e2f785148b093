"""The client around any backend: pay once, stop at the cap, keep order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tacos.errors import ConfigError, LLMError, SpendCapError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Reply, Request
from tacos.llm.build import build_llm
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM, complete
from tacos.llm.settings import LLMSettings
from tacos.usage import Ledger, Usage

from .helpers import ask, asks, client, echoes, texts
from .server import FaultServer


def echo(request: Request) -> str:
    return f"echo: {request.messages[-1].content}"


def scripted(
    cache: Path | None = None, answer: Callable[[Request], str | Exception] = echo, **settings: Any
) -> tuple[CachedLLM, ScriptedLLM]:
    backend = ScriptedLLM(answer)
    chosen = LLMSettings(model="scripted", backend="scripted", **settings)
    return CachedLLM(backend, ReplyCache(cache) if cache else None, Ledger(), chosen), backend


def test_the_second_run_asks_nothing(server: FaultServer, tmp_path: Path) -> None:
    requests, ledger = asks(100), Ledger()
    first = complete(client(server.endpoint, tmp_path / "c.sqlite"), requests)
    second = complete(client(server.endpoint, tmp_path / "c.sqlite", ledger), requests)
    assert server.hits == 100
    assert texts(second) == texts(first) == echoes(requests)
    expected = Usage(
        cached_calls=100, cached_prompt_tokens=1000, cached_completion_tokens=500, cached_unpriced_calls=100
    )
    assert ledger.total == expected
    assert (expected.as_first_paid().calls, expected.as_first_paid().prompt_tokens) == (100, 1000)
    assert all(c.cached for c in second) and not any(c.cached for c in first)


def test_another_endpoint_is_the_same_question(tmp_path: Path) -> None:
    for _ in range(2):
        with FaultServer() as server:
            complete(client(server.endpoint, tmp_path / "c.sqlite"), asks(5))
    assert server.hits == 0


def test_equal_requests_are_asked_once() -> None:
    llm, backend = scripted()
    completions = complete(llm, [ask("a"), ask("b"), ask("a"), ask("a", repeat=1)])
    assert texts(completions) == ["echo: a", "echo: b", "echo: a", "echo: a"]
    assert [c.cached for c in completions] == [False, False, True, False]
    assert backend.calls == llm.ledger.total.calls == 3
    assert (llm.ledger.total.cached_calls, llm.ledger.total.repeated_calls) == (0, 1)


def test_errors_are_rows_and_are_asked_again(tmp_path: Path) -> None:
    def answer(request: Request) -> str | Exception:
        return ValueError("no") if request.messages[0].content == "question 0" and broken else echo(request)

    broken = True
    llm, backend = scripted(tmp_path / "c.sqlite", answer)
    completions = complete(llm, asks(10))
    assert completions[0].error == "ValueError: no" and completions[0].text is None
    assert llm.ledger.total.failed_calls == 1
    broken = False
    assert texts(complete(llm, asks(10))) == echoes(asks(10))
    assert backend.calls == 11


def test_no_requests() -> None:
    assert complete(scripted()[0], []) == []


def test_without_a_cache_every_run_pays() -> None:
    llm, backend = scripted()
    complete(llm, asks(3))
    complete(llm, asks(3))
    assert backend.calls == 6


def test_complete_inside_a_running_loop() -> None:
    async def notebook_cell() -> list[str | None]:
        return texts(complete(scripted()[0], asks(2)))

    assert asyncio.run(notebook_cell()) == echoes(asks(2))


def test_an_interrupted_run_keeps_what_was_paid(tmp_path: Path) -> None:
    def answer(request: Request) -> str:
        if request.messages[0].content == "question 7":
            raise KeyboardInterrupt
        return echo(request)

    llm, _ = scripted(tmp_path / "c.sqlite", answer)
    with pytest.raises(KeyboardInterrupt):
        complete(llm, asks(10))
    again, backend = scripted(tmp_path / "c.sqlite")
    complete(again, asks(10))
    assert backend.calls == 3


def test_the_token_cap_is_never_passed_and_a_raised_cap_continues(
    server: FaultServer, tmp_path: Path
) -> None:
    # Each call really costs 15 tokens and reserves 7 + 50, so the last call may go out at 943.
    requests, ledger = asks(200, max_tokens=50), Ledger()
    with pytest.raises(SpendCapError, match=r"of max_tokens_total=1,000 tokens spent and \d+ calls left"):
        complete(client(server.endpoint, tmp_path / "c.sqlite", ledger, max_tokens_total=1000), requests)
    total = ledger.total.prompt_tokens + ledger.total.completion_tokens
    assert 1000 - 57 < total <= 1000
    assert total == 15 * server.hits
    complete(client(server.endpoint, tmp_path / "c.sqlite"), requests)
    assert server.hits == 200


def test_the_money_cap(server: FaultServer) -> None:
    # A call costs 10 * $1 + 5 * $2 per million = $0.00002.
    prices = {"price_per_million_input": 1.0, "price_per_million_output": 2.0}
    ledger = Ledger()
    with pytest.raises(SpendCapError, match=r"max_cost_usd=0\.001"):
        complete(
            client(server.endpoint, ledger=ledger, max_cost_usd=0.001, **prices), asks(200, max_tokens=20)
        )
    assert 0.0009 < ledger.total.cost_usd <= 0.001


def test_the_cap_holds_over_calls() -> None:
    llm, backend = scripted(max_tokens_total=100)
    requests = asks(20, max_tokens=10)
    with pytest.raises(SpendCapError):
        for request in requests:
            complete(llm, [request])
    assert llm.ledger.total.prompt_tokens + llm.ledger.total.completion_tokens <= 100
    assert 0 < backend.calls < 20


def test_a_cap_nothing_fits_under_sends_nothing(server: FaultServer) -> None:
    with pytest.raises(SpendCapError):
        complete(client(server.endpoint, max_tokens_total=5), asks(1))
    assert server.hits == 0


def test_one_call_is_told_as_one(server: FaultServer) -> None:
    with pytest.raises(SpendCapError, match="spent and 1 call left;"):
        complete(client(server.endpoint, max_tokens_total=3), asks(1))
    llm, _ = scripted(answer=lambda request: RuntimeError("boom"))
    with pytest.raises(LLMError, match="1 of 1 call failed"):
        complete(llm, asks(1))


def test_the_cached_part_is_free(tmp_path: Path) -> None:
    llm, _ = scripted(tmp_path / "c.sqlite")
    complete(llm, asks(10))
    capped, backend = scripted(tmp_path / "c.sqlite", max_tokens_total=1)
    assert len(complete(capped, asks(10))) == 10 and backend.calls == 0


def test_the_failed_share_stops_any_backend() -> None:
    llm, backend = scripted(answer=lambda request: RuntimeError("boom"))
    with pytest.raises(LLMError, match=r"20 of 20 calls failed, 4,980 not sent .*RuntimeError: boom"):
        complete(llm, asks(5000))
    assert backend.calls == 20


@pytest.mark.parametrize(
    ("failing", "count", "share", "stops"),
    [(1, 3, 0.2, False), (2, 3, 0.2, True), (1, 1, 0.2, True), (1, 3, 0.0, True), (3, 3, 1.0, False)],
)
def test_the_failed_share_of_a_small_call(failing: int, count: int, share: float, stops: bool) -> None:
    bad = {f"question {i}" for i in range(failing)}

    def answer(request: Request) -> str | Exception:
        return RuntimeError("boom") if request.messages[0].content in bad else echo(request)

    llm, _ = scripted(answer=answer, max_failed_share=share)
    if stops:
        with pytest.raises(LLMError):
            complete(llm, asks(count))
    else:
        assert texts(complete(llm, asks(count))) == [None] * failing + echoes(asks(count))[failing:]


def test_a_reply_is_on_disk_while_others_are_awaited(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"

    class Slow(ScriptedLLM):
        async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
            async for reply in super().stream(requests):
                yield reply
                while not stored():
                    await asyncio.sleep(0.05)

    def stored() -> int:
        with sqlite3.connect(path) as other:
            return int(other.execute("SELECT count(*) FROM replies").fetchone()[0])

    llm, _ = scripted(path)
    llm.backend = Slow(echo)
    assert len(complete(llm, asks(2))) == 2


def test_build_llm_refuses_what_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="price_per_million_input"):
        build_llm(LLMSettings(model="m", max_cost_usd=1.0, price_per_million_input=1.0), Ledger(), None)
    with pytest.raises(ConfigError, match="for tests"):
        build_llm(LLMSettings(model="m", backend="scripted"), Ledger(), None)


def test_build_llm_reads_the_named_key(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "abc")
    settings = LLMSettings(model="m", endpoint=server.endpoint, api_key_env="SOME_KEY")
    complete(build_llm(settings, Ledger(), tmp_path / "c.sqlite"), asks(1))
    complete(build_llm(settings.model_copy(update={"api_key_env": "UNSET_KEY"}), Ledger(), None), asks(1))
    assert server.headers[0]["Authorization"] == "Bearer abc"
    assert "Authorization" not in server.headers[1]
