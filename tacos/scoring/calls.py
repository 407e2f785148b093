"""Who meets whom in a comparison, and what was answered: arrays, so that a million calls cost columns.

call 0   rows 3, 8    in group 0, round 0       scores 70, 85
call 1   rows 5, 3    in group 0, round 0       scores 40, 62    row 3 is a guest: its score counts in no mean
call 2   rows 1, 9    across groups (-1)        no scores: "unreadable reply ..."
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tacos.types import Pool

ACROSS = -1
"""The group of a call whose samples come from several groups."""
LATE = -1
"""The round of a call that was planned from the scores of those before."""
NOBODY = -1
"""The row at a place that a shorter call leaves empty."""
COMPARISONS = "comparisons.parquet"


@dataclass(frozen=True)
class Calls:
    """Calls of up to `width` samples each.

    rows: (n_calls, width) int64 pool rows in the order they are shown, `NOBODY` where a call has fewer.
    group: (n_calls,) int64, `ACROSS` for a bridge. round: (n_calls,) int64, from 0, or `LATE`.
    guest: (n_calls, width) bool: whether the row was scored already and is there only to be compared with.
    """

    rows: np.ndarray
    group: np.ndarray
    round: np.ndarray
    guest: np.ndarray

    @classmethod
    def of(
        cls,
        rows: Sequence[Sequence[int]],
        group: int | Sequence[int] = 0,
        round: int = 0,
        guests: Sequence[tuple[int, int]] = (),
    ) -> Calls:
        """From lists. guests: (call, place) of those who are there to be compared with."""
        width = max(map(len, rows), default=2)
        filled = np.full((len(rows), width), NOBODY, dtype=np.int64)
        for number, call in enumerate(rows):
            filled[number, : len(call)] = call
        guest = np.zeros(filled.shape, dtype=bool)
        for number, place in guests:
            guest[number, place] = True
        groups = np.broadcast_to(np.asarray(group, dtype=np.int64), len(rows)).copy()
        return cls(filled, groups, np.full(len(rows), round, dtype=np.int64), guest)

    @classmethod
    def join(cls, parts: Sequence[Calls]) -> Calls:
        """One after the other, as wide as the widest."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.of([])
        width = max(part.rows.shape[1] for part in parts)
        return cls(
            np.vstack([_widened(part.rows, width, NOBODY) for part in parts]),
            np.concatenate([part.group for part in parts]),
            np.concatenate([part.round for part in parts]),
            np.vstack([_widened(part.guest, width, False) for part in parts]),
        )

    def by_group(self) -> Calls:
        """Those of a group next to each other, round after round, as a server's cache of prompts likes them; then
        those across groups."""
        return self.at(np.lexsort((self.group, self.group == ACROSS)))

    def at(self, numbers: np.ndarray) -> Calls:
        """Those calls, in that order."""
        return Calls(self.rows[numbers], self.group[numbers], self.round[numbers], self.guest[numbers])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def present(self) -> np.ndarray:
        """(n_calls, width) bool: where there is somebody."""
        return self.rows != NOBODY

    def shown(self, call: int) -> list[int]:
        """The rows of one call, in order."""
        rows: list[int] = self.rows[call][self.present[call]].tolist()
        return rows


def _widened(values: np.ndarray, width: int, empty: Any) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=empty)


@dataclass(frozen=True)
class CallScores:
    """What a comparator answers.

    scores: (n_calls, width) float64, NaN where there is none. errors: call -> why.
    feedback: call -> what it says in words.
    """

    scores: np.ndarray
    errors: Mapping[int, str] = field(default_factory=dict)
    feedback: Mapping[int, str] = field(default_factory=dict)

    def then(self, more: CallScores) -> CallScores:
        """These, and those of later calls."""
        width, n = max(self.scores.shape[1], more.scores.shape[1]), len(self.scores)
        both = np.vstack([_widened(part.scores, width, np.nan) for part in (self, more)])
        told = [
            {**own, **{n + call: text for call, text in later.items()}}
            for own, later in ((self.errors, more.errors), (self.feedback, more.feedback))
        ]
        return CallScores(both, *told)


