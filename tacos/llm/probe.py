"""What a server can do: how many calls in flight it is worth, and whether it is there and has the model.

in flight   requests/s   p50 s
        1          0.9     1.1
        2          1.8     1.1
        ...
       64         31       2.0      the best
       32         30       1.1      recommended: the fewest within 5% of the best
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle

import aiohttp

from tacos.amounts import plural
from tacos.errors import LLMError, nearest
from tacos.llm.backends.decode import loads
from tacos.llm.backends.network import route_to
from tacos.llm.backends.openai import OpenAIBackend, new_session, proxied
from tacos.llm.backends.outgoing import call_url
from tacos.llm.base import Completion, Request, Sampling
from tacos.llm.client import wait_for
from tacos.llm.settings import LLMSettings
from tacos.progress import duration
from tacos.types import Message, Record

log = logging.getLogger(__name__)
NEAR = 0.95
"""Share of the best throughput that is as good as the best."""
FEW = 0.01
"""Share of calls that may fail at a level that is recommended: a run tries them again."""
FLAT = 2
"""Stop after so many doublings in a row that bring less than 5%."""
LOOK_S = 15.0


class Level(Record):
    """What was measured with so many calls in flight."""

    concurrency: int
    """Calls in flight."""
    replies: int
    errors: int
    """Calls that failed."""
    error: str | None
    """The most frequent one."""
    requests_per_s: float
    """Replies per second; failed calls are not among them."""
    tokens_per_s: float
    """Of replies."""
    p50_s: float
    p95_s: float
    """Time to a whole reply; 0 without replies."""

    @property
    def failed(self) -> float:
        """Share of calls."""
        return self.errors / max(self.errors + self.replies, 1)

    def describe(self) -> str:
        failed = f", {plural(self.errors, 'call')} failed ({self.error})" if self.errors else ""
        return f"{self.concurrency:,} in flight: {self.requests_per_s:,.1f} requests/s, p95 {self.p95_s:.3f} s{failed}"


def measure(
    settings: LLMSettings, requests: Sequence[Request], most: int, seconds: float, api_key: str | None
) -> list[Level]:
    """Levels at 1, 2, 4, ... calls in flight, up to `most`, or to where more bring nothing.

    requests: asked in turn, over and over, each with a number in front so that no two are equal; replies are kept
    nowhere. seconds: how long calls are sent at a level; those in flight are waited for. How long all may take, and how
    many calls, is logged before the first level, by one call in advance; then each level.

    Raises: LLMError when nobody answers.
    """
    levels: list[Level] = []
    numbers = iter(range(10**9))
    concurrency, flat = 1, 0
    one = wait_for(_level(settings, _endless(requests, numbers), 1, 0.0, api_key))
    log.info("%s", _announced(most, seconds, one))
    while concurrency <= most and flat < FLAT:
        best = max((level.requests_per_s for level in levels), default=0.0)
        level = wait_for(_level(settings, _endless(requests, numbers), concurrency, seconds, api_key))
        levels.append(level)
        log.info("%s", level.describe())
        if not level.replies:
            break
        flat = flat + 1 if level.requests_per_s < best / NEAR else 0
        concurrency *= 2
    if not levels[0].replies:
        raise LLMError(
            f"{settings.model} at {', '.join(settings.endpoints)} answered nothing: {levels[0].error}"
        )
    return levels


def recommended(levels: Sequence[Level]) -> int:
    """The fewest calls in flight within 5% of the best throughput, of levels where few calls failed if any."""
    sound = _sound(levels)
    enough = NEAR * max(level.requests_per_s for level in sound)
    return min(level.concurrency for level in sound if level.requests_per_s >= enough)


def passed_over(levels: Sequence[Level]) -> dict[int, str]:
    """Calls in flight -> why they are not recommended."""
    sound, chosen = _sound(levels), recommended(levels)
    best = max(level.requests_per_s for level in sound)
    return {
        level.concurrency: f"{level.failed:.1%} failed"
        if level not in sound
        else f"{level.requests_per_s / best:.0%} of the best"
        if level.requests_per_s < NEAR * best
        else f"hardly faster than {chosen}"
        for level in levels
        if level.concurrency != chosen
    }


def _sound(levels: Sequence[Level]) -> list[Level]:
    """Those where fewer than 1% of the calls failed, or a single one, as of the few calls of a low level."""
    return [level for level in levels if level.replies and (level.errors <= 1 or level.failed < FEW)] or list(
        levels
    )


def _announced(most: int, seconds: float, one: Level) -> str:
    """one: of a single call."""
    levels = most.bit_length()
    steps = ", ".join(f"{2**n}" for n in range(levels))
    calls = ""
    if one.replies:
        number = float(f"{max(1.0, seconds / one.p50_s) * (2**levels - 1):.1g}")
        calls = f"; a call takes {one.p50_s:.3f} s, so at most about {number:,.0f} calls"
    took = duration(levels * seconds)
    return f"{steps} in flight for {seconds:g} s each, {took} in all or less, if more brings nothing{calls}"


def _endless(requests: Sequence[Request], numbers: Iterator[int]) -> Iterator[Request]:
    """The number goes to the end: the shared beginning is what a server's prefix cache would have in real work."""
    for request, number in zip(cycle(requests), numbers, strict=False):
        *before, last = request.messages
        marked = last.model_copy(update={"content": f"{last.content}\n({number})"})
        yield request.model_copy(update={"messages": (*before, marked)})


