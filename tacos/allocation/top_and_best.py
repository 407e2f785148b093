"""The top of the whole pool, and the best of every cluster that it leaves out (CaR, arXiv 2402.18191, section 3.2).

    n1 highest scores of all  +  the n2 highest of each cluster, as far as they are not there already

With n1 = 1,000 and n2 = 1 the released selection has 1,013 of Alpaca's 52,002 rows: 13 of 161 clusters had no row among
the top.
A budget says how many rows there are to be, so n1 follows from it: each further row at the top either is its
cluster's best, which is in already, or makes the selection one row larger.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tacos.allocation.base import RankingAllocator, best_first, check_scored, first_group
from tacos.errors import BudgetError
from tacos.part import allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job


@allocator(
    "top_and_best",
    summary="the highest scores of all, and the best of every group they leave out",
    paper="arXiv 2402.18191",
    needs="groups, scores",
)
class TopAndBest(RankingAllocator):
    """CaR's n1 and n2."""

    top: int | None = Field(None, ge=0)
    """n1; None is as many as the budget has room for."""
    per_group: int = Field(1, ge=0)
    """n2."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """The top first, then the clusters' best, each by score. A row in several clusters counts for each.

        With a fixed n1 the budget is an upper limit. Raises: BudgetError when it does not hold n1 rows and the
            clusters' best, or, where n1 follows from it, the clusters' best, or when fewer rows have a score.
        """
        scores = self.cautious(scores)
        order = best_first(groups.covered, scores.values[groups.covered])
        best = self._best(groups, scores)
        top = self._top(order, best, budget, scores)
        home = first_group(groups)
        chosen = [(row, home[row], "top score") for row in order[:top].tolist()]
        chosen += [(row, best[row], "best of its cluster") for row in order[top:].tolist() if row in best]
        return [
            Pick(index=row, group=group, reason=reason, score=float(scores.values[row]))
            for row, group, reason in chosen
        ]

    def _best(self, groups: Groups, scores: Scores) -> dict[int, str]:
        """Row -> the first cluster whose n2 best it is among."""
        best: dict[int, str] = {}
        for label, members in zip(groups.labels, groups.members, strict=True):
            for row in best_first(members, scores.values[members])[: self.per_group].tolist():
                best.setdefault(row, label)
        return best

    def _top(self, order: np.ndarray, best: dict[int, str], budget: int, scores: Scores) -> int:
        """How many of `order` the top takes."""
        extra = np.array([row not in best for row in order.tolist()], dtype=np.int64)
        sizes = len(best) + np.concatenate([[0], np.cumsum(extra)])  # of the selection, by n1
        if self.top is not None:
            top = min(self.top, len(order))
            if sizes[top] > budget:
                raise BudgetError(
                    f"the top {top:,} and the best of their clusters are {sizes[top]:,} rows, above the budget "
                    f"{budget:,}: ask for {sizes[top]:,}, or leave the size of the top to the budget"
                )
            return top
        check_scored(budget, len(order), scores)
        if len(best) > budget:
            raise BudgetError(
                f"the best of {len(set(best.values())):,} clusters are {len(best):,} rows, above the budget "
                f"{budget:,}: ask for more rows, or for fewer groups (group.k; group.clustering.k of tags)"
            )
        return int(np.searchsorted(sizes, budget, side="right")) - 1
