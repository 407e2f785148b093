"""As many groups as possible, pass after pass (the rule of InsTag, arXiv 2308.07074, with groups for tags).

Rows are gone through from the highest score down, with no group covered at first. A row is taken when it stands in a
group that the pass has not covered yet; when all rows were seen, the next pass begins with none covered again.

    rows by score: x in {a, b}, y in {a}, z in {c}, w in {b}      pass 1: x (a, b), z (c);  pass 2: y (a), w (b)
"""

from __future__ import annotations

from tacos.allocation.base import best_first, check_scored
from tacos.part import Allocator, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job


@allocator(
    "coverage",
    summary="rows that add a group, best first, pass after pass",
    paper="arXiv 2308.07074",
    needs="groups, scores",
)
class CoverGroups(Allocator):
    """Nothing to set."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when fewer rows have a score."""
        rows = groups.covered
        left = best_first(rows, scores.values[rows]).tolist()
        check_scored(budget, len(left), scores)
        picks: list[Pick] = []
        while len(picks) < budget:
            left = self._pass(left, groups, scores, budget, picks)
        return picks

    @staticmethod
    def _pass(left: list[int], groups: Groups, scores: Scores, budget: int, picks: list[Pick]) -> list[int]:
        """Adds one pass to `picks`; returns the rows that it left, in order."""
        covered: set[int] = set()
        passed_over = []
        for place, row in enumerate(left):
            new = [number for number in groups.homes[row] if number not in covered]
            if not new:
                passed_over.append(row)
                continue
            covered.update(new)
            picks.append(
                Pick(
                    index=row,
                    group=groups.labels[new[0]],
                    reason="adds a group",
                    score=float(scores.values[row]),
                )
            )
            if len(picks) == budget:
                return left[place + 1 :]
        return passed_over
