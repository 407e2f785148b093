"""Walk down the scores and keep what is unlike all that is kept (Deita, arXiv 2312.15685, section 3.3).

    take the best row;  take the next row x if  max over the taken s of cos(x, s) <= threshold;  until the budget

Worked example, threshold 0.9, rows by score a b c d: cos(a, b) = 0.95, every other cosine 0.5. a is taken, b is passed
over, c and d are taken.

vectors: (n, dim), brought to unit length; a row of zeros is unlike everything. Rows of equal score keep stored order.

Where the released code differs (hkust-nlp/deita, `selection/filter`):
* It sorts by pandas' unstable quicksort, so that the order of rows of equal score is nobody's choice.
* With `batch_size` above 1 a row is also dropped for being like a batch-mate that was itself dropped. Ours is batch 1.
* When the walk ends below the budget, it returns fewer rows. So does `fill: false`; by default the best of those that
  were passed over follow, so that arms stay comparable.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tacos.allocation.base import VectorAllocator, best_first, check_scored, picked
from tacos.cost import Cost
from tacos.models.embedder import unit_rows
from tacos.part import allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job
from tacos.store import tables

BLOCK = 1024
"""Rows that are compared in one product, and kept ones that they are compared with."""


@allocator(
    "cosine_filter",
    summary="the highest scores that are unlike all those before them",
    paper="arXiv 2312.15685",
    needs="scores, embeddings",
    cost=Cost(embeddings=1),
)
class CosineFilter(VectorAllocator):
    """Where likeness begins."""

    threshold: float = Field(0.9, ge=-1, le=1)
    """Highest cosine to a taken row that is accepted."""
    fill: bool = True
    """Meet the budget with the best of the rows that were passed over."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when fewer rows have a score and the budget is to be met."""
        rows = best_first(groups.covered, scores.values[groups.covered])
        if self.fill:
            check_scored(budget, len(rows), scores)
        places = unlike(tables.read_vectors(job.inputs["vectors"]), rows, self.threshold, budget)
        job.metrics["unlike"] = len(places)
        kept = picked(rows[places], groups, scores, "unlike those before it")
        if not self.fill:
            return kept
        passed_over = np.delete(rows, places)[: budget - len(kept)]
        return kept + picked(passed_over, groups, scores, "fills the budget")


def unlike(vectors: np.ndarray, rows: np.ndarray, threshold: float, budget: int) -> np.ndarray:
    """Places in `rows` of what the walk takes, ascending, at most `budget`.

    vectors: (n, dim) float32. rows: row numbers in the order of the walk.
    """
    kept = np.empty((min(budget, len(rows)), vectors.shape[1]), dtype=np.float32)
    places: list[int] = []
    for start in range(0, len(rows), BLOCK):
        block = unit_rows(vectors[rows[start : start + BLOCK]])
        open_ = np.arange(len(block))
        for at in range(0, len(places), BLOCK):
            old = kept[at : min(at + BLOCK, len(places))]
            open_ = open_[(block[open_] @ old.T).max(axis=1) <= threshold]
        alike = block[open_] @ block[open_].T > threshold
        out = np.zeros(len(open_), dtype=bool)
        for place, row in enumerate(open_.tolist()):
            if len(places) == len(kept):
                return np.array(places, dtype=np.int64)
            if not out[place]:
                kept[len(places)] = block[row]
                places.append(start + row)
                out |= alike[place]
    return np.array(places, dtype=np.int64)
