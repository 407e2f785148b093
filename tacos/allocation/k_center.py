"""Rows that leave no row far from a taken one: greedy max-min distance (k-center; DiverseEvol, arXiv 2311.08182).

    take the row x with the largest  d(x) = min over the taken s of ||x - s||,  until the budget

Worked example on a line, rows at 0, 1, 5 and 10, row 0 taken at first: distances 0, 1, 5, 10, so the row at 10 is next;
then 0, 1, 5, 0, so the row at 5.

vectors: (n, dim), as they are and not brought to unit length. Squared distances are computed in float64 and held to 12
decimals of the largest squared length; of equal distances the first row is taken.

Where the released code differs (OFA-Sys/DiverseEvol, `kcenter_sampling.py`):
* It holds an n x n matrix in float32 from ||x||^2 - 2 x.s + ||s||^2. Rounding makes that negative for near-copies, its
  root is then not a number, and `argmax` takes such a row first. Ours is 0 there.
* Its first round has 100 random rows, and a model is trained between rounds: that is DiverseEvol, of which this is one
  round; `initial` draws the first rows.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tacos.allocation.base import VectorAllocator, candidates, picked, vectors_at
from tacos.allocation.greedy import lazy_greedy
from tacos.cost import Cost
from tacos.part import allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job

DIGITS = 12
"""Decimals of a squared distance that rounding does not reach, the largest squared length being 1: copies are equal."""


@allocator(
    "k_center",
    summary="the farthest row from all those before it",
    paper="arXiv 2311.08182",
    needs="embeddings",
    cost=Cost(embeddings=1),
)
class KCenter(VectorAllocator):
    """Where it starts."""

    reads_scores = None
    seeded = True

    initial: int = Field(1, ge=0)
    """Rows drawn by the run's seed before the first distance; 0 starts with the first row. DiverseEvol draws 100."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows, or fewer with a score where there are scores."""
        rows = candidates(groups, scores, budget)
        drawn = np.random.default_rng(job.seed).permutation(len(rows))[: min(self.initial, budget)]
        vectors = vectors_at(job.inputs["vectors"], rows)
        order = farthest(vectors, drawn.tolist(), budget)
        first = picked(rows[order[: len(drawn)]], groups, scores, "drawn to start with")
        return first + picked(rows[order[len(drawn) :]], groups, scores, "farthest from those before it")


def farthest(vectors: np.ndarray, first: list[int], budget: int) -> list[int]:
    """`first` and the rows that follow, `budget` in all. vectors: (n, dim) float32."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    scale = squares.max(initial=0) or 1
    centres = np.empty((budget, vectors.shape[1]))
    taken: list[int] = []
    bounds = np.full(len(vectors), np.finfo(np.float64).max)

    def take(row: int) -> None:
        centres[len(taken)] = vectors[row]
        taken.append(row)

    def gains(rows: np.ndarray, since: int) -> np.ndarray:
        start = since + len(first) if since else 0
        if not taken[start:]:
            return bounds[rows]
        products = vectors[rows].astype(np.float64) @ centres[start : len(taken)].T
        squared = (squares[taken[start:]] - 2 * products).min(axis=1) + squares[rows]
        return np.minimum(bounds[rows], np.round(squared / scale, DIGITS).clip(0))

    for row in first:
        take(row)
    bounds[first] = -np.inf
    lazy_greedy(bounds, gains, take, budget - len(first))
    return taken
