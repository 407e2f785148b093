"""Replies as servers write them: what is read, what is said of those that hold no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from tacos.llm.backends.call_errors import CallError, Sender
from tacos.llm.backends.decode import loads
from tacos.llm.backends.wire import answer_logprobs, read_reply
from tacos.llm.base import Completion, Sampling
from tacos.llm.client import complete
from tacos.usage import Ledger

from .helpers import ask, client
from .server import FaultServer, reply

SENDER = Sender(blot=str, key_source="OPENAI_API_KEY", url="http://host/v1", outage_s=300.0)


def read(value: Any, **request: Any) -> Completion:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_reply(body, ask("x", **request), SENDER)


@pytest.mark.parametrize(
    ("value", "text", "finish"),
    [
        (reply("hi"), "hi", "stop"),
        (reply("hi", None), "hi", None),
        (reply("Hawaii is a", "length"), "Hawaii is a", "length"),
        (reply("", "length", message={"reasoning_content": "perhaps [[3]]"}), "", "length"),
        (reply(None, "length"), "", "length"),
        (reply(None, "stop", message={"reasoning": "hm"}), "", "stop"),
        (reply("A", "MAX_TOKENS"), "A", "max_tokens"),
        (
            reply([{"type": "thinking", "thinking": "[[2]]"}, {"type": "text", "text": "[[8]]"}]),
            "[[8]]",
            "stop",
        ),
        (reply([{"type": "text", "text": "a"}, "b", {"type": "output_text", "text": "c"}]), "abc", "stop"),
        (reply({"type": "text", "text": {"value": "d"}}), "d", "stop"),
        (reply("Rating: [[4", native_finish_reason="MAX_TOKENS"), "Rating: [[4", "max_tokens"),
        (reply("fine", native_finish_reason="completed"), "fine", "stop"),
        (reply("fine", error={"code": 0, "message": ""}), "fine", "stop"),
        (
            {"choices": [{"index": "0", "message": {"content": "text for an index"}}]},
            "text for an index",
            None,
        ),
        ({"choices": [{"text": "older form", "finish_reason": "stop"}]}, "older form", "stop"),
    ],
)
def test_a_reply_is_what_the_server_said(value: Any, text: str, finish: str | None) -> None:
    found = read(value)
    assert (found.text, found.finish_reason, found.error) == (text, finish, None)


def test_the_first_choice_counts_wherever_it_stands() -> None:
    both = {
        "choices": [
            {"index": 1, "message": {"content": "second"}},
            {"index": 0, "message": {"content": "first"}},
        ]
    }
    assert read(both).text == "first"


FILTERS = {"violence": {"filtered": True, "severity": "medium"}, "hate": {"filtered": False}}


@pytest.mark.parametrize(
    ("value", "said", "again"),
    [
        (
            {"error": {"message": "Insufficient credits. Add more", "code": 402}},
            "error 402: Insufficient credits",
            False,
        ),
        (
            {
                "choices": None,
                "error": {
                    "message": "Provider returned error",
                    "code": 429,
                    "metadata": {"raw": "Too Many Requests", "provider_name": "Hyper"},
                },
            },
            "Hyper: Too Many Requests",
            True,
        ),
        (
            {"error": {"message": "temporarily overloaded", "code": 502}},
            "error 502: temporarily overloaded",
            True,
        ),
        (
            {"error": {"message": "quota", "code": "insufficient_quota", "type": "insufficient quota"}},
            "429: quota",
            True,
        ),
        ({"object": "error", "message": "System role not supported", "code": 400}, "fold_system=true", False),
        ({"error": "model is loading"}, "model is loading", True),
        ({"detail": "Not authenticated"}, "Not authenticated", True),
        (
            reply(None, "content_filter", content_filter_results=FILTERS),
            r"content filter .*violence \(medium\)",
            False,
        ),
        (reply("The answer deserves [[2", "content_filter"), "content filter", False),
        (reply("half", "SAFETY"), "content filter", False),
        ({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, "prompt_filter_results", False),
        ({"choices": []}, "no choices", True),
        (
            reply(None, message={"refusal": "I'm sorry, I can't help."}),
            "refuses: I'm sorry, I can't help",
            False,
        ),
        (reply([{"type": "refusal", "refusal": "No."}]), "refuses: No", False),
        (reply(None, "tool_calls", message={"tool_calls": [{"id": "1"}]}), "call of a tool", False),
        (reply("half", "error", error={"message": "upstream died"}), "with an error: upstream died", True),
        (reply("half", "error"), "broke off: finish_reason error", True),
        (reply("", error={"code": 402, "message": "Insufficient credits"}), "error 402: Insuff", False),
        (reply("", error={"code": 429, "message": "slow down"}), "error 429: slow down", True),
        (reply("I will not", "refusal"), "refuses: I will not", False),
        (reply("", "refusal"), "refuses: finish_reason refusal", False),
        (reply("No", "guardrail_intervened"), "filter .*guardrail_intervened", False),
        (reply("Half", native_finish_reason="SAFETY"), "filter .*finish_reason safety", False),
        (
            {"choices": [], "prompt_filter_results": [{"content_filter_results": FILTERS}]},
            r"left no choices: violence \(medium\)",
            False,
        ),
        ([{"error": {"code": 429, "message": "quota"}}], "error 429: quota", True),
        ({"code": "Throttling.RateQuota", "message": "rate limit exceeded"}, "error 429: rate limit", True),
        (
            {"object": "error", "message": "maximum context length", "code": 40303},
            "error 400: .*lower",
            False,
        ),
        ({"object": "error", "message": "CUDA out of memory", "code": 50002}, "error 500: CUDA", True),
        (reply(None, None), "no text", True),
        ("text", "no choices", True),
        (b"", "not JSON: \\(empty\\)", True),
        (
            b"<html>Login to the wifi</html>",
            "Login to the wifi.*; is http://host/v1 the right endpoint",
            False,
        ),
        (b'{"choices": [{"mess', "not JSON", True),
    ],
)
def test_no_reply_is_told_in_the_servers_words(value: Any, said: str, again: bool) -> None:
    with pytest.raises(CallError, match=said) as caught:
        read(value)
    assert caught.value.again is again


def test_what_was_billed_for_no_reply_is_kept() -> None:
    with pytest.raises(CallError) as caught:
        read(reply(None, message={"refusal": "No."}))
    assert caught.value.usage == (10, 5)


def test_a_429_in_a_body_is_a_429() -> None:
    with pytest.raises(CallError) as caught:
        read({"error": {"message": "slow down", "code": 429}})
    assert caught.value.limited


STREAM = (
    b": keep-alive\n\n"
    b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Rating: "}}]}\n\n'
    b'data: {"choices": [{"index": 0, "delta": {"content": "[[7]]"}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
GOOD = json.dumps(reply("Rating: [[7]]")).encode()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xef\xbb\xbf" + GOOD, "Rating: [[7]]"),
        (b"\n\n \n" + GOOD, "Rating: [[7]]"),
        (GOOD.replace(b'"usage"', b'"timings": {"tps": NaN, "most": Infinity}, "usage"'), "Rating: [[7]]"),
        (GOOD.replace(b'"usage"', b'"timings": [nan, -inf], "usage"'), "Rating: [[7]]"),
        (b'data: {"choices": [{"delta": {"content": null}}]}\n\n' + STREAM, "Rating: [[7]]"),
        (GOOD.replace(b"Rating", b"Nice \\ud83d! Rating"), "Nice \ufffd! Rating: [[7]]"),
        (GOOD.replace(b"Rating", b"Nice \xff! Rating"), "Nice \ufffd! Rating: [[7]]"),
        (GOOD.replace(b"Rating", b"Line\nRating"), "Line\nRating: [[7]]"),
        (GOOD.replace(b'"usage": {', b'"usage": null, "x": {'), "Rating: [[7]]"),
        (STREAM, "Rating: [[7]]"),
    ],
)
def test_a_paid_reply_is_not_lost_to_strict_decoding(body: bytes, text: str) -> None:
    assert read(body).text == text


@pytest.mark.parametrize(
    "chunk", [b'{"choices": 7}', b'{"choices": [{"delta": ["a"]}]}', b'{"choices": [{"logprobs": [1]}]}']
)
def test_an_odd_event_of_a_stream_costs_itself_alone(chunk: bytes) -> None:
    assert read(b"data: " + chunk + b"\n\n" + STREAM).text == "Rating: [[7]]"


def test_what_is_no_json_is_none() -> None:
    for body in (b"", b"{", b"data: \n\n", b"[" * 100_000):
        with pytest.raises(ValueError):
            loads(body)


def place(token: str, **top: float | None) -> dict[str, Any]:
    """One place of a reply with its alternatives."""
    return {
        "token": token,
        "logprob": -0.1,
        "top_logprobs": [{"token": t, "logprob": v} for t, v in top.items()],
    }


def test_log_probabilities_are_those_of_the_answers_first_token() -> None:
    places = [place("A", A=-0.1, B=-9999, C=None), place("!", Z=-1.0)]
    body = reply("A!", logprobs={"content": places})
    assert read(body, top_logprobs=3).logprobs == {"A": -0.1, "B": -9999.0}
    assert read(body).logprobs is None  # not asked for


def test_log_probabilities_of_reasoning_are_not_the_answers() -> None:
    thought, verdict = place("Okay", Okay=-0.01, B=-6.0, A=-9.0), place("A", A=-0.001, B=-7.0)
    parsed = reply("A", message={"reasoning_content": "Okay"}, logprobs={"content": [thought, verdict]})
    assert read(parsed, top_logprobs=3).logprobs == {"A": -0.001, "B": -7.0}
    inline = [place("<think>", B=-0.1), place("B?", B=-0.1), place("</think>"), place("\n\n"), verdict]
    body = reply("<think>B?</think>\n\nA", logprobs={"content": inline})
    assert read(body, top_logprobs=3).logprobs == {"A": -0.001, "B": -7.0}
    assert answer_logprobs({"content": [thought]}, "A") is None


def test_an_impossible_alternative_is_left_out() -> None:
    body = json.dumps(reply("A", logprobs={"content": [place("A", A=-0.1, C=float("-inf"), D=float("nan"))]}))
    assert "-Infinity" in body
    assert read(body.encode(), top_logprobs=3).logprobs == {"A": -0.1}


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        {"content": [{}]},
        {"content": [{"top_logprobs": []}]},
        "x",
        {"content": [{"token": "A", "top_logprobs": [{"token": "A"}]}]},
        {"content": [{"token": "A", "top_logprobs": [7]}]},
    ],
)
def test_a_server_without_log_probabilities_answers_all_the_same(logprobs: object) -> None:
    found = read(reply("A", logprobs=logprobs), top_logprobs=3)
    assert (found.text, found.logprobs) == ("A", None)


def test_missing_usage_is_estimated() -> None:
    body = orjson.dumps({"choices": [{"message": {"content": "12345678"}}]})
    found = read_reply(body, ask("x" * 40), SENDER)
    assert (found.prompt_tokens, found.completion_tokens) == (14, 2)


@pytest.mark.parametrize(
    ("value", "calls"),
    [
        ({"error": {"message": "Insufficient credits", "code": 402}}, 1),
        (reply(None, message={"refusal": "No."}), 1),
        (reply(None, "content_filter"), 1),
        (reply(None, "length"), 1),
        ({"error": {"message": "overloaded", "code": 502}}, 3),
    ],
)
def test_what_asking_again_would_not_change_is_asked_once(
    server: FaultServer, value: dict[str, Any], calls: int
) -> None:
    server.respond = lambda body, times: (200, value)
    complete(client(server.endpoint, max_attempts=3, max_failed_share=1.0), [ask("q")])
    assert server.hits == calls


def test_a_429_in_a_body_sends_fewer_and_is_waited_out(server: FaultServer) -> None:
    limit = {"choices": None, "error": {"message": "Provider returned error", "code": 429}}
    server.respond = lambda body, times: (200, limit if times < 4 else reply("yes"))
    ledger = Ledger()
    (found,) = complete(client(server.endpoint, max_attempts=1, ledger=ledger), [ask("q")])
    assert (found.text, server.hits, ledger.total.failed_calls) == ("yes", 4, 0)


@pytest.mark.parametrize("finish", ["length", "stop"])
def test_an_empty_reply_is_not_kept(server: FaultServer, tmp_path: Path, finish: str) -> None:
    server.respond = lambda body, times: (
        200,
        reply("" if times == 1 else "yes", finish if times == 1 else "stop"),
    )
    said = [complete(client(server.endpoint, tmp_path / "c.sqlite"), [ask("q")])[0].text for _ in range(3)]
    assert (said, server.hits) == (["", "yes", "yes"], 2)


@pytest.mark.parametrize("text", ["Hawaii is a", "<think>perhaps", "<think>done</think>\n"])
def test_a_cut_reply_or_one_of_reasoning_alone_is_not_kept(
    server: FaultServer, tmp_path: Path, text: str
) -> None:
    server.respond = lambda body, times: (200, reply(text, "length"))
    for _ in range(2):
        (found,) = complete(client(server.endpoint, tmp_path / "c.sqlite"), [ask("q")])
    assert (found.text, found.finish_reason, server.hits) == (text, "length", 2)


def test_a_reply_of_the_length_asked_for_is_kept(server: FaultServer, tmp_path: Path) -> None:
    """A verdict of one token ends at its limit, and so do many answers; a server's own limit is another thing."""
    server.respond = lambda body, times: (200, reply("A", "length"))  # five tokens, it says
    for limit, calls in ((5, 1), (6, 2)):
        server.asked.clear()
        request = ask("q", sampling=Sampling(max_tokens=limit), may_be_cut=True)
        for _ in range(2):
            (found,) = complete(client(server.endpoint, tmp_path / "c.sqlite"), [request])
        assert (found.finish_reason, server.hits) == ("length", calls)
