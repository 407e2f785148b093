"""An equal share for every group (TACOS, released code: 50 clusters x 20 = 1,000).

Groups are served from the smallest to the largest, each taking its best samples that no group took
before it. The released code stops there and may end below the budget, since a small group cannot
fill its share; here what is left goes round again among the groups that still have samples, so the
budget is met and arms stay comparable (`fill=False` for parity).

Worked example, budget 4: groups A (3 samples) and B (1 sample). The share is 2; B gives its 1, A its
best 2, and the one left over goes to A.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from tacos.allocation.base import best_first, check_budget
from tacos.types import Groups, Pick, Scores


class PerGroup:
    """The best `budget // n_groups` of each group, smallest group first."""

    def __init__(self, fill: bool = True):
        self.fill = fill

    def allocate(self, groups: Groups, scores: Scores, budget: int) -> list[Pick]:
        """Raises: BudgetError when fewer samples have a score and the budget is to be met."""
        order = sorted(range(len(groups)), key=lambda g: (len(groups.members[g]), g))
        queues = {g: deque(best_first(groups.members[g], scores.of(groups, g)).tolist()) for g in order}
        if self.fill:
            scored = {row for queue in queues.values() for row in queue}
            check_budget(budget, len(scored), "samples that have a score")
        share, extra = divmod(budget, len(order)) if order else (0, 0)
        quota = {g: share + (place < extra) for place, g in enumerate(reversed(order))}
        picks: list[Pick] = []
        taken: set[int] = set()
        while len(picks) < budget:
            for g in order:
                self._serve(groups.labels[g], queues[g], quota[g], budget, taken, picks)
            if not self.fill:
                break
            quota = {g: int(np.ceil((budget - len(picks)) / len(order))) for g in order}
        return picks

    @staticmethod
    def _serve(
        label: str, queue: deque[int], quota: int, budget: int, taken: set[int], picks: list[Pick]
    ) -> None:
        """Take from the front of `queue` until the quota or the budget is full, or nothing is left."""
        while queue and quota > 0 and len(picks) < budget:
            row = queue.popleft()
            if row not in taken:
                taken.add(row)
                quota -= 1
                picks.append(Pick(index=row, group=label, reason="best of its group"))
