"""An equal share for every group (TACOS, released code: 50 clusters x 20 = 1,000).

Groups are served from the smallest to the largest, each taking its best samples that no group took
before it. The released code stops there and may end below the budget, since a small group cannot
fill its share; here what is left goes round again among the groups that still have samples, so the
budget is met and arms stay comparable (`fill=False` for parity).

Worked example, budget 4: groups A (3 samples) and B (1 sample). The share is 2; B gives its 1, A its
best 2, and the one left over goes to A.

Picks come back by their place in their group, the best of every group first, so that the first half of a selection
is the better half of each group.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from tacos.allocation.base import RankingAllocator, best_first, check_scored
from tacos.part import allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job


@allocator(
    "per_group",
    summary="an equal share of each group, its best first",
    paper="arXiv 2507.03673",
    needs="groups, scores",
)
class PerGroup(RankingAllocator):
    """The best `budget // n_groups` of each group, smallest group first."""

    fill: bool = True
    """Hand what small groups leave over to the others, so that the budget is met."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when fewer samples have a score and the budget is to be met."""
        scores = self.cautious(scores)
        order = sorted(range(len(groups)), key=lambda g: (len(groups.members[g]), g))
        queues = {g: _Queue(groups, scores, g) for g in order}
        if self.fill:
            scored = {row for queue in queues.values() for row in queue.rows}
            check_scored(budget, len(scored), scores)
        share, extra = divmod(budget, len(order)) if order else (0, 0)
        quota = {g: share + (place < extra) for place, g in enumerate(reversed(order))}
        picks: list[Pick] = []
        taken: set[int] = set()
        while len(picks) < budget:
            for g in order:
                queues[g].serve(min(quota[g], budget - len(picks)), taken, picks)
            if not self.fill:
                break
            quota = {g: int(np.ceil((budget - len(picks)) / len(order))) for g in order}
        return sorted(picks, key=lambda pick: (pick.place or 0, -(pick.score or 0.0)))


class _Queue:
    """The scored rows of one group, best first."""

    def __init__(self, groups: Groups, scores: Scores, number: int):
        members, values = groups.members[number], scores.of(groups, number)
        self.label = groups.labels[number]
        self.rows = deque(best_first(members, values).tolist())
        self.served = 0
        self.score = dict(zip(members.tolist(), values.tolist(), strict=True))

    def serve(self, quota: int, taken: set[int], picks: list[Pick]) -> None:
        """Take from the front until the quota is full or nothing is left."""
        while self.rows and quota > 0:
            row = self.rows.popleft()
            if row not in taken:
                taken.add(row)
                quota -= 1
                self.served += 1
                picks.append(
                    Pick(
                        index=row,
                        group=self.label,
                        reason="best of its group"
                        if self.served == 1
                        else f"place {self.served} of its group",
                        score=self.score[row],
                        place=self.served,
                    )
                )
