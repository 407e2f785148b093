"""Failed calls: whether to try again, how long to wait, and which setting the message names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tacos.llm.backends.call_errors import CallError, Sender, excerpt, retry_after, wait_of
from tacos.llm.client import complete

from .helpers import ask, client
from .server import FaultServer, reply

SENDER = Sender(blot=str, key_source="MY_KEY", url="http://host/v1", outage_s=300.0)


def failure(status: int, said: Any, url: str = "http://host/v1", **headers: str) -> CallError:
    body = said if isinstance(said, bytes) else json.dumps({"error": {"message": said}}).encode()
    sender = Sender(str, "MY_KEY", url, 300.0)
    return sender.failure(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("status", "said", "setting"),
    [
        (
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'",
            "preset=reasoning",
        ),
        (
            400,
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1)",
            "sampling.temperature=null",
        ),
        (400, "`temperature` and `top_p` cannot both be specified for this model", "sampling.top_p=null"),
        (400, "System role not supported", "fold_system=true"),
        (400, "Developer instruction is not enabled for models/gemma-3", "fold_system=true"),
        (400, "Conversation roles must alternate user/assistant/user/assistant/...", "fold_system=true"),
        (400, "This model does not support the 'logprobs' parameter.", "top_logprobs=null"),
        (403, "You are not allowed to request logprobs from this model", "top_logprobs=null"),
        (400, "'response_format.type' must be 'json_object' or 'text'", "structured=false"),
        (
            400,
            "This model only support stream mode, please enable the stream parameter",
            "extra_body={stream: true}",
        ),
        (400, "This model's maximum context length is 2400 tokens", "lower sampling.max_tokens"),
        (
            400,
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 16",
            "raise sampling.max_tokens",
        ),
        (422, "Extra inputs are not permitted: stop_token", "extra_body"),
        (401, "Incorrect API key provided", "is MY_KEY set to a valid key"),
        (403, "Forbidden", "is MY_KEY set to a valid key"),
    ],
)
def test_a_refusal_names_the_setting_that_helps(status: int, said: str, setting: str) -> None:
    found = failure(status, said)
    assert setting in str(found) and said[:40] in str(found) and not found.again


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://host", "is it http://host/v1"),
        ("http://host:8000/", "is it http://host:8000/v1"),
        ("http://host/v1", "does `endpoint` name the right server"),
        ("https://x.services.ai.azure.com/models", "does `endpoint` name the right server"),
        ("https://x.openai.azure.com/openai/deployments/d", "query={api-version"),
    ],
)
def test_a_url_that_is_not_there_gets_a_hint(url: str, hint: str) -> None:
    assert hint in str(failure(404, b'{"detail": "Not Found"}', url))


def test_a_redirect_names_where_it_points() -> None:
    found = failure(308, b"moved", Location="https://new.host/v1/chat/completions")
    assert "set llms.<name>.endpoint to https://new.host/v1)" in str(found) and not found.again
    assert "endpoint to http://host/v2)" in str(failure(301, b"", Location="/v2/chat/completions"))


@pytest.mark.parametrize(
    ("said", "headers", "again", "shown"),
    [
        ("slow down", {}, True, "slow down"),
        ("slow down", {"Retry_After": "120"}, True, "slow down"),
        (
            "Rate limit on tokens per day (TPD): Limit 100000",
            {"Retry_After": "18720"},
            False,
            "5 h 12 min.*outage_s=18720",
        ),
        (
            "tokens per day (TPD). Please try again in 5h12m.",
            {"Retry_After": "20"},
            False,
            "5 h 12 min.*outage_s=18720",
        ),
        ("requests per min (RPM). Please try again in 7m12s.", {}, False, "7 min 12 s.*outage_s=432"),
        ("requests per min (RPM). Please try again in 1.5s.", {}, True, "RPM"),
        ("limit 'Requests per day per user per tier'", {}, False, "per day"),
        ("You exceeded your current quota, please check your plan", {}, False, "quota"),
    ],
)
def test_a_429_is_waited_out_where_that_takes_minutes(
    said: str, headers: dict[str, str], again: bool, shown: str
) -> None:
    found = failure(429, said, **headers)
    assert found.again is again and found.limited is again
    with pytest.raises(CallError, match=shown):
        raise found


def test_a_wait_of_hours_stops_nobody_who_has_the_time() -> None:
    patient = Sender(str, "KEY", "http://host/v1", outage_s=20_000.0)
    found = patient.failure(429, {"Retry-After": "18720"}, b"")
    assert found.again and found.after_s == 18720


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_passes_is_tried_again(status: int) -> None:
    assert failure(status, "hm").again


@pytest.mark.parametrize(
    ("status", "body", "shown", "limited"),
    [
        (
            400,
            {"object": "error", "message": "Rate limit", "code": 42901},
            "HTTP 400 with error 429: Rate",
            True,
        ),
        (400, {"object": "error", "message": "CUDA out of memory", "code": 50002}, "with error 500", False),
        (500, {"error": {"message": "upstream: slow down", "code": "429"}}, "HTTP 500 with error 429", True),
    ],
)
def test_the_status_that_a_body_means_counts(
    status: int, body: dict[str, Any], shown: str, limited: bool
) -> None:
    found = failure(status, json.dumps(body).encode())
    assert shown in str(found) and found.again and found.limited is limited and not found.of_the_row


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 413, 422])
def test_what_stays_is_not_tried_again(status: int) -> None:
    assert not failure(status, "hm").again


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("18720", 18720.0),
        ("nan", None),
        ("1e400", None),
        ("soon", None),
        ("", None),
        ("Fri, 31 Feb 2030 99:99:99 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0.0),
        ("Sat, 01 Jan 9999 00:00:00 -2359", None),
        ("Wed, 01 Jan 2025 00:00:20 GMT", 20.0),
        ("Wed, 01 Jan 2020 00:00:20 GMT", 0.0),
    ],
)
def test_retry_after_header(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, datetime(2025, 1, 1, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Please try again in 20s.", 20.0),
        ("Please retry after 2 minutes", 120.0),
        ("try again in 1h2m3s", 3723.0),
        ("wait 250ms", 0.25),
        ("try another model", None),
    ],
)
def test_a_wait_in_words(said: str, seconds: float | None) -> None:
    assert wait_of({}, said) == seconds


def test_excerpt_is_one_short_line_of_what_the_server_says() -> None:
    assert excerpt(b"") == "(empty)"
    assert excerpt(b"a\nb\xff") == "a b\ufffd"
    assert len(excerpt(b"x" * 10_000)) == 303
    assert excerpt(b'{"error": {"message": null, "code": "bad_thing"}}') == "bad_thing"
    assert excerpt(b'[{"error": {"message": "of Google"}}]') == "of Google"
    assert (
        excerpt(b'{"detail": [{"loc": ["body", "top_p"], "msg": "not permitted"}]}')
        == "body.top_p: not permitted"
    )
    assert excerpt(b'{"detail": [{"loc": 7, "msg": "not permitted"}]}') == "7: not permitted"


def test_a_daily_limit_does_not_hold_up_the_run(server: FaultServer) -> None:
    said = {"error": {"message": "tokens per day (TPD). Please try again in 5h12m."}}
    server.respond = lambda body, times: (429, said, {"Retry-After": "20"})
    (found,) = complete(client(server.endpoint, max_failed_share=1.0), [ask("q")])
    assert server.hits == 1 and "wait of 5 h 12 min" in (found.error or "")


def test_a_server_that_writes_nonsense_into_retry_after_is_asked_again(server: FaultServer) -> None:
    nonsense = ["soon", "", "1e400", "-5", "nan", "Mon, 01 Jan 0001 00:00:00 GMT"]

    def respond(body: dict[str, Any], times: int) -> Any:
        if times <= len(nonsense):
            return 429, {"error": {"message": "slow down"}}, {"Retry-After": nonsense[times - 1]}
        return 200, reply("yes")

    server.respond = respond
    assert complete(client(server.endpoint), [ask("q")])[0].text == "yes"
