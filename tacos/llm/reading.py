"""Asking for something that can be read: every reply is parsed as it arrives, and an unreadable one is asked again.

    row 7   "Sure, I can help with that!"     unreadable: asked again, with a reminder and `repeat` 1
            [{"tag": "cooking", ...}]         read; two calls were paid
    row 9   unreadable twice                  recorded: "unreadable reply, asked 2 times: no tags in ..."

The reminder stands at the end of the prompt, so that all before it is found in a server's prefix cache, and at
temperature 0 the second reply is not the first one over again. Only what was read is held: a million rows are asked
from an iterator, and their texts are in the reply cache alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tacos.llm.base import LLM, Completion, Request
from tacos.llm.client import wait_for
from tacos.llm.parse import ParseError

T = TypeVar("T")
REMINDER = (
    "Keep exactly to the form of reply that is asked for above: a reply in any other form cannot be read."
)


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What one row's reply said: `value`, or `error` with the reason there is none.

    reply: the one that could not be read; None where there was none.
    """

    value: T | None = None
    error: str | None = None
    reply: Completion | None = field(default=None, compare=False)

    @property
    def unread(self) -> str | None:
        """The text that could not be read."""
        return self.reply.text if self.reply else None


def ask(
    llm: LLM, count: int, request_of: Callable[[int], Request], parse: Callable[[str], T], reask: int = 1
) -> list[Read[T]]:
    """One answer per row, in order.

    request_of: row -> its request; asked for when it is sent. parse: raises ParseError for what it cannot read.
    reask: times an unreadable reply is asked for again; each is a call like any other, counted and cached.

    Raises: LLMError and SpendCapError as the client does.
    """
    return _ask(llm, count, request_of, lambda reply: parse(reply.text or ""), reask)


def last_replies(
    llm: LLM, requests: Sequence[Request], problem_of: Callable[[Completion], str | None], reask: int = 1
) -> list[Completion]:
    """The last reply to each request, whole, for those who keep replies as they came and read them themselves.

    problem_of: a reply with a text -> why it cannot be read, and is asked for again; None where it can.

    Raises: as `ask`.
    """

    def parse(reply: Completion) -> Completion:
        if problem := problem_of(reply):
            raise ParseError(problem, reply.text or "")
        return reply

    read = _ask(llm, len(requests), requests.__getitem__, parse, reask)
    return [row.value or row.reply or Completion(error=row.error) for row in read]


def _ask(
    llm: LLM,
    count: int,
    request_of: Callable[[int], Request],
    parse: Callable[[Completion], T],
    reask: int,
) -> list[Read[T]]:
    read: dict[int, Read[T]] = {}
    rows: Sequence[int] = range(count)
    for tries in range(reask + 1):
        if rows:
            wait_for(_round(llm, rows, request_of, parse, tries, read))
        rows = [row for row in rows if read[row].reply is not None]
    return [read[row] for row in range(count)]


async def _round(
    llm: LLM,
    rows: Sequence[int],
    request_of: Callable[[int], Request],
    parse: Callable[[Completion], T],
    tries: int,
    read: dict[int, Read[T]],
) -> None:
    """tries: how often these rows were asked before."""
    requests = (again(request_of(row), tries) for row in rows)
    async with aclosing(llm.stream(requests, len(rows))) as replies:
        async for reply in replies:
            read[rows[reply.index]] = _read(reply.completion, parse, tries + 1)


def again(request: Request, tries: int) -> Request:
    """The request that follows `tries` unreadable replies to it."""
    if not tries:
        return request
    *before, last = request.messages
    reminded = last.model_copy(update={"content": f"{last.content}\n\n{REMINDER}"})
    return request.model_copy(update={"messages": (*before, reminded), "repeat": request.repeat + tries})


def _read(completion: Completion, parse: Callable[[Completion], T], asked: int) -> Read[T]:
    if completion.text is None:
        return Read(error=completion.error or "no reply")
    try:
        return Read(value=parse(completion))
    except ParseError as problem:
        often = f", asked {asked} times" if asked > 1 else ""
        return Read(error=f"unreadable reply{often}: {problem}", reply=completion)
