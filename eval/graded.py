"""How a score follows the grades of an alteration: does it fall when answers are made worse, step by step?

    row    as it is   25% cut   50% cut   75% cut
    a         8          7         5         2       falls at every step, tau -1
    b         6          6         4         5       falls at the second step alone, tau -1/2

    falls: 25% 1/2, 50% 2/2, 75% 1/2     mean score 7, 6.5, 4.5, 3.5     tau -0.75

A step is held against the grade before it, a change against the answer as it is. Scores are first put on one scale:
each step's are those of one pool, and count in standard deviations from the mean of that pool's rows that no pool has
altered (`standardised`). So scorers of any scale compare, and so do scores of a model that was fitted on each pool
anew. A row that lacks a score at any grade is in no figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.interval import Interval
from eval.ranks import mean_tau
from eval.spread import wilson
from eval.stats import against
from tacos.types import Record

AS_IT_IS = "as it is"


class Grade(Record):
    """One step of an alteration."""

    name: str
    score: float
    """Mean score, in standard deviations of the scorer from the mean of the rows as they are."""
    change: Interval | None = None
    """Less the score of the answer as it is; None for that answer itself."""
    falls: Interval | None = None
    """Share of rows that score below the grade before; None for the answer as it is."""
    rises: Interval | None = None
    """Share of rows that score above it; the rest is tied."""


class Graded(Record):
    """One kind of alteration."""

    kind: str
    n: int
    """Rows with a score at every grade."""
    grades: list[Grade]
    """The answer as it is, and then the mildest first; empty where `n` is 0."""
    tau: Interval | None
    """Kendall's, of grade and score, mean over rows: -1 where every step lowers every score, 0 where none says
    anything, above 0 where the scorer prefers what was made worse."""


SAME = 6
"""Digits after which two scores are one: models that read other batches differ in the last ones."""


def standardised(scores: np.ndarray, as_they_are: np.ndarray) -> np.ndarray:
    """(n_pools, n_rows), each pool's scores less the mean of its rows as they are, over their standard deviation, or
    over 1 where they are all the same. NaN where missing, and everywhere in a pool of which no such row has a score.

    as_they_are: (n_rows,) bool, rows that are the same in all pools.
    """
    found = np.full(scores.shape, np.nan)
    for number, pool in enumerate(scores):
        known = pool[as_they_are & ~np.isnan(pool)]
        if len(known):
            found[number] = np.round((pool - known.mean()) / (known.std() or 1.0), SAME)
    return found


def graded(kind: str, names: Sequence[str], scores: np.ndarray) -> Graded:
    """scores: (n_rows, 1 + grades), first those of the answers as they are; NaN where missing."""
    known = scores[~np.isnan(scores).any(axis=1)]
    if not len(known):
        return Graded(kind=kind, n=0, grades=[], tau=None)
    found = [Grade(name=AS_IT_IS, score=float(known[:, 0].mean()))]
    for at, name in enumerate(names, start=1):
        step, n = known[:, at] - known[:, at - 1], len(known)
        found.append(
            Grade(
                name=name,
                score=float(known[:, at].mean()),
                change=against([known[:, at] - known[:, 0]], 0.0).interval,
                falls=wilson(int((step < 0).sum()), n),
                rises=wilson(int((step > 0).sum()), n),
            )
        )
    return Graded(kind=kind, n=len(known), grades=found, tau=mean_tau(known))