async def _level(
    settings: LLMSettings, requests: Iterator[Request], concurrency: int, seconds: float, api_key: str | None
) -> Level:
    # One try each: what would be tried again is an error at this level.
    once = settings.model_copy(update={"concurrency": concurrency, "max_attempts": 1, "outage_s": 0.0})
    sent_at: list[float] = []
    began = time.perf_counter()

    def timed() -> Iterator[Request]:
        while time.perf_counter() - began < seconds or len(sent_at) < concurrency:
            sent_at.append(time.perf_counter())
            yield next(requests)

    took: list[float] = []
    tokens = 0
    errors = Counter[str]()
    ended = began
    try:
        async for reply in OpenAIBackend(once, api_key).stream(timed()):
            ended = time.perf_counter()
            if reply.completion.text is None:
                errors[reply.completion.error or "no reason given"] += 1
            else:
                took.append(ended - sent_at[reply.index])
                tokens += reply.completion.completion_tokens
    except LLMError as error:
        errors[str(error)] += 1
    wall, took = max(ended - began, 1e-9), sorted(took)
    return Level(
        concurrency=concurrency,
        replies=len(took),
        errors=errors.total(),
        error=errors.most_common(1)[0][0] if errors else None,
        requests_per_s=len(took) / wall,
        tokens_per_s=tokens / wall,
        p50_s=took[len(took) // 2] if took else 0.0,
        p95_s=took[len(took) * 95 // 100] if took else 0.0,
    )


class Look(Record):
    """One endpoint looked at."""

    endpoint: str
    ok: bool
    detail: str


def look(settings: LLMSettings, api_key: str | None) -> list[Look]:
    """Whether each endpoint is there, lists the model, and answers one tiny call (which is paid)."""
    return [wait_for(_look(settings, url.rstrip("/"), api_key)) for url in settings.endpoints]


async def _look(settings: LLMSettings, endpoint: str, api_key: str | None) -> Look:
    try:
        listed = await _models(settings, endpoint, api_key)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        why = "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        blotted = why.replace(api_key, "[key]") if api_key else why
        return Look(endpoint=endpoint, ok=False, detail=f"cannot be reached: {blotted}")
    reply = await _tiny(settings.model_copy(update={"endpoint": endpoint}), api_key)
    absent = (
        listed is not None and settings.model not in listed
    )  # some servers answer for folders they do not list
    if reply.text is None:
        hint = f"has no model {settings.model!r}, {nearest(settings.model, listed or [])}; " if absent else ""
        return Look(endpoint=endpoint, ok=False, detail=f"{hint}answers no call: {reply.error}")
    known = "does not list the model" if absent else "lists the model" if listed else "lists no models"
    return Look(endpoint=endpoint, ok=True, detail=f"{known}, answered a call")


async def _models(settings: LLMSettings, endpoint: str, api_key: str | None) -> list[str] | None:
    """Names of `GET /models`; None from a server that does not tell."""
    url = call_url(endpoint, "/models", settings)
    async with (
        new_session(settings, api_key or "", LOOK_S) as session,
        session.get(url, allow_redirects=False, **proxied(route_to(url))) as response,
    ):
        body = await response.read()
        if response.status != 200:
            return None
    try:
        return [str(row["id"]) for row in loads(body)["data"]] or None
    except (ValueError, KeyError, TypeError):
        return None


async def _tiny(settings: LLMSettings, api_key: str | None) -> Completion:
    """One word asked for, tried once."""
    once = settings.model_copy(update={"max_attempts": 1, "outage_s": 0.0, "timeout_s": 4 * LOOK_S})
    request = Request(
        messages=(Message(role="user", content="Reply with the word yes."),), sampling=Sampling(max_tokens=8)
    )
    try:
        replies = [reply async for reply in OpenAIBackend(once, api_key).stream([request])]
    except LLMError as error:
        return Completion(error=str(error))
    return replies[0].completion
