"""Tries that brought no usable reply: what went wrong in the server's words, whether to try again, what would help.

429 Retry-After: 7                                        ->  again, after 7 s
429 "... tokens per day. Please try again in 5h12m."      ->  not again: nobody waits that long
400 {"error": {"message": "longer than the context"}}     ->  not again
200 {"error": {"code": 402, "message": "no credits"}}     ->  as an HTTP 402: not again
400 "Unsupported parameter: 'max_tokens' ..."             ->  not again; set llms.<name>.preset=reasoning
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tacos.llm.backends.decode import loads
from tacos.llm.backends.hints import location_hint, parameter_hint, url_hint
from tacos.progress import duration

PATIENCE_S = 300.0
"""A wait that a server asks for is waited out up to here, whatever `outage_s` says."""
ABSURD_S = 366 * 86400.0
"""A server that asks for more says nothing."""
GATEWAY = (502, 503)
"""What a proxy says when the server behind it is gone."""
_SPENT = re.compile(r"insufficient[_ ](quota|credit|balance)|exceeded your current quota", re.IGNORECASE)
_PER_DAY = re.compile(r"\bper[ -](day|month)\b|\b(daily|monthly)\b|\b[rt]pd\b", re.IGNORECASE)
_WAIT = re.compile(
    r"(?:again|retry|wait)\b\D{0,20}?((?:\d+(?:\.\d+)?\s*(?:ms|days?|hours?|minutes?|seconds?|[dhms])\s*)+)",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[dhms])", re.IGNORECASE)
_LIMITED = re.compile(r"rate.?limit|too many requests|throttl", re.IGNORECASE)
_MODERATED = re.compile(r"moderation|\bflagged\b|content.?(filter|policy)", re.IGNORECASE)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_STATUS = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "resource_exhausted": 429,
    "insufficient_quota": 429,
    "overloaded_error": 529,
    "unavailable": 503,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "invalid_argument": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "model_not_found": 404,
    "not_found_error": 404,
}
"""Names of errors, as the HTTP status that says the same."""


class CallError(Exception):
    """One try that brought no usable reply.

    again: whether trying again can help. status: the HTTP status, or what the body says in its place; None where
    none came. after_s: the wait that the server asks for. gone: nobody listens there.
    of_the_row: the server is well and refuses this very request: too long, or not to its taste.
    finish_reason: as in `Completion`. usage: (prompt, completion) tokens that were billed all the same.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool,
        status: int | None = None,
        after_s: float | None = None,
        gone: bool = False,
        of_the_row: bool = False,
        finish_reason: str | None = None,
        usage: tuple[int, int] = (0, 0),
    ):
        super().__init__(reason)
        self.again = again
        self.status = status
        self.after_s = after_s
        self.gone = gone
        self.of_the_row = of_the_row or status in (400, 413, 422)
        self.finish_reason = finish_reason
        self.usage = usage
        self.waited_s = 0.0
        """The wait that followed."""

    @property
    def limited(self) -> bool:
        """Too many calls at a time, or in this minute; the server is well."""
        return self.status == 429 and self.again


@dataclass(frozen=True)
class Sender:
    """What messages need to know of who asks.

    blot: takes the key out of a text. key_source: where the key comes from. url: the endpoint as configured.
    outage_s: as in the settings.
    """

    blot: Callable[[str], str]
    key_source: str
    url: str
    outage_s: float

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> CallError:
        """What a response other than 200 means. FastChat, and some gateways, answer a 400 or a 500 whatever went
        wrong, with the status that is meant in the body."""
        said, shown, meant = excerpt(body), f"HTTP {status}", _status_of(body)
        if (meant == 429 and status in (400, 500, 503)) or (status == 400 and (meant or 0) >= 500):
            shown, status = f"{shown} with error {meant}", meant or status
        hint = _hint(status, said, headers, self)
        return self._error(shown, status, said, hint, wait_of(headers, said))

    def error_in_reply(self, reply: Any, usage: tuple[int, int]) -> CallError | None:
        """The error in a 200 response, which some gateways send; None where there is none."""
        reply = reply[0] if isinstance(reply, list) and reply else reply  # Google wraps it in a list
        if not _is_error(reply):
            return None
        said, status = excerpt_of(reply), _status_in(reply)
        if status is None and _LIMITED.search(said):
            status = 429
        shown = "HTTP 200 with an error" if status is None else f"HTTP 200 with error {status}"
        hint = "" if status is None else _hint(status, said, {}, self)
        return self._error(shown, status, said, hint, wait_of({}, said), usage)

    def _error(
        self,
        shown: str,
        status: int | None,
        said: str,
        hint: str,
        after_s: float | None,
        usage: tuple[int, int] = (0, 0),
    ) -> CallError:
        again = status is None or status in (408, 409, 425, 429) or status >= 500
        if status == 429 and (_SPENT.search(said) or (after_s is None and _PER_DAY.search(said))):
            again = False  # no wait of minutes helps
        if again and after_s is not None and after_s > max(self.outage_s, PATIENCE_S):
            again = False
            hint = (
                f"the server asks for a wait of {duration(after_s)}: run again then, or wait it out with "
                f"llms.<name>.outage_s={after_s:.0f}"
            )
        reason = f"{shown}: {said}" + (f" ({hint})" if hint else "")
        refused = _MODERATED.search(said) is not None and not again
        return CallError(
            self.blot(reason), again=again, status=status, after_s=after_s, usage=usage, of_the_row=refused
        )


