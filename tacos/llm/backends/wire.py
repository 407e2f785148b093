"""What an OpenAI-compatible server sends back, read: a completion, or why there is none.

200 {"choices": [{"message": {"content": "hi"}}], "usage": {...}}  ->  Completion(text="hi", ...)
429 Retry-After: 7                                                 ->  CallError, again after 7 s
400 {"error": {"message": "longer than the context"}}              ->  CallError, never again
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from tacos.llm.backend import count_tokens, prompt_tokens
from tacos.llm.base import Completion, Request

MAX_RETRY_AFTER_S = 300.0
"""A server's Retry-After is honoured up to here."""
GATEWAY = (502, 503)
"""What a proxy says when the server behind it is gone."""


class CallError(Exception):
    """One try that brought no usable reply.

    again: whether trying again can help. status: the HTTP status, None where none came.
    after_s: the server's Retry-After. gone: nobody listens there.
    usage: (prompt, completion) tokens that were billed all the same.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool,
        status: int | None = None,
        after_s: float | None = None,
        gone: bool = False,
        usage: tuple[int, int] = (0, 0),
    ):
        super().__init__(reason)
        self.again = again
        self.status = status
        self.after_s = after_s
        self.gone = gone
        self.usage = usage
        self.waited_s = 0.0
        """The wait that followed."""

    @property
    def limited(self) -> bool:
        """Too many calls at a time, or in this minute; the server is well."""
        return self.status == 429 and self.again

    @property
    def of_the_row(self) -> bool:
        """The server is well and refuses this very request: too long, or not to its taste."""
        return self.status in (400, 413, 422)


def read_reply(body: bytes, request: Request) -> Completion:
    """The completion in a 200 response; tokens are estimated where the server does not report them.

    Raises: CallError when there is no message text in it.
    """
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise CallError(f"the reply is not JSON: {excerpt(body)}", again=True, status=200) from None
    usage = reply.get("usage") if isinstance(reply, dict) else None
    sent, got = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    try:
        text = reply["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise CallError("the reply holds no message", again=True, status=200, usage=(sent or 0, got or 0))
    return Completion(
        text=text,
        prompt_tokens=prompt_tokens(request) if sent is None else sent,
        completion_tokens=count_tokens(text) if got is None else got,
        logprobs=None if request.top_logprobs is None else _first_logprobs(reply["choices"][0]),
    )


def read_failure(
    status: int, headers: Mapping[str, str], body: bytes, blot: Callable[[str], str], key_env: str
) -> CallError:
    """What a response other than 200 means.

    blot: takes the key out of a text. key_env: the variable it came from, named where it was refused.
    """
    hint = f" (is {key_env} set to a valid key?)" if status in (401, 403) else ""
    spent = status == 429 and b"insufficient_quota" in body  # no money left: no wait helps
    return CallError(
        blot(f"HTTP {status}{hint}: {excerpt(body)}"),
        again=(status in (408, 429) or status >= 500) and not spent,
        status=status,
        after_s=retry_after(headers),
    )


def _first_logprobs(choice: dict[str, Any]) -> dict[str, float] | None:
    """Token -> log-probability at the reply's first place; None from a server that gives none.

    vLLM writes -9999 for impossible tokens, and others null: the former is kept, the latter left out.
    """
    try:
        found = choice["logprobs"]["content"][0]["top_logprobs"]
        pairs = [(entry["token"], entry["logprob"]) for entry in found]
    except (KeyError, IndexError, TypeError):
        return None
    table: dict[str, float] = {}
    for token, value in pairs:
        if isinstance(token, str) and isinstance(value, int | float) and not isinstance(value, bool):
            table.setdefault(token, float(value))  # half characters share a text; the likelier comes first
    return table or None


def _tokens(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and count >= 0 else None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or an HTTP date); None without a readable one."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else None


def excerpt(body: bytes, limit: int = 300) -> str:
    """The server's own message where the body has one, else its first characters, on one line."""
    try:
        text = str(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        text = body.decode("utf-8", "replace")
    line = " ".join(text.split())
    return line[:limit] + ("..." if len(line) > limit else "") or "(empty)"
