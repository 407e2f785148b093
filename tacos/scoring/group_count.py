"""How many groups a row stands in: with tags for groups, the complexity of InsTag (arXiv 2308.07074)."""

from __future__ import annotations

import numpy as np

from tacos.part import Scorer, scorer
from tacos.selection import Scores
from tacos.stage import Job
from tacos.store import tables
from tacos.types import Pool


@scorer(
    "group_count",
    summary="number of groups that a row stands in",
    paper="arXiv 2308.07074",
    needs="groups",
)
class GroupCount(Scorer):
    """Nothing to set."""

    within_groups = True

    def score(self, pool: Pool, job: Job) -> Scores:
        """1 and more; missing where a row stands in no group."""
        homes = tables.groups_of(job.inputs, len(pool)).homes
        counts = np.array([len(homes[row]) if row in homes else np.nan for row in range(len(pool))])
        return Scores(counts, dict.fromkeys(np.flatnonzero(np.isnan(counts)).tolist(), "in no group"))
