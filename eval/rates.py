"""Rates of a judge's decisions, with their intervals: how often the longer answer won, both orders agreed, the first
position won.

Decisions on one question (its two orders, its two turns) belong together. Wilson's interval is taken at the number of
independent decisions that would vary as much (Kish 1965; Korn & Graubard 1998 for shares near 0 and 1), which is at
most the number of decisions:

    questions with hits of decisions  a: 1/2, b: 2/2, c: 0/1   ->  rate 3/5
    V = sum over questions of (hits - rate x decisions)^2 / 5^2 = (.2^2 + .8^2 + .6^2) / 25 = 0.0416
    independent decisions  .6 x .4 / .0416 = 5.77, at most 5
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np

from eval.interval import Interval
from eval.spread import SAME, wilson

Decision = tuple[Hashable, bool]
"""The question that was decided, and whether it is a hit."""


def rate(decisions: Iterable[Decision]) -> Interval | None:
    """The share of hits; `n` is the number of decisions. None where there are none."""
    decided = list(decisions)
    if not decided:
        return None
    places: dict[Hashable, int] = {}
    questions = [places.setdefault(question, len(places)) for question, _ in decided]
    hits = np.array([hit for _, hit in decided], dtype=np.float64)
    n, mean = len(hits), float(hits.mean())
    variance = float((np.bincount(questions, weights=hits - mean) ** 2).sum()) / n**2
    independent = min(n, mean * (1 - mean) / variance) if variance > SAME**2 else len(places)
    return wilson(mean * independent, independent).model_copy(update={"mean": mean, "n": n})


def longer_wins(decided: Iterable[tuple[Hashable, bool, float, float]]) -> Interval | None:
    """Share of decided comparisons that the longer answer won; None where no lengths differ.

    decided: (question, the first won, its length, the other's length); ties are no part of it.
    """
    return rate(
        (question, (first > second) == won) for question, won, first, second in decided if first != second
    )
