"""The OpenAI backend against a real server: `transformers serve` with a tiny LLaMA, on 127.0.0.1."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tacos.llm.base import Sampling
from tacos.llm.build import build_llm
from tacos.llm.client import complete
from tacos.llm.settings import LLMSettings
from tacos.usage import Ledger

from .helpers import ask, texts
from .serving import serving
from .work import check, work


@pytest.fixture(scope="module")
def served(taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running server."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    program = Path(sys.executable).with_name("transformers")
    with serving([str(program), "serve", str(taught_model), "--device", "cpu"], log) as url:
        yield url


@pytest.mark.slow
def test_a_real_server_answers(served: str, taught_model: Path, tmp_path: Path) -> None:
    ledger = Ledger()
    settings = LLMSettings(model=str(taught_model), endpoint=served, concurrency=2, api_key_env="UNSET_KEY")
    requests = [
        ask(text, sampling=Sampling(max_tokens=8), may_be_cut=True)
        for text in ("the quick fox", "a lazy dog")
    ]
    llm = build_llm(settings, ledger, tmp_path / "cache.sqlite")
    first = complete(llm, requests)
    assert all(c.text is not None and c.error is None for c in first), first
    assert all(c.prompt_tokens > 0 and 1 <= c.completion_tokens <= 8 for c in first)
    assert texts(complete(llm, requests)) == texts(first)
    assert (ledger.total.calls, ledger.total.cached_calls) == (2, 2)


@pytest.mark.slow
def test_tagging_scoring_and_judging_by_a_real_server(
    served: str, taught_model: Path, tmp_path: Path
) -> None:
    ledger = Ledger()
    settings = LLMSettings(model=str(taught_model), endpoint=served, concurrency=4, api_key_env="UNSET_KEY")
    llm = build_llm(settings, ledger, tmp_path / "cache.sqlite")
    done = work(llm)
    check(done, ledger, structured=False)
    paid, again = ledger.total, work(llm)
    assert (again.tags, again.verdicts) == (done.tags, done.verdicts)
    assert ledger.total.calls == paid.calls