@dataclass(frozen=True)
class Given:
    """Every score that was read, one after the other; all (n_scores,).

    row: whose. call: in which. place: 0 for who was shown first. group: of the call. value: the score.
    guest: whether it counts in no mean. round: of the call, `LATE` where it was planned from the scores before it.
    """

    row: np.ndarray
    call: np.ndarray
    place: np.ndarray
    group: np.ndarray
    value: np.ndarray
    guest: np.ndarray
    round: np.ndarray

    @property
    def late(self) -> np.ndarray:
        """(n_scores,) bool: of late calls."""
        return self.round == LATE

    def where(self, keep: np.ndarray) -> Given:
        """keep: (n_scores,) bool."""
        return Given(*(getattr(self, column.name)[keep] for column in fields(self)))


def given(calls: Calls, answers: CallScores) -> Given:
    """What was read, call by call."""
    call, place = np.nonzero(calls.present & ~np.isnan(answers.scores))
    return Given(
        calls.rows[call, place],
        call,
        place,
        calls.group[call],
        answers.scores[call, place],
        calls.guest[call, place],
        calls.round[call],
    )


def why_missing(n: int, calls: Calls, answers: CallScores, scored: np.ndarray) -> dict[int, str]:
    """Row -> why it has no score, of those that are not among `scored`."""
    has = np.zeros(n, dtype=bool)
    has[scored] = True
    reasons: dict[int, str] = {}
    for call, why in answers.errors.items():
        reasons |= {row: why for row in calls.shown(call) if not has[row]}
    for row in np.flatnonzero(~has).tolist():
        reasons.setdefault(row, "not compared: alone in its group, left over, or in none")
    return reasons


def write_comparisons(folder: Path, pool: Pool, calls: Calls, answers: CallScores) -> None:
    """`comparisons.parquet`, for whoever wants to trace a score: a row for each sample of each call."""
    call, place = np.nonzero(calls.present)
    rows, scores = calls.rows[call, place], answers.scores[call, place]
    columns: Mapping[str, Any] = {
        "call": call,
        "place": place,
        "round": calls.round[call],
        "group": calls.group[call],
        "id": pool.table.column("id").take(pa.array(rows)),
        "score": pa.array(scores, pa.float64(), mask=np.isnan(scores)),
        "guest": calls.guest[call, place],
        "error": pa.array([answers.errors.get(number) for number in call.tolist()], pa.string()),
        "feedback": pa.array([answers.feedback.get(number) for number in call.tolist()], pa.string()),
    }
    pq.write_table(pa.table(columns), folder / COMPARISONS)


def read_comparisons(folder: Path, pool: Pool) -> tuple[Calls, CallScores]:
    """What `write_comparisons` wrote."""
    table = pq.read_table(folder / COMPARISONS)
    call, place = (table.column(name).to_numpy() for name in ("call", "place"))
    n, width = int(call.max(initial=-1)) + 1, int(place.max(initial=1)) + 1
    rows, guest = np.full((n, width), NOBODY, dtype=np.int64), np.zeros((n, width), dtype=bool)
    scores = np.full((n, width), np.nan)
    rows[call, place] = pool.rows_of(table.column("id"))
    guest[call, place] = table.column("guest").to_numpy(zero_copy_only=False)
    scores[call, place] = table.column("score").to_numpy(zero_copy_only=False)
    group, round_ = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    group[call], round_[call] = table.column("group").to_numpy(), table.column("round").to_numpy()
    told = [
        {
            n: text
            for n, text in zip(call.tolist(), table.column(name).to_pylist(), strict=True)
            if text is not None
        }
        for name in ("error", "feedback")
    ]
    return Calls(rows, group, round_, guest), CallScores(scores, *told)
