"""Asking for something that can be read: every reply is parsed as it arrives, and an unreadable one is asked again.

    row 7   "Sure, I can help with that!"     unreadable: asked again, with a reminder and `repeat` 1
            [{"tag": "cooking", ...}]         read; two calls were paid
    row 9   unreadable twice                  recorded: "unreadable reply, asked 2 times: no tags in ..."
    row 11  "<think>Perhaps [[3]]. But"       cut off at the token limit: recorded, and not asked again, since the
                                              same limit would cut the next one too

What a model thinks aloud is never parsed (`reasoning.py`), and of a reply that was cut off only a first line that is
nothing but numbers, which such prompts ask for.

The reminder stands at the end of the prompt, so that all before it is found in a server's prefix cache, and at
temperature 0 the second reply is not the first one over again. Only what was read is held: a million rows are asked
from an iterator, and their texts are in the reply cache alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from tacos.llm.base import LLM, Completion, Request
from tacos.llm.client import wait_for
from tacos.llm.parse import ParseError
from tacos.llm.reasoning import spoken

T = TypeVar("T")
REMINDER = (
    "Keep exactly to the form of reply that is asked for above: a reply in any other form cannot be read."
)


class CutOffError(ParseError):
    """A reply that the token limit ended before there was a verdict."""


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What one row's reply said: `value`, or `error` with the reason there is none.

    reason: the reader's own, without the reply. reply: the one that could not be read. Both None where there was none.
    """

    value: T | None = None
    error: str | None = None
    reason: str | None = None
    reply: Completion | None = field(default=None, compare=False)
    final: bool = False
    """Asking again would bring the same: it was cut off."""

    @property
    def unread(self) -> str | None:
        """The text that could not be read."""
        return self.reply.text if self.reply else None


def ask(
    llm: LLM, count: int, request_of: Callable[[int], Request], parse: Callable[[str], T], reask: int = 1
) -> list[Read[T]]:
    """One answer per row, in order.

    request_of: row -> its request; asked for when it is sent. parse: gets the reply without its reasoning, and raises
    ParseError for what it cannot read. reask: times an unreadable reply is asked for again; each is a call like any
    other, counted and cached.

    Raises: LLMError and SpendCapError as the client does.
    """
    return ask_replies(llm, count, request_of, lambda reply, request: parse(said(reply, request)), reask)


def ask_replies(
    llm: LLM,
    count: int,
    request_of: Callable[[int], Request],
    read: Callable[[Completion, Request], T],
    reask: int = 1,
) -> list[Read[T]]:
    """As `ask`, where the reader wants the whole completion; it gets only those that have a text."""
    found: dict[int, Read[T]] = {}
    _rounds(llm, range(count), request_of, read, reask, found)
    if llm.retry_unread:
        stale = [row for row in range(count) if (reply := found[row].reply) and reply.cached]
        llm.forget(again(request_of(row), tries) for row in stale for tries in range(reask + 1))
        _rounds(llm, stale, request_of, read, reask, found)
    return [found[row] for row in range(count)]


def said(completion: Completion, request: Request) -> str:
    """The reply without its reasoning, where all of it is there.

    Raises: ParseError where nothing is, CutOffError where the token limit ended it.
    """
    text = completion.text or ""
    found = spoken(text)
    most = request.sampling.max_tokens
    limit = (
        f"at the token limit (raise sampling.max_tokens above {most}, or the model's max_completion_tokens)"
    )
    if found.unfinished and completion.cut:
        raise CutOffError(f"cut off in its reasoning {limit}", text)
    if found.unfinished:
        raise ParseError("ends in its reasoning", text)
    if completion.cut and not found.text.strip():
        raise CutOffError(f"nothing said {limit}", text)
    if completion.cut and not request.may_be_cut:
        if completion.numbers_first is not None:
            return completion.numbers_first
        raise CutOffError(f"cut off {limit}", text)
    if not found.text.strip():
        reason = completion.finish_reason
        ended = f" (finish_reason {reason})" if reason not in (None, "stop") else ""
        raise ParseError("nothing but reasoning" if found.reasoned else f"an empty reply{ended}", text)
    return found.text


def _rounds(
    llm: LLM,
    rows: Sequence[int],
    request_of: Callable[[int], Request],
    read: Callable[[Completion, Request], T],
    reask: int,
    found: dict[int, Read[T]],
) -> None:
    """Ask, and ask again for what is unreadable; what comes of it goes into `found`."""
    for tries in range(reask + 1):
        if not rows:
            return
        wait_for(_round(llm, rows, request_of, read, tries, found))
        rows = [row for row in rows if found[row].reply and not found[row].final]


async def _round(
    llm: LLM,
    rows: Sequence[int],
    request_of: Callable[[int], Request],
    read: Callable[[Completion, Request], T],
    tries: int,
    found: dict[int, Read[T]],
) -> None:
    """tries: how often these rows were asked before."""
    waiting: dict[int, Request] = {}

    def requests() -> Iterator[Request]:
        for place, row in enumerate(rows):
            waiting[place] = again(request_of(row), tries)
            yield waiting[place]

    async with aclosing(llm.stream(requests(), len(rows))) as replies:
        async for reply in replies:
            row, request = rows[reply.index], waiting.pop(reply.index)
            found[row] = _or_earlier(_read(reply.completion, request, read, tries + 1), found.get(row))


def _or_earlier(now: Read[T], earlier: Read[T] | None) -> Read[T]:
    """The reply that could not be read says more than a call that failed after it."""
    if earlier is None or now.value is not None or now.reply is not None:
        return now
    then = f"; asked again: {now.error}"
    return replace(earlier, error=f"{earlier.error}{then}", reason=f"{earlier.reason}{then}")


def again(request: Request, tries: int) -> Request:
    """The request that follows `tries` unreadable replies to it."""
    if not tries:
        return request
    *before, last = request.messages
    reminded = last.model_copy(update={"content": f"{last.content}\n\n{REMINDER}"})
    return request.model_copy(update={"messages": (*before, reminded), "repeat": request.repeat + tries})


def _read(
    completion: Completion, request: Request, read: Callable[[Completion, Request], T], asked: int
) -> Read[T]:
    if completion.text is None:
        return Read(error=completion.error or "no reply")
    try:
        return Read(value=read(completion, request))
    except ParseError as problem:
        often = f", asked {asked} times" if asked > 1 else ""
        return Read(
            error=f"unreadable reply{often}: {problem}",
            reason=problem.reason + often,
            reply=completion,
            final=isinstance(problem, CutOffError),
        )
