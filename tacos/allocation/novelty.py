"""The row that is most novel to what is selected, in a dense part of the pool (NovelSelect, arXiv 2502.17184).

    take the row i with the largest  sum_r w_(r) / r^distance_power,  w_(1) <= w_(2) <= ... over the selected j
    w_ij = (1 - cos(i, j)) (rho_i + rho_j)
    rho_i = (mean squared distance of i to its `neighbors` nearest rows)^-density_power

So the nearest selected rows weigh most, and a distance in a dense part of the pool counts for more. The first row is
drawn by the seed as NumPy's older generator draws it; with seed 42 it is the released code's.

Worked example, all densities 1/2, distances to the selected 0.2 and 0.8: 0.2 / 1 + 0.8 / 2 = 0.6.

vectors: (n, dim). Cosines are of unit vectors; densities are of the vectors as they are, among different ones. Another
selected row adds at most its own w by the smallest weight (a sum of sorted products is the smallest of all orders), so
bounds need one product a step, and only rows at the top are computed again (`greedy.py`). Of equal sums the first row
is taken.

Densities compare all rows with all. Above 100,000 rows, or where `compared` is set, a row is compared with those of the
nearest cells alone (`neighbors.py`), so that a density is never too high, but for rounding. Over 20,000 rows of three
random pools it was 0 to 0.3% too low on average by 8,192 `compared`, and 0 to 0.8% by 2,048; of 200 picks all were the
same, and at least 96% (2026-11-26, `scripts/bench/approximate.py`).

Where the released code differs (UmeanNever/NovelSum):
* It computes in half precision on a GPU, where many sums are equal. Parity was held in single precision.
* It does not exclude what is selected. A selected row has distance 0 to itself, so that it rarely comes again.
* It divides the sum by the number of the selected, which changes no choice.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tacos.allocation.base import VectorAllocator, candidates, picked, vectors_at
from tacos.allocation.greedy import lazy_greedy
from tacos.allocation.neighbors import kinds, nearest
from tacos.cost import Cost
from tacos.models.embedder import unit_rows
from tacos.part import allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job

SMALLEST = 1e-9
"""Added to a mean squared distance, so that copies have a density too (the released code's value)."""
SLACK = 1e-6
"""Raises a distance in single precision above what it may have lost."""
DIGITS = 11
"""Decimals of a sum that rounding does not reach, the densest pair being 1: copies are equal."""


@allocator(
    "novelty",
    summary="the row most novel to those before it, where the pool is dense",
    paper="arXiv 2502.17184",
    needs="embeddings",
    cost=Cost(embeddings=1),
)
class Novelty(VectorAllocator):
    """How density and rank weigh."""

    reads_scores = None
    seeded = True

    neighbors: int = Field(10, ge=1)
    """Nearest rows whose distance makes the density."""
    density_power: float = Field(0.5, ge=0)
    distance_power: float = Field(1.0, ge=0)
    compared: int | None = Field(None, ge=1)
    """Rows of the nearest cells among which neighbors are searched; null is all up to 100,000 rows, and 8,192 above."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows, or fewer with a score where there are scores."""
        rows = candidates(groups, scores, budget)
        if not budget:
            return []
        vectors = vectors_at(job.inputs["vectors"], rows)
        density = densities(vectors, self.neighbors, self.density_power, self.compared, job.seed)
        first = int(np.random.RandomState(job.seed).randint(0, len(rows)))
        weights = 1 / np.arange(1, budget + 1) ** self.distance_power
        order = novel(vectors, density, weights, first)
        return picked(rows[order], groups, scores, "most novel to those before it")


def densities(
    vectors: np.ndarray, neighbors: int, power: float, compared: int | None = None, seed: int = 0
) -> np.ndarray:
    """(n,) float64. vectors: (n, dim) float32. compared, seed: of the search for neighbors."""
    place = kinds(vectors)
    first = np.unique(place, return_index=True)[1]
    distinct = vectors if len(first) == len(vectors) else vectors[first]
    near = nearest(distinct, distinct, neighbors + 1, compared, seed)
    others = near.squared.shape[1] - 1
    # one of them is the row itself; among near-copies rounding may have put another in its place
    own = near.rows == np.arange(len(distinct))[:, None]
    total = np.where(own, 0, near.squared).sum(axis=1, dtype=np.float64)
    total -= np.where(own.any(axis=1), 0, near.squared.max(axis=1))
    return np.asarray((total / max(others, 1) + SMALLEST) ** -power)[place]


def novel(vectors: np.ndarray, density: np.ndarray, weights: np.ndarray, first: int) -> list[int]:
    """`first` and the rows that follow, one for each of the weights.

    vectors: (n, dim) float32. density: (n,). weights: of the ranks, falling.
    """
    from sklearn.preprocessing import normalize

    unit = unit_rows(vectors)
    centres = np.empty((len(weights), vectors.shape[1]))
    taken: list[int] = []
    bounds = np.zeros(len(unit))

    def exact(rows: np.ndarray) -> np.ndarray:
        return np.asarray(normalize(vectors[rows].astype(np.float64)))

    def gains(rows: np.ndarray, since: int) -> np.ndarray:
        cosines = exact(rows) @ centres[: len(taken)].T
        apart = np.maximum(1 - cosines, 0) * (density[rows][:, None] + density[taken])
        sums = np.sort(apart, axis=1) @ weights[: len(taken)]
        return np.asarray(np.round(sums / scale, DIGITS))

    def take(row: int) -> None:
        apart = np.maximum(1 + SLACK - unit @ unit[row], 0) * (density + density[row])
        bounds[:] += apart * (weights[len(taken)] / scale)
        centres[len(taken)] = exact(np.array([row]))[0]
        taken.append(row)

    scale = 2 * density.max()
    take(first)
    bounds[first] = -np.inf
    lazy_greedy(bounds, gains, take, len(weights) - 1, rising=True)
    return taken
