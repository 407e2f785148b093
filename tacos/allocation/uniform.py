"""A seeded draw without replacement, of all rows that stand in a group: the baseline of every table.

Balanced, every source (or group) has an equal share, and what small ones leave is handed on (`diverse.py`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tacos.allocation.base import candidates, first_group, picked
from tacos.allocation.diverse import diverse_rows
from tacos.errors import PoolError
from tacos.part import Allocator, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job
from tacos.types import Pool


@allocator("uniform", summary="a uniform draw", needs="nothing")
class Uniform(Allocator):
    """The draw follows the run's seed."""

    reads_scores = False
    seeded = True

    balanced: Literal["source", "group"] | None = None
    """Draw an equal share of each source that rows name, or of each group; a row counts for its first group."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows; PoolError for a balance of sources that no row names."""
        rows = candidates(groups, scores, budget)
        rng = np.random.default_rng(job.seed)
        if self.balanced is None:
            return [Pick(index=int(row), reason="uniform draw") for row in rng.permutation(rows)[:budget]]
        names = sources(job.pool()) if self.balanced == "source" else first_group(groups)
        _, shares = np.unique([names[row] for row in rows.tolist()], return_inverse=True)
        drawn = diverse_rows(shares, np.arange(len(rows)), budget, rng)
        return picked(rows[rng.permutation(drawn)], groups, scores, f"balanced draw per {self.balanced}")


def sources(pool: Pool) -> dict[int, str]:
    """Row -> its source. Raises: PoolError where no row names one."""
    names = [name or "" for name in pool.table.column("source").to_pylist()]
    if not any(names):
        raise PoolError(
            "allocate.balanced=source: no row of the pool names a source; leave it out, or balance groups"
        )
    return dict(enumerate(names))
