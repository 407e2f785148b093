"""Streaming: any number of requests, a few of them held at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos import progress
from tacos.errors import LLMError
from tacos.llm.backend import in_parallel
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM, collect, complete
from tacos.llm.meter import Meter
from tacos.llm.settings import LLMSettings
from tacos.llm.window import BLOCK
from tacos.usage import Ledger

from .helpers import ask, asks, client
from .server import Fault, FaultServer


def echo(request: Request) -> str:
    return f"echo: {request.messages[-1].content}"


def scripted(cache: Path | None = None, **changes: object) -> tuple[CachedLLM, ScriptedLLM]:
    backend = ScriptedLLM(echo)
    chosen = LLMSettings(model="scripted", backend="scripted", **changes)
    return CachedLLM(backend, ReplyCache(cache) if cache else None, Ledger(), chosen), backend


def gather(llm: CachedLLM, requests: Iterable[Request], total: int | None = None) -> dict[int, Completion]:
    async def run() -> dict[int, Completion]:
        found = {}
        async for reply in llm.stream(requests, total):
            assert reply.index not in found
            found[reply.index] = reply.completion
        return found

    return asyncio.run(run())


def test_every_row_gets_its_reply(server: FaultServer, tmp_path: Path) -> None:
    llm = client(server.endpoint, tmp_path / "c.sqlite")
    for _ in range(2):
        found = gather(llm, (request for request in asks(1000)))
        assert {row: reply.text for row, reply in found.items()} == {
            i: f"echo: question {i}" for i in range(1000)
        }
    assert server.hits == 1000
    assert all(reply.cached for reply in found.values())
    assert (llm.ledger.total.calls, llm.ledger.total.cached_calls) == (1000, 1000)


@settings(max_examples=30, deadline=None)
@given(numbers=st.lists(st.integers(0, 40), max_size=600), known=st.sets(st.integers(0, 40)))
def test_any_mixture_of_known_new_and_equal_rows(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], known: set[int]
) -> None:
    llm, backend = scripted(tmp_path_factory.mktemp("stream") / "c.sqlite")
    complete(llm, [ask(f"question {i}") for i in known])
    found = gather(llm, (ask(f"question {i}") for i in numbers))
    assert [found[row].text for row in range(len(numbers))] == [f"echo: question {i}" for i in numbers]
    assert backend.calls == len(known | set(numbers))
    fresh = [numbers[row] for row, reply in found.items() if not reply.cached]
    assert sorted(fresh) == sorted(set(numbers) - known)
    total = llm.ledger.total
    assert (total.calls, total.cached_calls) == (backend.calls, len(known & set(numbers)))
    assert total.calls + total.cached_calls + total.repeated_calls == len(known) + len(numbers)


def test_the_bill_holds_what_was_paid_now_and_when_all_is_known(server: FaultServer, tmp_path: Path) -> None:
    """Rows that ask the same, near each other and far apart: they are on nobody's bill."""
    asked = asks(3 * BLOCK)
    rows = [*asked, asked[0], asked[1], *asked[-2:], asked[0]]
    for run in range(2):
        llm = client(server.endpoint, tmp_path / "c.sqlite")
        gather(llm, iter(rows))
        total = llm.ledger.total
        assert server.hits == len(asked) and total.repeated_calls == 5
        assert (total.calls, total.cached_calls) == ((len(asked), 0) if run == 0 else (0, len(asked)))
        assert total.as_first_paid().calls == len(asked)
        assert total.as_first_paid().prompt_tokens == 10 * len(asked)


class Counted:
    """Requests that know how many of them were pulled."""

    def __init__(self, count: int):
        self.count = count
        self.pulled = 0

    def __iter__(self) -> Iterator[Request]:
        for i in range(self.count):
            self.pulled += 1
            yield ask(f"question {i}")


@pytest.mark.parametrize("cached", [False, True])
def test_only_a_window_is_held(server: FaultServer, tmp_path: Path, cached: bool) -> None:
    llm = client(server.endpoint, tmp_path / "c.sqlite", concurrency=16)
    if cached:
        complete(llm, asks(1500))
    requests, done, most = Counted(1500), 0, 0

    async def run() -> None:
        nonlocal done, most
        async for _ in llm.stream(requests):
            done += 1
            most = max(most, requests.pulled - done)

    asyncio.run(run())
    assert done == 1500
    assert most <= 2 * BLOCK + 16


def test_a_slow_receiver_holds_the_calls_up(server: FaultServer, tmp_path: Path) -> None:
    async def run() -> None:
        llm, done = client(server.endpoint, tmp_path / "c.sqlite", concurrency=8), 0
        async for _ in llm.stream(asks(60)):
            await asyncio.sleep(0.005)
            done += 1
            # The reply at hand and 8 more may be in flight or arrived; the rest is not asked yet.
            assert server.hits <= done + 8

    asyncio.run(run())
    assert server.hits == 60


