"""The caps under 64 calls in flight, and the sums they rest on."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.errors import SpendCapError
from tacos.llm.base import Completion, Sampling
from tacos.llm.bill import Bill, Tokens
from tacos.llm.cache import ReplyCache
from tacos.llm.client import complete
from tacos.llm.settings import LLMSettings
from tacos.llm.spend import SpendGate, usage_of
from tacos.usage import Ledger, Usage

from .helpers import ask, asks, client, echoes, texts
from .server import Fault, FaultServer

PRICES = {"price_per_million_input": 1.0, "price_per_million_output": 2.0}
ROWS = 1500


@pytest.mark.parametrize(
    "cap", [{"max_tokens_total": 9000}, {"max_cost_usd": 0.012, **PRICES}], ids=["tokens", "money"]
)
def test_the_cap_holds_with_64_in_flight(server: FaultServer, tmp_path: Path, cap: dict[str, Any]) -> None:
    """A call costs 15 tokens, or $0.00002: 600 fit under either cap."""
    server.delay_s = 0.002
    requests, ledger = asks(ROWS, max_tokens=20), Ledger()
    llm = client(server.endpoint, tmp_path / "c.sqlite", ledger, concurrency=64, **cap)
    with pytest.raises(SpendCapError, match=r"and [\d,]+ calls left; raise the cap"):
        complete(llm, requests)
    assert 597 <= server.hits == ledger.total.calls <= 600
    with pytest.raises(SpendCapError):
        complete(llm, requests)
    again = client(server.endpoint, tmp_path / "c.sqlite", concurrency=64, **cap)
    with pytest.raises(SpendCapError):  # what an earlier run paid is on the bill
        complete(again, requests)
    assert server.hits <= 600
    raised = client(server.endpoint, tmp_path / "c.sqlite", concurrency=64)
    assert texts(complete(raised, requests)) == echoes(requests)
    assert server.hits == ROWS


def test_a_server_that_bills_more_than_estimated_overshoots_by_the_calls_in_flight(
    server: FaultServer,
) -> None:
    """The prompt is estimated at 7 tokens, billed at 10; the reply at 5, billed at 5."""
    server.delay_s = 0.002
    ledger = Ledger()
    with pytest.raises(SpendCapError):
        complete(
            client(server.endpoint, ledger=ledger, concurrency=64, max_tokens_total=5000),
            asks(ROWS, max_tokens=5),
        )
    total = ledger.total.prompt_tokens + ledger.total.completion_tokens
    assert 5000 - 15 < total <= 5000 + 64 * (15 - 12)


def test_failed_calls_that_were_billed_count(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.EMPTY if content == "question 0" else Fault.OK
    ledger = Ledger()
    llm = client(server.endpoint, ledger=ledger, concurrency=1, max_attempts=4, max_tokens_total=200)
    with pytest.raises(SpendCapError):
        complete(llm, asks(50, max_tokens=10))
    assert (ledger.total.prompt_tokens, ledger.total.failed_calls) == (10 * (4 + ledger.total.calls), 1)


completions = st.builds(
    Completion,
    text=st.none() | st.just("x"),
    prompt_tokens=st.integers(0, 10**6),
    completion_tokens=st.integers(0, 10**6),
    cached=st.booleans(),
)


@given(st.lists(completions), st.sampled_from([PRICES, {}]))
def test_usage_adds_up(rows: list[Completion], prices: dict[str, float]) -> None:
    chosen = LLMSettings(model="m", **prices)
    together = usage_of(rows, chosen)
    one_by_one = sum((usage_of([row], chosen) for row in rows), Usage())
    assert together.cost_usd == pytest.approx(one_by_one.cost_usd)
    assert together.cached_cost_usd == pytest.approx(one_by_one.cached_cost_usd)
    money = {"cost_usd": 0.0, "cached_cost_usd": 0.0}
    assert together.model_copy(update=money) == one_by_one.model_copy(update=money)
    assert together.calls + together.cached_calls + together.failed_calls == len(rows)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=60), st.integers(1, 2000))
def test_the_gate_never_lets_out_more_than_fits(steps: list[tuple[int, bool]], cap: int) -> None:
    """Calls go out and come back in any order; at no time could the replies exceed the cap."""
    gate = SpendGate(LLMSettings(model="m", max_tokens_total=cap))
    flight: list[tuple[int, Any]] = []
    for number, (limit, settle_one) in enumerate(steps):
        request = ask("x" * limit, sampling=Sampling(max_tokens=limit))
        if (ticket := gate.admit(request)) is not None:
            flight.append((ticket, request))
        if settle_one and flight:
            ticket, done = flight.pop(0)
            reply = Completion(text="x", prompt_tokens=4, completion_tokens=done.sampling.max_tokens)
            gate.settle(ticket, number.to_bytes(4, "big"), done, reply)
        worst = sum(4 + -(-len(r.messages[0].content) // 4) + r.sampling.max_tokens for _, r in flight)
        assert gate.tokens + worst <= cap


@pytest.mark.parametrize(
    "limit",
    [
        {"max_completion_tokens": 900},
        {"extra_body": {"max_tokens": 900}},
        {"extra_body": {"max_completion_tokens": 900}},
    ],
)
def test_the_cap_reserves_the_reply_that_a_server_is_allowed(limit: dict[str, Any]) -> None:
    """A reasoning model may write 900 tokens where the part asks for 5."""
    request = ask("q", sampling=Sampling(max_tokens=5))
    settings = LLMSettings.model_validate({"model": "m", "max_tokens_total": 1000, **limit})
    gate = SpendGate(settings)
    ticket = gate.admit(request)
    assert ticket is not None and gate.admit(request) is None
    gate.settle(ticket, b"k", request, Completion(text="a", prompt_tokens=5, completion_tokens=20))
    assert gate.admit(request) is not None and gate.tokens == 25


def test_calls_of_a_run_that_was_stopped_are_told_apart_from_all_that_was_spent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Paid: 200,000 prompt tokens, $0.20. In flight when the process ended: 2 calls of 10 and 20 tokens."""
    kept = ReplyCache(tmp_path / "c.sqlite")
    bill = Bill(kept, "tacos/tagger")
    first = bill.reserve(200_000, 20, lambda total: True)
    assert first is not None
    bill.settle(first, b"k", 200_000, Tokens(200_000, 20))
    bill.owner = f"{socket.gethostname()}/{2**22 + 1}/0.0/0"  # no process has that number
    assert None not in [bill.reserve(10, 20, lambda total: True) for _ in range(2)]
    SpendGate(LLMSettings(model="m", max_cost_usd=5, **PRICES), kept, "tacos/tagger")
    assert (
        "m: 2 calls of a run that was stopped were in flight and count as paid, with 60 tokens ($0.00010); "
        "spent so far, these included: $0.20 of max_cost_usd=5"
    ) in caplog.text
