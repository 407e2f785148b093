"""When to stop a run because too many of its calls fail, or most of their replies cannot be read.

Example: of 52,002 rows a share of 0.2 may fail, 10,400; the run stops at the next one, or earlier when the
first 20 calls all failed and nothing was answered. It stops, too, when of 50 rows or more most cannot be read, however
often they were asked: with a share of 0.6 more than 60% of them, with 1 never.
"""

from __future__ import annotations

from collections import Counter

from tacos.amounts import plural
from tacos.llm.base import Completion

HOPELESS = 20
"""Give up when this many calls failed and none was answered."""
JUDGED = 1000
"""Where nobody knows how many rows will come, the share is taken of at least this many."""
ENOUGH_READ = 50
"""Rows that were answered before most of them can be called unreadable."""
MOST = 0.5
"""Unreadable rows that are no accident: of 50 where 20% of all are unreadable, half are once in a million times."""
MAX_REASONS = 1000
"""Different errors that are counted one by one."""


def count_reason(counts: Counter[str], reason: str | None) -> None:
    """Adds a failed call to `counts`, which holds at most `MAX_REASONS` different reasons."""
    reason = reason or "no reason given"
    if reason in counts or len(counts) < MAX_REASONS:
        counts[reason] += 1


class Failures:
    """Counts rows that are done, by how they ended.

    total: rows there will be, equal ones counted once; None where unknown.
    share: of them that may fail, 0 to 1. One bad row of several is let pass, unless the share is 0: running
        again would stop there for ever.
    """

    def __init__(self, total: int | None, share: float):
        self.total = total
        self.share = share
        self.known = self.answered = self.failed = 0
        self.reasons: Counter[str] = Counter()

    @property
    def done(self) -> int:
        return self.known + self.answered + self.failed

    def record(self, completion: Completion) -> None:
        if completion.text is not None:
            self.answered += 1
            return
        self.failed += 1
        count_reason(self.reasons, completion.error)

    @property
    def hopeless(self) -> bool:
        """Sending more would be wrong: the allowed share is used up, or nothing works at all."""
        if not self.failed:
            return False
        rows = max(self.done, JUDGED) if self.total is None else self.total
        nothing_works = self.failed >= HOPELESS and self.failed == self.done and self.share * rows < rows
        return nothing_works or self.failed > self._allowed(rows)

    @property
    def too_many(self) -> bool:
        """The verdict at the end, when the number of rows is known."""
        return self.failed > self._allowed(self.done)

    def _allowed(self, rows: int) -> float:
        return max(self.share * rows, 1.0 if self.share > 0 and rows > 1 else 0.0)

    def describe(self) -> str:
        """How many failed, and mostly why."""
        reason, count = self.reasons.most_common(1)[0]
        unsent = "" if self.total is None else f", {self.total - self.done:,} not sent"
        return (
            f"{self.failed:,} of {plural(self.answered + self.failed, 'call')} failed{unsent} "
            f"(max_failed_share={self.share:g}); most often ({count:,}): {reason}"
        )


class Unreadable:
    """Rows that were answered, by whether their latest reply could be read. share: `max_failed_share`."""

    def __init__(self, share: float):
        self.share = share
        self.read = 0
        self.unread: set[int] = set()

    def record(self, row: int, readable: bool) -> None:
        if readable:
            self.read += 1
            self.unread.discard(row)
        else:
            self.unread.add(row)

    @property
    def answered(self) -> int:
        return self.read + len(self.unread)

    @property
    def most(self) -> bool:
        """Whether to ask no more rows before these were asked again, and none at all where they were."""
        enough = self.answered >= ENOUGH_READ
        return enough and len(self.unread) > max(self.share, MOST) * self.answered
