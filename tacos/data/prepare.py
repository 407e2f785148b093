"""The clean pool that selection starts from, in one place.

    read        rows of the file, bad ones dropped                      (`read.py`)
    dedup       exact and near duplicates dropped                       (`dedup.py`)
    hold out    some rows set aside as test questions
    decontaminate   rows that hold a test question dropped              (`decontaminate.py`)

Every row of the file is in the pool or in `dropped` with its line and the reason; held-out rows too:

    6 rows read = 2 in the pool + 1 "empty_response" + 1 "near_duplicate" + 1 "held_out" + 1 "contaminated"
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tacos.data.decontaminate import contaminated
from tacos.data.dedup import DedupSettings, duplicates
from tacos.data.read import Dropped, ReadResult, count_reasons
from tacos.errors import PoolError
from tacos.types import Pool, Question, Role, Sample


@dataclass(frozen=True)
class Prepared:
    """The pool, its test questions, and every row left out on the way: `read == len(pool) + len(dropped)`.

    dropped: by line.
    """

    pool: Pool
    dropped: list[Dropped]
    read: int
    questions: list[Question]
    notes: tuple[str, ...] = ()
    """Of the reading, see `ReadResult`."""

    @property
    def reasons(self) -> dict[str, int]:
        """Reason -> rows, commonest first."""
        return count_reasons(self.dropped)


def prepare(
    read: ReadResult,
    dedup: DedupSettings | None = None,
    questions: Sequence[Question] = (),
    holdout: int = 0,
    holdout_seed: int = 0,
    decontaminate: bool = True,
    tested: Sequence[Question] = (),
) -> Prepared:
    """Drop duplicates, set `holdout` rows aside as further questions, drop rows that hold a question.

    Order is kept. decontaminate: False leaves rows that hold a question in the pool. tested: questions of public
    benchmarks, which no row may hold either.

    Raises: PoolError when no row is left.
    """
    gone = dict(_duplicates(read, dedup or DedupSettings()))
    asked = list(questions)
    if holdout:
        held = held_out(_others(read, gone), holdout, holdout_seed)
        asked += [question(read.pool[row]) for row in held.tolist()]
        gone |= {
            row: _dropped(read, row, "held_out", "set aside as a test question") for row in held.tolist()
        }
    if decontaminate:
        gone |= _contaminated(read, _others(read, gone), [*asked, *tested])
    dropped = sorted([*read.dropped, *gone.values()], key=lambda d: d.line)
    prepared = Prepared(read.pool.take(_others(read, gone)), dropped, read.read, asked, read.notes)
    if not len(prepared.pool):
        raise PoolError(f"no row is left of {read.read} after cleaning: {prepared.reasons}")
    return prepared


def held_out(rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """`n` of the rows, drawn at random, ascending. Raises: PoolError when nothing would be left."""
    if n >= len(rows):
        raise PoolError(f"holdout {n:,} leaves nothing of {len(rows):,} samples: set pool.holdout lower")
    drawn = np.random.default_rng(seed).permutation(len(rows))[:n]
    return rows[np.sort(drawn)]


def question(sample: Sample) -> Question:
    """A sample as a test question: its first user turn, with the first reply as reference.

    A system message is left out: every model is asked the bare question.
    """
    return Question(
        id=sample.id,
        turns=(_first(sample, "user"),),
        category=sample.source,
        reference=_first(sample, "assistant"),
    )


def _first(sample: Sample, role: Role) -> str:
    return next(m.content for m in sample.messages if m.role == role)


def _others(read: ReadResult, gone: dict[int, Dropped]) -> np.ndarray:
    left = np.ones(len(read.pool), dtype=bool)
    left[list(gone)] = False
    return np.flatnonzero(left)


def _duplicates(read: ReadResult, settings: DedupSettings) -> Iterator[tuple[int, Dropped]]:
    ids = read.pool.ids
    for d in duplicates(read.pool, settings):
        detail = f"similarity {d.similarity:.3f} with line {read.lines[d.of]}"
        yield d.row, _dropped(read, d.row, d.reason, detail, ids[d.of])


def _contaminated(read: ReadResult, rows: np.ndarray, questions: Sequence[Question]) -> dict[int, Dropped]:
    asked = [(q.id, turn) for q in questions for turn in q.turns]
    found = {}
    for c in contaminated(read.pool, [turn for _, turn in asked], rows=rows):
        id_, turn = asked[c.question]
        detail = f"{c.how} as test question {id_}: {turn[:80]!r}"
        found[c.row] = _dropped(read, c.row, "contaminated", detail)
    return found


def _dropped(read: ReadResult, row: int, reason: str, detail: str, of: str | None = None) -> Dropped:
    return Dropped(line=int(read.lines[row]), id=read.pool.ids[row], reason=reason, detail=detail, of=of)
