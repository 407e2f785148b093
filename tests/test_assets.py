"""Benchmark files: from a folder, from the cache, or downloaded and checked."""

from __future__ import annotations

import functools
import hashlib
import http.server
import logging
import threading

import pytest

from tacos import assets
from tacos.assets import PINNED, Assets, Pinned, download
from tacos.errors import ConfigError, TacosError

NAME = "mt_bench/question.jsonl"
CONTENT = b'{"question_id": 1}\n'


@pytest.fixture
def pinned(monkeypatch):
    """A small file in place of upstream's."""
    own = Pinned(url="https://example.org/q", sha256=hashlib.sha256(CONTENT).hexdigest(), reconstructed=None)
    monkeypatch.setattr(assets, "PINNED", {**PINNED, NAME: own})
    return own


class Server:
    """Hands out one content and counts."""

    def __init__(self, content=CONTENT):
        self.content, self.urls = content, []

    def __call__(self, url):
        self.urls.append(url)
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


def test_a_download_is_kept_and_asked_for_once(tmp_path, pinned):
    server = Server()
    path = Assets(None, tmp_path, server).path(NAME)
    assert path == tmp_path / NAME and path.read_bytes() == CONTENT
    assert Assets(None, tmp_path, server).path(NAME) == path
    assert server.urls == [pinned.url]
    assert [p.name for p in path.parent.iterdir()] == ["question.jsonl"]


def test_other_bytes_are_refused_by_name_and_not_kept(tmp_path, pinned):
    with pytest.raises(
        TacosError, match=r"mt_bench/question.jsonl from https://example.org/q is not the pin"
    ):
        Assets(None, tmp_path, Server(b"other")).path(NAME)
    assert not (tmp_path / NAME).exists()


def test_a_changed_cache_is_downloaded_again(tmp_path, pinned, caplog):
    server = Server()
    Assets(None, tmp_path, server).path(NAME).write_bytes(b"torn")
    assert Assets(None, tmp_path, server).path(NAME).read_bytes() == CONTENT
    assert len(server.urls) == 2 and "has been changed" in caplog.text


def test_no_network_says_what_to_do(tmp_path, pinned):
    with pytest.raises(TacosError, match=r"cannot download .* no route; .*TACOS_ASSETS"):
        Assets(None, tmp_path, Server(OSError("no route"))).path(NAME)
    untrusted = OSError("[SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer certificate")
    with pytest.raises(TacosError, match="certificates in SSL_CERT_FILE"):
        Assets(None, tmp_path, Server(untrusted)).path(NAME)


def test_a_folder_is_used_without_a_download(tmp_path, pinned, caplog):
    folder = tmp_path / "own"
    (folder / "mt_bench").mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENT)
    server = Server()
    assert Assets(folder, tmp_path / "cache", server).path(NAME) == folder / NAME
    assert not server.urls and not caplog.text


def test_a_newer_file_in_a_folder_is_taken_with_a_warning(tmp_path, pinned, caplog):
    (tmp_path / "mt_bench").mkdir()
    (tmp_path / NAME).write_bytes(b"newer")
    own = Assets(tmp_path, tmp_path / "cache", Server())
    assert own.path(NAME).read_bytes() == own.path(NAME).read_bytes() == b"newer"
    assert caplog.text.count("is not the pinned file") == 1


def test_what_a_folder_lacks_is_downloaded(tmp_path, pinned, caplog):
    folder = tmp_path / "own"
    folder.mkdir()
    assert Assets(folder, tmp_path / "cache", Server()).path(NAME) == tmp_path / "cache" / NAME
    assert "has no mt_bench/question.jsonl" in caplog.text


def test_wrong_names_are_answered(tmp_path):
    with pytest.raises(ConfigError, match=r"did you mean 'mt_bench/question.jsonl'"):
        Assets(None, tmp_path).path("mt_bench/questions.jsonl")
    with pytest.raises(ConfigError, match="no assets folder"):
        Assets(tmp_path / "nowhere", tmp_path).path(NAME)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, pinned):
    (tmp_path / "mt_bench").write_text("a file in the way")
    with pytest.raises(TacosError, match="cannot write"):
        Assets(None, tmp_path, Server()).path(NAME)


def test_downloads_over_http(tmp_path, pinned, monkeypatch):
    """The real fetch, against a server on this machine."""
    (tmp_path / "q").write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        moved = {NAME: pinned.model_copy(update={"url": f"{base}/q"})}
        monkeypatch.setattr(assets, "PINNED", moved)
        assert Assets(None, tmp_path / "cache").path(NAME).read_bytes() == CONTENT
        monkeypatch.setattr(assets, "PINNED", {NAME: pinned.model_copy(update={"url": f"{base}/none"})})
        with pytest.raises(TacosError, match="404"):
            Assets(None, tmp_path / "empty", download).path(NAME)
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


def test_every_file_is_pinned_by_commit_and_hash():
    for pinned in PINNED.values():
        assert pinned.url.startswith("https://") and len(pinned.sha256) == 64
        assert any(len(part) == 40 for part in pinned.url.split("/"))


def test_real_assets_are_the_pinned_ones(shared, tmp_path, caplog):
    found = Assets(shared / "assets", tmp_path, Server(OSError("no download")))
    with caplog.at_level(logging.WARNING):
        paths = [found.path(name) for name in PINNED if (shared / "assets" / name).is_file()]
    assert len(paths) > 20 and not caplog.text
