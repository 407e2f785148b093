"""A number drawn for each row: what a group or an allocator does by itself, with the scorer taken out."""

from __future__ import annotations

import numpy as np

from tacos.part import Scorer, scorer
from tacos.selection import Scores
from tacos.stage import Job
from tacos.types import Pool


@scorer("random", summary="a uniform draw for each row", needs="nothing")
class RandomScore(Scorer):
    """Nothing to set; the draw follows the run's seed."""

    seeded = True

    def score(self, pool: Pool, job: Job) -> Scores:
        """In [0, 1)."""
        return Scores(np.random.default_rng(job.seed).random(len(pool)))
