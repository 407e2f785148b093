"""What selection makes of a pool: tags, groups, scores, picks.

Each is aligned with the pool by position, and with the outside world by id (`tacos.store.tables`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from tacos.types import Pool, Record


class Score(Record):
    """One sample's number; a score that could not be read is missing (None) and says why."""

    sample_id: str
    value: float | None
    error: str | None = None
    """Why there is no value."""
    std_error: float | None = None
    """Of the value, in its points; None where the scorer does not know it."""


@dataclass(frozen=True)
class Targets:
    """What each row of a pool is worth to each query row.

    values: (n_queries, n_samples) float32, higher is better.
    queries, tasks: the id of each query row, and the task it stands for.
    within: how the values of one task's queries are put together.
    """

    values: np.ndarray
    queries: tuple[str, ...]
    tasks: tuple[str, ...]
    within: Literal["max", "mean"] = "max"

    @cached_property
    def by_task(self) -> dict[str, np.ndarray]:
        """Task -> what each row is worth to it, (n_samples,); in order of appearance."""
        together = np.max if self.within == "max" else np.mean
        rows = np.array(self.tasks)
        return {task: together(self.values[rows == task], axis=0) for task in dict.fromkeys(self.tasks)}

    @property
    def best(self) -> np.ndarray:
        """(n_samples,) float64: what a row is worth to the task it helps most."""
        return np.max(list(self.by_task.values()), axis=0).astype(np.float64)


@dataclass(frozen=True)
class Scores:
    """A number for each row of a pool, higher is better.

    values: (n_samples,) float64, NaN where missing.
    errors: row -> why its value is missing.
    within: where a score holds inside a group only, one array per group, aligned with its members.
    unread: answers that could not be had, where rows share them (one call for two rows); else None.
    targets: of a scorer that is given query rows.
    std_errors: (n_samples,) of values, NaN where missing; None of a scorer that does not know how sure it is.
    """

    values: np.ndarray
    errors: Mapping[int, str] = field(default_factory=dict)
    within: tuple[np.ndarray, ...] | None = None
    unread: int | None = None
    targets: Targets | None = None
    std_errors: np.ndarray | None = None

    @classmethod
    def none(cls, n: int) -> Scores:
        """No score for any of n rows."""
        return cls(np.full(n, np.nan))

    @property
    def scored(self) -> int:
        """Rows that have a score."""
        return int((~np.isnan(self.values)).sum())

    @property
    def failed(self) -> int:
        """Answers that could not be had; rows with an error where each has its own."""
        return len(self.errors) if self.unread is None else self.unread

    def of(self, groups: Groups, number: int) -> np.ndarray:
        """The scores that decide inside one group, aligned with its members."""
        return self.within[number] if self.within is not None else self.values[groups.members[number]]

    def rows(self, pool: Pool) -> Iterator[Score]:
        """One record a row, in the pool's order."""
        for i, (id_, value) in enumerate(zip(pool.ids, self.values, strict=True)):
            missing = bool(np.isnan(value))
            error = self.errors.get(i, "no score") if missing else None
            sure = None if missing or self.std_errors is None else float(self.std_errors[i])
            yield Score(sample_id=id_, value=None if missing else float(value), error=error, std_error=sure)


@dataclass(frozen=True)
class Groups:
    """Groups of samples; a sample may stand in several groups, or in none.

    labels: one name per group.
    members: per group, an int64 array of row numbers in stored order.
    """

    labels: tuple[str, ...]
    members: tuple[np.ndarray, ...]

    @classmethod
    def one(cls, n: int) -> Groups:
        """Everything in a single group."""
        return cls(("all",), (np.arange(n, dtype=np.int64),))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def covered(self) -> np.ndarray:
        """Row numbers that stand in at least one group, ascending."""
        if not self.members:
            return np.empty(0, dtype=np.int64)
        return np.unique(np.concatenate(self.members))

    def first_of(self, n: int) -> np.ndarray:
        """(n,) int64: the number of the first group of each of n rows, -1 for rows in none."""
        first = np.full(n, -1, dtype=np.int64)
        for number in reversed(range(len(self))):
            first[self.members[number]] = number
        return first

    @cached_property
    def homes(self) -> dict[int, list[int]]:
        """Row -> the numbers of the groups it stands in, ascending; rows in none are absent."""
        found: dict[int, list[int]] = {}
        for number, members in enumerate(self.members):
            for row in members.tolist():
                found.setdefault(row, []).append(number)
        return found


@dataclass(frozen=True)
class Tags:
    """Tags of each sample of a pool, aligned by position; errors: row -> why it has none."""

    rows: tuple[tuple[str, ...], ...]
    errors: dict[int, str] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """Samples per tag; a tag counts once in a sample."""
        return Counter(tag for row in self.rows for tag in set(row))

    def tagged(self) -> int:
        """How many samples have a tag."""
        return sum(1 for row in self.rows if row)


class Pick(Record):
    """One row an allocator chose, before it is ranked and named."""

    index: int
    """Its row in the pool."""
    group: str = ""
    """The label of the group that it was taken for; "" where there are none."""
    reason: str = ""
    """Why it was taken, in a few words."""
    score: float | None = None
    """The one that decided, if one did."""
    place: int | None = None
    """Its place in its group, from 1, where groups have shares."""


class Selected(Record):
    """One selected sample: rank from 1, its score and its place in its group if it has one, and why it was taken."""

    sample_id: str
    rank: int
    score: float | None = None
    group: str = ""
    place: int | None = None
    reason: str = ""


class Certainty(Record):
    """How sure a selection is of its rows (`tacos.allocation.certainty`)."""

    std_error: float
    """Median of the selected rows, in points of the score."""
    score_sd: float
    """Standard deviation of the scores of the pool."""
    within_noise: float
    """Share of the selection whose 95% interval holds the cut."""
    expected_above: float
    """Share of the selection that is expected to be above the cut."""


class QuotaGap(Record):
    """An equal number of places for every group beside one cut over all, at the same budget and scores."""

    shared: float
    """Share of the rows that both take."""
    largest_group: float
    """Share of the rows of one cut that come from the group which has most of them."""
    group_sd: float
    """Standard deviation of groups' mean scores beyond chance, over that of all scores: 0 where groups are level."""


class Calibration(Record):
    """Whether the standard errors of scores are right (`tacos.scoring.readout.calibration`)."""

    n: int
    """Scores that were foretold."""
    coverage: dict[str, float]
    """Level, such as "0.9" -> share of scores inside the interval of that level."""
    z_sd: float
    """Root mean square of (score - foretold) / its standard deviation: 1 where errors are right."""
