"""The highest scores of the whole pool, whatever their group (TACOS figure 2; longest; AlpaGasus).

Scores that hold inside a group come with a mean over a row's groups, and that mean decides here: it ranks rows of
different groups by comparisons with different neighbours.
"""

from __future__ import annotations

from tacos.allocation.base import best_first, check_scored, first_group
from tacos.part import Allocator, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job


@allocator("top", summary="the highest scores of all", paper="arXiv 2507.03673", needs="scores", cost="none")
class Top(Allocator):
    """Sort all scored rows that stand in a group and take the first of them."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when fewer rows have a score."""
        rows = groups.covered
        order = best_first(rows, scores.values[rows])
        check_scored(budget, len(order), scores)
        home = first_group(groups)
        return [
            Pick(index=row, group=home[row], reason="top score", score=float(scores.values[row]))
            for row in order[:budget].tolist()
        ]
