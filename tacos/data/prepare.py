"""The clean pool that selection starts from: read, duplicates out, evaluation questions out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tacos.data.decontaminate import contaminated
from tacos.data.dedup import DedupSettings, duplicates
from tacos.data.read import Dropped, ReadResult, ReadSettings, count_reasons, read_pool
from tacos.errors import PoolError
from tacos.types import Pool


@dataclass(frozen=True)
class Prepared:
    """The pool and every row left out on the way: `read == len(pool) + len(dropped)`."""

    pool: Pool
    dropped: list[Dropped]
    read: int

    @property
    def reasons(self) -> dict[str, int]:
        """Reason -> rows, commonest first."""
        return count_reasons(self.dropped)


def load_pool(
    source: str,
    settings: ReadSettings | None = None,
    dedup: DedupSettings | None = None,
    questions: Sequence[str] = (),
) -> Prepared:
    """`read_pool` and `prepare` in one. Raises: PoolError, see there."""
    return prepare(read_pool(source, settings), dedup, questions)


def prepare(read: ReadResult, dedup: DedupSettings | None = None, questions: Sequence[str] = ()) -> Prepared:
    """Drop duplicates, then rows that hold one of `questions`; order is kept.

    Raises: PoolError when no row is left.
    """
    unique = list(_duplicates(read, dedup or DedupSettings()))
    gone = {row for row, _ in unique}
    found = [pair for pair in _contaminated(read, questions) if pair[0] not in gone]
    gone |= {row for row, _ in found}
    kept = [row for row in range(len(read.pool)) if row not in gone]
    prepared = Prepared(read.pool.take(kept), read.dropped + [d for _, d in unique + found], read.read)
    if not kept:
        raise PoolError(f"no row is left of {read.read} after cleaning: {prepared.reasons}")
    return prepared


def _duplicates(read: ReadResult, settings: DedupSettings) -> Iterator[tuple[int, Dropped]]:
    ids = read.pool.ids
    for d in duplicates(read.pool, settings):
        detail = f"similarity {d.similarity:.3f} with line {read.lines[d.of]}"
        yield d.row, _dropped(read, d.row, d.reason, detail, ids[d.of])


def _contaminated(read: ReadResult, questions: Sequence[str]) -> Iterator[tuple[int, Dropped]]:
    for c in contaminated(read.pool, questions):
        detail = f"{c.how} as question {c.question}: {questions[c.question][:80]!r}"
        yield c.row, _dropped(read, c.row, "contaminated", detail)


def _dropped(read: ReadResult, row: int, reason: str, detail: str, of: str | None = None) -> Dropped:
    return Dropped(line=int(read.lines[row]), id=read.pool.ids[row], reason=reason, detail=detail, of=of)