def _hint(status: int, said: str, headers: Mapping[str, str], sender: Sender) -> str:
    if 300 <= status < 400:
        return location_hint(headers.get("Location", ""), sender.url)
    if status in (400, 403, 422) and (setting := parameter_hint(said)):
        return setting
    if status in (401, 403) and not _MODERATED.search(said):
        return f"is {sender.key_source} set to a valid key?"
    return url_hint(sender.url) if status in (404, 405) else ""


def _is_error(reply: Any) -> bool:
    if not isinstance(reply, dict):
        return False
    if reply.get("choices"):  # beside them, an error that says nothing is none: {"code": 0, "message": ""}
        return bool(reply.get("error")) and bool(_message_in(reply))
    named = any(reply.get(name) for name in ("error", "detail", "message", "msg"))
    return named or reply.get("object") == "error"


def _status_of(body: bytes) -> int | None:
    """As `_status_in`, of a body that may be anything."""
    try:
        value = loads(body)
    except ValueError:
        return None
    return _status_in(value) if isinstance(value, dict) else None


def _status_in(reply: Mapping[str, Any]) -> int | None:
    """The HTTP status that an error in a body stands for."""
    error = reply.get("error")
    inner = error if isinstance(error, dict) else reply
    for value in (inner.get("code"), inner.get("status"), inner.get("status_code"), inner.get("type")):
        digits = str(value) if isinstance(value, int | str) and str(value).isdecimal() else ""
        if (
            len(digits) in (3, 5) and 400 <= int(digits[:3]) <= 599
        ):  # FastChat's have five; 403.. are bad requests
            return 400 if len(digits) == 5 and digits.startswith("403") else int(digits[:3])
        if isinstance(value, str) and value.lower() in _STATUS:
            return _STATUS[value.lower()]
    return None


def wait_of(headers: Mapping[str, str], said: str) -> float | None:
    """Seconds to wait, by the header or the message, whichever is longer; None where neither says."""
    found = [retry_after(headers)]
    if match := _WAIT.search(said):
        found.append(sum(float(n) * _UNIT_S[unit.lower()] for n, unit in _PART.findall(match[1])))
    return max((seconds for seconds in found if seconds is not None), default=None)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or an HTTP date); None without a readable one."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            seconds = (when - (now or datetime.now(UTC))).total_seconds()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if seconds <= ABSURD_S else None  # nor NaN


def excerpt(body: bytes, limit: int = 300) -> str:
    """The server's own message where the body has one, else its first characters, on one line."""
    try:
        value = loads(body)
    except ValueError:
        value = None
    text = _message_in(value) or body.decode("utf-8", "replace")
    return _one_line(text, limit)


def excerpt_of(value: Any, limit: int = 300) -> str:
    """As `excerpt`, of a value that was read."""
    return _one_line(_message_in(value) or str(value), limit)


def _one_line(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line[:limit] + ("..." if len(line) > limit else "") or "(empty)"


def _message_in(value: Any) -> str:
    """What a server says in an error body, whichever of the usual forms it has; "" where it says nothing."""
    if isinstance(value, list) and value:
        return _message_in(value[0])  # Google wraps it in a list
    if not isinstance(value, dict):
        return ""
    error = value.get("error")
    inner = error if isinstance(error, dict) else value
    said = [error if isinstance(error, str) else inner.get("message") or inner.get("msg")]
    said += [] if said[0] else [inner.get("code") or inner.get("type"), _details(value.get("detail"))]
    metadata = inner.get("metadata")
    if isinstance(metadata, dict):  # OpenRouter: what the provider behind it said
        said += [metadata.get("provider_name"), metadata.get("raw") or metadata.get("reasons")]
    return ": ".join(part if isinstance(part, str) else str(part) for part in said if part)


def _details(detail: Any) -> str:
    """FastAPI's `detail`: a text, or a list of {"loc", "msg"}."""
    if isinstance(detail, list):
        rows = [row for row in detail if isinstance(row, dict)]
        return "; ".join(f"{_place(row.get('loc'))}: {row.get('msg')}" for row in rows)
    return detail if isinstance(detail, str) else ""


def _place(loc: Any) -> str:
    return ".".join(map(str, loc)) if isinstance(loc, list) else str(loc)
