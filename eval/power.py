"""How small a difference an experiment can find, from how far questions and seeds lie apart.

A paired difference of question i with seed s is  d + a_i + b_s + e_is:  questions on which one arm is better whatever
the seed, seeds of selection and training that turned out well, and chance on a single question (decoding, a small
change of the weights). Their variances come from a finished run by a two-way analysis of variance without replication
(Searle, Casella & McCulloch 1992, chapter 4), with MS the mean squares of questions (Q), seeds (S) and the rest (E):

    var a = (MS_Q - MS_E) / seeds      var b = (MS_S - MS_E) / questions      var e = MS_E

What n questions and k seeds can find follows the interval of `eval.stats`: its variance is expected to be
var a / n + var b / k + 2 var e / (n k), and the smallest difference that 80% of repeats find is (t(.975) + t(.8)) times
its root, with Satterthwaite's degrees of freedom. One seed cannot see b: what it finds is of these models.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from eval.spread import ALPHA, satterthwaite, t_point
from tacos.types import Record

POWER = 0.8
MOST_QUESTIONS, MOST_SEEDS = 1_000_000, 100
"""Above these no experiment is proposed."""


class Variation(Record):
    """Standard deviations of paired differences, in the measure's unit."""

    question: float
    """Of questions, whatever the seed; of one seed alone, chance is in it."""
    chance: float = 0.0
    """Of one question from seed to seed, beside `seed`."""
    seed: float | None = None
    """Of whole seeds: their selection and training. None where only one was seen."""

    def smallest(self, questions: int, seeds: int = 1) -> float:
        """The smallest difference that 80% of repeats find, in the measure's unit."""
        if questions < 2:
            return math.inf
        shared = self.chance**2 / (questions * seeds)
        parts = [(self.question**2 / questions + shared, questions - 1)]
        if seeds > 1:
            parts.append(((self.seed or 0.0) ** 2 / seeds + shared, seeds - 1))
        variance, df = satterthwaite(parts)
        if not variance:
            return 0.0
        return float((t_point(1 - ALPHA / 2, df) + t_point(POWER, df)) * variance**0.5)

    def questions_for(self, difference: float, seeds: int = 1) -> int | None:
        """How many questions find `difference`; None where no number does, since seeds differ by too much."""

        def found(n: int) -> bool:
            return self.smallest(n, seeds) <= difference

        # With few seeds many questions leave few degrees of freedom, so more of them can find less.
        grid = sorted({2, *np.geomspace(2, MOST_QUESTIONS, 200).round().astype(int).tolist()})
        place = next((i for i, n in enumerate(grid) if found(n)), None)
        if not place:
            return None if place is None else grid[0]
        return bisect_left(range(grid[place]), True, lo=grid[place - 1], key=found)

    def seeds_for(self, difference: float, questions: int) -> int | None:
        """How many seeds find `difference`; None where no number does, since there are too few questions."""
        return next((k for k in range(1, MOST_SEEDS + 1) if self.smallest(questions, k) <= difference), None)


def variation(gaps: ArrayLike) -> Variation | None:
    """gaps: (seeds, questions) paired differences. None for fewer than two questions."""
    cells = np.asarray(gaps, dtype=np.float64)
    seeds, questions = cells.shape
    if questions < 2:
        return None
    by_question, by_seed = cells.mean(axis=0), cells.mean(axis=1)
    if seeds < 2:
        return Variation(question=float(by_question.std(ddof=1)))
    rest = cells - by_question - by_seed[:, None] + cells.mean()
    chance = float((rest**2).sum()) / ((seeds - 1) * (questions - 1))
    question = by_question.var(ddof=1) - chance / seeds
    seed = by_seed.var(ddof=1) - chance / questions
    return Variation(question=_root(question), chance=_root(chance), seed=_root(seed))


def pooled(found: Sequence[Variation]) -> Variation | None:
    """Of several arms: the mean variances of those with the most to say, several seeds before one. None for no arm."""
    best = [one for one in found if one.seed is not None] or list(found)
    if not best:
        return None
    seeds = [one.seed for one in best if one.seed is not None]
    return Variation(
        question=_mean_square([one.question for one in best]),
        chance=_mean_square([one.chance for one in best]),
        seed=_mean_square(seeds) if seeds else None,
    )


def _root(variance: float) -> float:
    """An estimate of a variance below 0 is 0."""
    return float(max(variance, 0.0) ** 0.5)


def _mean_square(sds: Sequence[float]) -> float:
    return float(np.mean(np.square(sds)) ** 0.5)
