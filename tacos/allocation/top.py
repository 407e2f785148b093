"""The highest scores of the whole pool, whatever their group (TACOS figure 2; longest; AlpaGasus).

Scores that hold inside a group come with a mean over a row's groups, and that mean decides here: it ranks rows of
different groups by comparisons with different neighbours.

AlpaGasus keeps what is rated 4.5 or higher of 5. With a budget, `least: 4.5` and `ties: random` take the 5.0 first,
then a uniform draw of the 4.5.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tacos.allocation.base import RankingAllocator, best_first, check_scored, picked
from tacos.errors import BudgetError
from tacos.part import Setup, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job


@allocator("top", summary="the highest scores of all", paper="arXiv 2507.03673", needs="scores")
class Top(RankingAllocator):
    """Sort all scored rows that stand in a group and take the first of them."""

    least: float | None = None
    """Rows with a lower score are not taken; None takes any."""
    ties: Literal["stored", "random"] = "stored"
    """Equal scores in stored order, or drawn by the seed."""

    def identity(self, setup: Setup) -> dict[str, Any]:
        return super().identity(setup) | ({"seed": setup.seed} if self.ties == "random" else {})

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when fewer rows have a score, or one that is high enough."""
        scores = self.cautious(scores)
        order = self._order(groups.covered, scores.values, job)
        check_scored(budget, len(order), scores)
        if self.least is not None:
            enough = int((scores.values[order] >= self.least).sum())
            if budget > enough:
                raise BudgetError(
                    f"budget {budget:,} is above the {enough:,} samples with a score of {self.least:g} or more: ask "
                    f"for at most {enough:,}, or lower allocate.least"
                )
        return picked(order[:budget], groups, scores, "top score")

    def _order(self, rows: np.ndarray, values: np.ndarray, job: Job) -> np.ndarray:
        order = best_first(rows, values[rows])
        if self.ties == "stored":
            return order
        drawn = np.random.default_rng(job.seed).permutation(order)
        return np.asarray(drawn[np.argsort(-values[drawn], kind="stable")])
