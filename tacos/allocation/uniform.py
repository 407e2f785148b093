"""A seeded draw without replacement, of all rows that stand in a group: the baseline of every table."""

from __future__ import annotations

import numpy as np

from tacos.allocation.base import check_budget
from tacos.part import Allocator, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job


@allocator("uniform", summary="a uniform draw", needs="nothing", cost="none")
class Uniform(Allocator):
    """Nothing to set; the draw follows the run's seed."""

    reads_scores = False
    seeded = True

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows."""
        rows = groups.covered
        check_budget(budget, len(rows), "samples in the pool")
        drawn = np.random.default_rng(job.seed).permutation(rows)[:budget]
        return [Pick(index=int(row), reason="uniform draw") for row in drawn]
