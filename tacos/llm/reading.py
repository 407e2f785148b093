"""Asking for something that can be read: every reply is parsed as it arrives, and an unreadable one is asked again.

    row 7   "Sure, I can help with that!"     unreadable: asked again, with a reminder and `repeat` 1
            [{"tag": "cooking", ...}]         read; two calls were paid
    row 9   unreadable twice                  recorded: "unreadable reply, asked 2 times: no tags in ..."
    row 11  "<think>Perhaps [[3]]. But"       cut off at the token limit: recorded, and not asked again, since the
                                              same limit would cut the next one too

What a model thinks aloud is never parsed (`reasoning.py`), and of a reply that was cut off only a first line that is
nothing but numbers, which such prompts ask for.

Where most of the first 50 replies or more are unreadable, these rows are asked again before any further ones, and where
most stay so, the run stops: thousands of rows are not paid for to find out that a prompt does not suit a model.

The reminder stands at the end of the prompt, so that all before it is found in a server's prefix cache, and at
temperature 0 the second reply is not the first one over again. Only what was read is held: a million rows are asked
from an iterator, and their texts are in the reply cache alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from tacos.amounts import plural
from tacos.errors import LLMError
from tacos.llm.base import LLM, Completion, Request
from tacos.llm.client import wait_for
from tacos.llm.failures import Unreadable
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

    Raises: LLMError and SpendCapError as the client does; LLMError where most rows cannot be read.
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
    asker = _Asker(llm, request_of, read, reask)
    asker.ask(range(count))
    found = asker.found
    if llm.retry_unread:
        stale = [row for row in range(count) if (reply := found[row].reply) and reply.cached]
        llm.forget(again(request_of(row), tries) for row in stale for tries in range(reask + 1))
        asker.ask(stale)
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


class _Asker(Generic[T]):
    """Asks rows, and again those whose reply is unreadable; what comes of each is in `found`."""

    def __init__(
        self,
        llm: LLM,
        request_of: Callable[[int], Request],
        read: Callable[[Completion, Request], T],
        reask: int,
    ):
        self.llm, self.request_of, self.read, self.reask = llm, request_of, read, reask
        self.found: dict[int, Read[T]] = {}
        self.tally = Unreadable(llm.settings.max_failed_share)

    def ask(self, rows: Sequence[int]) -> None:
        """Raises: LLMError where most rows cannot be read; those after them were not asked."""
        while rows:
            asked = wait_for(self._round(rows, 0))
            unread = rows[:asked]
            for tries in range(1, self.reask + 1):
                unread = [row for row in unread if self.found[row].reply and not self.found[row].final]
                if unread:
                    wait_for(self._round(unread, tries))
            rows = rows[asked:]
            if self.tally.most:
                raise LLMError(self._unreadable(len(rows)))

    async def _round(self, rows: Sequence[int], tries: int) -> int:
        """Ask rows that were asked `tries` times before; how many were, before most turned out unreadable."""
        waiting: dict[int, Request] = {}
        asked = 0

        def requests() -> Iterator[Request]:
            nonlocal asked
            for place, row in enumerate(rows):
                if self.tally.most and not tries:
                    return
                asked += 1
                waiting[place] = again(self.request_of(row), tries)
                yield waiting[place]

        async with aclosing(self.llm.stream(requests(), len(rows))) as replies:
            async for reply in replies:
                row, request = rows[reply.index], waiting.pop(reply.index)
                self._keep(row, reply.completion, _read(reply.completion, request, self.read, tries + 1))
        return asked

    def _keep(self, row: int, completion: Completion, now: Read[T]) -> None:
        self.found[row] = _or_earlier(now, self.found.get(row))
        asked_anew_later = self.llm.retry_unread and completion.cached and now.value is None
        if completion.text is not None and not asked_anew_later:
            self.tally.record(row, now.reply is None)

    def _unreadable(self, left: int) -> str:
        tally = self.tally
        example = self.found[min(tally.unread)].error
        unasked = f", {plural(left, 'row')} not asked" if left else ""
        return (
            f"{self.llm.model}: the replies to {len(tally.unread):,} of {plural(tally.answered, 'row')} cannot be read"
            f"{unasked} (max_failed_share={tally.share:g}), such as: {example}; the prompt does not suit the model, or "
            "the model is not the one that was meant: change `prompt`, `sampling` or the model (`structured: true` "
            "where the server knows JSON schemas), or raise max_failed_share to go on without these rows; the replies "
            "so far are kept in the cache"
        )


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