def test_leaving_early_keeps_what_was_received(server: FaultServer, tmp_path: Path) -> None:
    async def run() -> int:
        llm, received = client(server.endpoint, tmp_path / "c.sqlite"), 0
        async with aclosing(llm.stream(asks(100))) as replies:
            async for _ in replies:
                received += 1
                if received == 30:
                    break
        assert llm.ledger.total.calls == 30
        return received

    assert asyncio.run(run()) == 30
    llm, backend = scripted(tmp_path / "c.sqlite")
    llm.model = "m"
    gather(llm, asks(100))
    assert backend.calls == 70


def test_equal_requests_far_apart_find_the_reply_in_the_cache(tmp_path: Path) -> None:
    llm, backend = scripted(tmp_path / "c.sqlite")
    requests = [ask("same"), *asks(2 * BLOCK), ask("same"), ask("same")]
    found = gather(llm, requests)
    assert backend.calls == 2 * BLOCK + 1
    assert [found[row].cached for row in (0, 2 * BLOCK + 1, 2 * BLOCK + 2)] == [False, True, True]


def test_a_broken_source_is_the_callers_error(server: FaultServer) -> None:
    def requests() -> Iterator[Request]:
        yield from asks(5)
        raise ValueError("line 6 is no JSON")

    with pytest.raises(ValueError, match="line 6"):
        gather(client(server.endpoint), requests())


@pytest.mark.parametrize(
    ("bad", "rows", "stops"), [(3, 10, True), (1, 10, False), (199, 1000, False), (500, 3000, True)]
)
def test_the_failed_share_where_the_number_of_rows_is_unknown(bad: int, rows: int, stops: bool) -> None:
    """Failures come first, where the share of what is done is highest."""
    llm, backend = scripted(max_failed_share=0.2)
    backend._answer = lambda request: (
        ValueError("no")
        if int(request.messages[0].content.split()[1]) in range(1, bad + 1)
        else echo(request)
    )
    if stops:
        with pytest.raises(LLMError, match=r"calls failed .*ValueError: no"):
            gather(llm, (request for request in asks(rows)))
    else:
        assert sum(c.text is None for c in gather(llm, (request for request in asks(rows))).values()) == bad


def test_in_parallel_pulls_the_next_item_when_the_result_was_dealt_with() -> None:
    async def run() -> None:
        pulled = 0

        def items() -> Iterator[int]:
            nonlocal pulled
            for i in range(50):
                pulled += 1
                yield i

        async def work(item: int) -> int:
            await asyncio.sleep(0)
            return item

        seen = 0
        async for _ in in_parallel(work, items(), 4):
            for _ in range(5):
                await asyncio.sleep(0)
            seen += 1
            assert pulled <= seen + 3
        assert seen == 50

    asyncio.run(run())


class Stuttering(ScriptedLLM):
    """Lets the loop run between replies."""

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        async for reply in super().stream(requests):
            await asyncio.sleep(0)
            yield reply


def test_two_streams_at_once_share_a_client(tmp_path: Path) -> None:
    llm, _ = scripted(tmp_path / "c.sqlite")
    llm.backend = Stuttering(echo)

    async def run() -> list[list[Completion]]:
        return list(await asyncio.gather(collect(llm, asks(50)), collect(llm, asks(90)[40:])))

    first, second = asyncio.run(run())
    assert [c.text for c in first + second] == [echo(r) for r in asks(50) + asks(90)[40:]]


def test_a_line_is_logged_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "LOG_S", 0.01)

    async def slow() -> None:
        async for _ in llm.stream(asks(3)):
            while "scripted: " not in caplog.text:  # a row that takes long, and is not waited for in silence
                await asyncio.sleep(0.01)

    llm, _ = scripted(price_per_million_input=1.0, price_per_million_output=1.0)
    asyncio.run(slow())
    line = next(record.message for record in caplog.records if "rows" in record.message)
    assert line.startswith("scripted: 1 of ") and "/s, " in line and "tokens, $0.00" in line


def test_what_the_meter_says() -> None:
    chosen = LLMSettings(model="m", price_per_million_input=1.0, price_per_million_output=10.0)
    shown = Meter("scorer", 52_002, chosen, bar=False)
    shown._began -= 100.0
    for _ in range(3100):
        shown.asked(Completion(text="x", prompt_tokens=1000, completion_tokens=100))
    for _ in range(900):
        shown.known()
    assert shown.describe().startswith("scorer: 4,000 of 52,002 rows, 31/s, 3.4M tokens, $6.20, 25 min ")
    assert Meter("m", None, LLMSettings(model="m"), bar=False).describe() == "m: 0 rows, 0/s, 0 tokens"


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter("tagger", 2, LLMSettings(model="m"), bar=True) as shown:
        shown.asked(Completion(text="x", prompt_tokens=1, completion_tokens=1))
        shown.known()
    assert "tagger" in (drawn := capsys.readouterr().err) and "2/2" in drawn and "2 tokens" in drawn


def test_failures_of_equal_rows(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.REFUSED if content == "question 1" else Fault.OK
    llm = client(server.endpoint)
    found = gather(llm, [*asks(10), ask("question 1")])
    assert found[1].error == found[10].error and server.asked["question 1"] == 1
    assert llm.ledger.total.failed_calls == 1
