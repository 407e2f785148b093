"""The highest scores of the whole pool, whatever their group (TACOS figure 2; longest; AlpaGasus)."""

from __future__ import annotations

import numpy as np

from tacos.allocation.base import best_first, check_budget, first_group
from tacos.types import Groups, Pick, Scores


class Top:
    """Sort all scored rows that stand in a group and take the first `budget`."""

    def allocate(self, groups: Groups, scores: Scores, budget: int) -> list[Pick]:
        """Raises: BudgetError when fewer rows have a score."""
        rows = groups.covered
        order = best_first(rows, scores.values[rows])
        check_budget(budget, len(order), "samples that have a score")
        home = first_group(groups)
        return [Pick(index=row, group=home[row], reason="top score") for row in order[:budget].tolist()]


class Uniform:
    """A seeded draw without replacement; scores are not looked at."""

    def __init__(self, seed: int):
        self.seed = seed

    def allocate(self, groups: Groups, scores: Scores, budget: int) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows."""
        rows = groups.covered
        check_budget(budget, len(rows), "samples in the pool")
        drawn = np.random.default_rng(self.seed).permutation(rows)[:budget]
        return [Pick(index=int(row), reason="uniform draw") for row in drawn]
