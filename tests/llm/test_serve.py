"""The OpenAI backend against a real server: `transformers serve` with a random LLaMA, on 127.0.0.1."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tacos.grouping.tagging import LLMTagger, TaggingSettings
from tacos.llm.base import LLMSettings, Sampling
from tacos.llm.client import build_llm, complete
from tacos.scoring.comparative import ComparativeSettings, LLMComparator, comparative_scores
from tacos.tracking import Ledger
from tacos.types import Groups, Pool, make_sample

from .helpers import ask, texts
from .server import dead_port

START_S = 120


@pytest.fixture(scope="module")
def served(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running server."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    port = dead_port()
    program = Path(sys.executable).with_name("transformers")
    command = [
        str(program),
        "serve",
        str(tiny_model),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
    try:
        _wait_until_up(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.mark.slow
def test_a_real_server_answers(served: str, tiny_model: Path, tmp_path: Path) -> None:
    ledger = Ledger()
    settings = LLMSettings(model=str(tiny_model), endpoint=served, concurrency=2, api_key_env="UNSET_KEY")
    requests = [ask(text, sampling=Sampling(max_tokens=8)) for text in ("the quick fox", "a lazy dog")]
    llm = build_llm(settings, ledger, tmp_path / "cache.sqlite")
    first = complete(llm, requests)
    assert all(c.text is not None and c.error is None for c in first), first
    assert all(c.prompt_tokens > 0 and 1 <= c.completion_tokens <= 8 for c in first)
    assert texts(complete(llm, requests)) == texts(first)
    assert (ledger.total.calls, ledger.total.cached_calls) == (2, 2)


@pytest.mark.slow
def test_tagging_and_scoring_go_through_a_real_server(served: str, tiny_model: Path, tmp_path: Path) -> None:
    """A random model writes nothing sensible: every row must come back as read or as unreadable, none lost."""
    pool = Pool.from_samples(make_sample(f"Question {i}?", f"Answer {i}.", id=f"s{i}") for i in range(5))
    ledger, short = Ledger(), Sampling(max_tokens=8)
    settings = LLMSettings(model=str(tiny_model), endpoint=served, concurrency=2, api_key_env="UNSET_KEY")
    llm = build_llm(settings, ledger, tmp_path / "cache.sqlite")
    tags = LLMTagger(TaggingSettings(by="llm", sampling=short), llm).tag(pool)
    comparing = ComparativeSettings(by="llm", sampling=short)
    scores = comparative_scores(pool, Groups.one(5), LLMComparator(comparing, llm), comparing, seed=0)
    assert len(tags.rows) == 5
    assert all(bool(row) != (i in tags.errors) for i, row in enumerate(tags.rows))
    assert all("unreadable" in why for why in [*tags.errors.values(), *scores.errors.values()])
    assert (ledger.total.calls, ledger.total.failed_calls) == (5 + 3, 0)
