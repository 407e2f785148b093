"""The OpenAI backend against a server that fails on purpose: nothing lost, nothing doubled."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tacos.errors import ConfigError, LLMError
from tacos.llm.backends.openai import OpenAIBackend
from tacos.llm.base import Sampling
from tacos.llm.client import complete
from tacos.llm.settings import LLMSettings
from tacos.usage import Ledger

from .helpers import ask, asks, client, echoes, texts
from .server import RETRY_AFTER_S, Fault, FaultServer, dead_port

PASSING = [Fault.LIMITED, Fault.LIMITED_AFTER, Fault.BROKEN, Fault.RESET, Fault.GARBAGE, Fault.EMPTY]


def test_answers_come_in_order_and_once(server: FaultServer) -> None:
    requests = asks(100)
    ledger = Ledger()
    assert texts(complete(client(server.endpoint, ledger=ledger), requests)) == echoes(requests)
    assert set(server.asked.values()) == {1}
    assert (ledger.total.calls, ledger.total.prompt_tokens, ledger.total.completion_tokens) == (
        100,
        1000,
        500,
    )


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_tried_again(server: FaultServer, fault: Fault) -> None:
    server.plan = lambda content, times: fault if times == 1 else Fault.OK
    requests = asks(20)
    assert texts(complete(client(server.endpoint), requests)) == echoes(requests)
    assert set(server.asked.values()) == {2}


def test_a_silent_server_is_tried_again(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.SILENT if times == 1 else Fault.OK
    requests = asks(3)
    assert texts(complete(client(server.endpoint, timeout_s=1.0), requests)) == echoes(requests)


@pytest.mark.parametrize("fault", [*PASSING, Fault.REFUSED])
def test_a_fault_that_stays_is_the_rows_error(server: FaultServer, fault: Fault) -> None:
    server.plan = lambda content, times: fault if content == "question 3" else Fault.OK
    requests = asks(10)
    completions = complete(client(server.endpoint, max_attempts=3, outage_s=0), requests)
    assert texts(completions) == [None if i == 3 else text for i, text in enumerate(echoes(requests))]
    assert completions[3].error
    assert server.asked["question 3"] == (1 if fault is Fault.REFUSED else 3)


def test_a_silent_server_is_the_rows_error(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.SILENT if content == "question 3" else Fault.OK
    completions = complete(client(server.endpoint, max_attempts=2, timeout_s=0.5), asks(10))
    assert "no answer within" in (completions[3].error or "")


def test_tokens_billed_for_unusable_replies_are_counted(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.EMPTY if times < 3 else Fault.OK
    ledger = Ledger()
    complete(client(server.endpoint, ledger=ledger), asks(1))
    assert (ledger.total.prompt_tokens, ledger.total.completion_tokens) == (30, 15)


def test_retry_after_is_honoured(server: FaultServer) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    server.plan = lambda content, times: Fault.LIMITED_AFTER if times == 1 else Fault.OK
    llm = client(server.endpoint)
    llm.backend = OpenAIBackend(llm.settings, sleep=note)
    complete(llm, asks(1))
    assert len(waits) == 1 and RETRY_AFTER_S <= waits[0] <= RETRY_AFTER_S + 1


def test_waits_grow(server: FaultServer) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    server.plan = lambda content, times: Fault.BROKEN if times < 5 else Fault.OK
    llm = client(server.endpoint)
    llm.backend = OpenAIBackend(llm.settings, backoff_s=1.0, sleep=note)
    complete(llm, asks(1))
    assert [int(wait) in (base, base + 1) for wait, base in zip(waits, (1, 2, 4, 8), strict=True)] == [
        True
    ] * 4


def test_a_dead_port_stops_the_run_at_once(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{dead_port()}/v1"
    with pytest.raises(LLMError, match=r"no server answers at http://127\.0\.0\.1.*start it"):
        complete(client(endpoint, tmp_path / "cache.sqlite", max_attempts=2), asks(5000))


def test_a_server_that_goes_away_stops_the_run_and_keeps_the_replies(tmp_path: Path) -> None:
    requests, cache = asks(200), tmp_path / "cache.sqlite"
    with FaultServer() as server:
        complete(client(server.endpoint, cache), requests[:50])
        gone = server.endpoint
    with pytest.raises(LLMError):
        complete(client(gone, cache, max_attempts=2), requests)
    with FaultServer() as server:
        assert texts(complete(client(server.endpoint, cache), requests)) == echoes(requests)
        assert server.hits == 150


def test_too_many_failures_stop_the_run_with_the_commonest_error(server: FaultServer, tmp_path: Path) -> None:
    server.plan = lambda content, times: Fault.REFUSED if int(content.split()[1]) % 2 else Fault.OK
    llm = client(server.endpoint, tmp_path / "cache.sqlite")
    with pytest.raises(LLMError, match=r"max_failed_share=0.2.*HTTP 400: content refused"):
        complete(llm, asks(100))
    paid = server.answered.total()
    server.plan = lambda content, times: Fault.OK
    complete(llm, asks(100))
    assert server.answered.total() == 100  # what was paid before was not asked again
    assert paid < 100


def test_a_run_where_nothing_works_stops_early(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.UNAUTHORISED
    with pytest.raises(LLMError, match="is OPENAI_API_KEY set to a valid key"):
        complete(client(server.endpoint), asks(2000))
    assert server.hits < 100


def test_failures_are_taken_when_the_share_allows_them(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.REFUSED
    completions = complete(client(server.endpoint, max_failed_share=1.0), asks(100))
    assert all(c.error for c in completions) and server.hits == 100


def test_the_key_is_sent_and_shows_up_nowhere(
    server: FaultServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-canary-5f0e"
    caplog.set_level(logging.DEBUG)
    server.plan = lambda content, times: Fault.UNAUTHORISED if content == "question 1" else Fault.OK
    llm = client(server.endpoint, tmp_path / "cache.sqlite", key=f"{key}\n")
    completions = complete(llm, asks(10))
    assert server.headers[0]["Authorization"] == f"Bearer {key}"
    assert "bad key: Bearer [key]" in (completions[1].error or "")
    server.plan = lambda content, times: Fault.UNAUTHORISED
    with pytest.raises(LLMError) as caught:
        complete(llm, asks(30))
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for place in (str(caught.value), repr(completions), caplog.text, repr(llm.settings)):
        assert key not in place
    assert key.encode() not in files


def test_what_is_sent(server: FaultServer) -> None:
    schema = {"type": "object", "properties": {"score": {"type": "number"}}}
    request = ask("q", sampling=Sampling(temperature=0.6, top_p=0.9, max_tokens=7), json_schema=schema)
    complete(client(server.endpoint), [request])
    complete(client(server.endpoint, structured=True), [request])
    plain, structured = server.bodies
    assert plain == {
        "model": "m",
        "messages": [{"role": "user", "content": "q"}],
        "temperature": 0.6,
        "top_p": 0.9,
        "max_tokens": 7,
    }
    assert structured["response_format"]["json_schema"]["schema"] == schema


def test_log_probabilities_are_asked_for_only_where_wanted(server: FaultServer) -> None:
    complete(client(server.endpoint), [ask("q"), ask("q", top_logprobs=5)])
    assert "logprobs" not in server.bodies[0] and "top_logprobs" not in server.bodies[0]
    assert (server.bodies[1]["logprobs"], server.bodies[1]["top_logprobs"]) == (True, 5)


def test_an_endpoint_that_is_no_url() -> None:
    with pytest.raises(ConfigError, match="not a URL"):
        OpenAIBackend(LLMSettings(model="m", endpoint="localhost:8000"))
