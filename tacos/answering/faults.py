"""What is wrong with answers as answers: nothing said, a failed call, one thing over and over, cut off.

    ""                               empty
    "$ERROR$"                        failed: FastChat's mark of a call that brought nothing
    "no no no no no no no no ..."    repeated: more than half of it is one piece, eight times or more
    finish_reason "length"           cut: the token limit ended it, where the backend says so

A model that answers like that is broken, or asked in the wrong template, and what a judge makes of it says nothing
about the data it was trained on: 23 of 40 answers were empty in a trial whose report drew a confident verdict.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import repeat

from tacos.llm.base import CUT
from tacos.types import Answer, Record

FAILED = "$ERROR$"
"""What FastChat stores as the answer of a call that failed."""
WORTH_SAYING = 0.05
"""Above this share of faulty answers a result is not told without them."""
LONGEST_PIECE, TIMES, SHORTEST = 200, 8, 40
"""A repeated piece has at most so many characters, stands so many times, and all of them together have so many."""
SQUEEZED, SQUEEZABLE = 0.1, 500
"""A text of so many bytes that shrinks to this share says little but one thing: prose shrinks to 0.4, code to 0.25."""


class AnswerFaults(Record):
    """Counts over the turns of some answers. A turn is at most one of empty, failed and repeated; it may be cut too."""

    turns: int = 0
    empty: int = 0
    failed: int = 0
    repeated: int = 0
    cut: int = 0
    faulty: int = 0
    """Turns with any of these."""
    reasoned: int = 0
    """Turns from which a reasoning block was taken; no fault."""

    @property
    def share(self) -> float:
        """Of turns that are faulty, 0-1."""
        return self.faulty / self.turns if self.turns else 0.0

    @property
    def worth_saying(self) -> bool:
        """Whether a result has to be told with them."""
        return self.share > WORTH_SAYING

    def __add__(self, other: AnswerFaults) -> AnswerFaults:
        names = AnswerFaults.model_fields
        return AnswerFaults(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def describe(self) -> str:
        """ "23 of 160 answers are empty, 4 repeat themselves"; "" where there is nothing to say."""
        told = (
            (self.empty, "empty"),
            (self.failed, f"failed calls ({FAILED})"),
            (self.repeated, "one piece over and over"),
            (self.cut, "cut off at the token limit"),
        )
        said = [f"{count:,} {what}" for count, what in told if count]
        return f"of {self.turns:,} answers {', '.join(said)}" if said else ""


def faults_of(turns: Sequence[str], finish_reasons: Iterable[str | None] = ()) -> AnswerFaults:
    """finish_reasons: of the turns, where they are known."""
    known = [*finish_reasons] or repeat(None)
    return sum((_fault(text, finish) for text, finish in zip(turns, known, strict=False)), AnswerFaults())


def faults_in(answers: Iterable[Answer]) -> AnswerFaults:
    """Of all turns of some answers."""
    return sum(
        (
            faults_of(answer.turns, answer.finish_reasons) + AnswerFaults(reasoned=answer.reasoned)
            for answer in answers
        ),
        AnswerFaults(),
    )


def _fault(text: str, finish_reason: str | None) -> AnswerFaults:
    empty, failed, cut = not text.strip(), text.strip() == FAILED, finish_reason in CUT
    repeated = not empty and not failed and repeats(text)
    return AnswerFaults(
        turns=1,
        empty=empty,
        failed=failed,
        repeated=repeated,
        cut=cut,
        faulty=empty or failed or repeated or cut,
    )


def repeats(text: str) -> bool:
    """Whether most of a text is one piece over and over: at its end, as models do that cannot stop, or throughout."""
    content = text.encode("utf-8", "replace")
    if len(content) >= SQUEEZABLE and len(zlib.compress(content)) < SQUEEZED * len(content):
        return True
    end = text.rstrip()
    sizes = range(1, min(LONGEST_PIECE + 1, len(end)))
    return any(_ends_in(end, size) for size in sizes if end[-1] == end[-1 - size])


def _ends_in(text: str, size: int) -> bool:
    """Whether a piece of `size` characters makes up the end of the text, the last time perhaps not all of it."""
    at = len(text) - 1
    while at >= size and text[at] == text[at - size]:
        at -= 1
    covered = len(text) - 1 - at + size
    return covered >= max(SHORTEST, TIMES * size, len(text) / 2) and covered > size
