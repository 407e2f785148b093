"""Every row that stands in a group, in stored order; the budget is not applied."""

from __future__ import annotations

from tacos.part import Allocator, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job


@allocator("all", summary="every row, whatever the budget", needs="nothing")
class Everything(Allocator):
    """Nothing to set."""

    reads_scores = False
    budgeted = False

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        return [Pick(index=int(row), reason="whole pool") for row in groups.covered]
