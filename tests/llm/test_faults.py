"""Thousands of rows against a server that fails one time in ten, in every way at once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tacos.llm.backends.openai import OpenAIBackend
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM, complete
from tacos.llm.settings import LLMSettings
from tacos.usage import Ledger

from .helpers import asks, client, echoes, texts
from .server import Fault, FaultServer

ROWS = 2000
PASSING = [
    Fault.LIMITED,
    Fault.LIMITED_AFTER,
    Fault.BROKEN,
    Fault.UNAVAILABLE,
    Fault.RESET,
    Fault.GARBAGE,
    Fault.EMPTY,
    Fault.NOTHING,
    Fault.TRUNCATED,
]


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.NOTHING, Fault.TRUNCATED])
def test_a_fault_that_passes(server: FaultServer, fault: Fault) -> None:
    server.plan = lambda content, times: fault if times == 1 else Fault.OK
    assert texts(complete(client(server.endpoint), asks(20))) == echoes(asks(20))
    assert set(server.asked.values()) == {2}


def test_one_try_in_ten_fails_and_nothing_is_lost_or_doubled(server: FaultServer, tmp_path: Path) -> None:
    draw = random.Random(0)
    hopeless = {f"question {i}" for i in range(0, ROWS, 100)}  # refused for good: too long
    silent = {f"question {i}" for i in range(1, 9)}  # a few: each holds its place for the whole time limit

    def plan(content: str, times: int) -> Fault:
        if content in hopeless:
            return Fault.TOO_LONG
        if content in silent and times == 1:
            return Fault.SILENT
        return draw.choice(PASSING) if draw.random() < 0.1 else Fault.OK

    async def hardly(seconds: float) -> None:
        """The waits are tested elsewhere."""

    server.plan = plan
    chosen = LLMSettings(model="m", endpoint=server.endpoint, concurrency=32, timeout_s=5.0, max_attempts=12)
    ledger, cache = Ledger(), ReplyCache(tmp_path / "c.sqlite")
    llm = CachedLLM(OpenAIBackend(chosen, sleep=hardly), cache, ledger, chosen)
    requests = asks(ROWS)
    found = complete(llm, requests)
    for request, text, completion in zip(requests, echoes(requests), found, strict=True):
        if request.messages[0].content in hopeless:
            assert completion.text is None and "maximum context length" in (completion.error or "")
        else:
            assert completion.text == text
    assert set(server.answered.values()) == {1}  # no answered row was asked again
    assert server.answered.total() == ROWS - len(hopeless) == ledger.total.calls
    assert all(server.asked[content] == 1 for content in hopeless)
    assert ledger.total.failed_calls == len(hopeless)
    assert len(cache.get([llm.key(request) for request in requests])) == ROWS - len(hopeless)

    server.plan = lambda content, times: Fault.OK
    assert texts(complete(llm, requests)) == echoes(requests)
    assert set(server.answered.values()) == {1}  # the second run asked for what failed, and nothing else
