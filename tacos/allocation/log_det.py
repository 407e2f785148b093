"""Rows that span the largest volume: greedy MAP of a determinantal point process (log-det, arXiv 2402.02318).

    take the row that raises  log det L_S  most,  L_ij = q_i cos(i, j) q_j,  until the budget

Worked example, q = 1, cosines a-b 0.8, a-c 0.6: every row has determinant 1 at first, so a is taken; then b leaves
1 - 0.64 = 0.36 and c leaves 1 - 0.36 = 0.64, so c.

The determinant grows by q_i^2 times the squared length of what the taken rows do not span of row i. That is the pivot
of a Cholesky factorisation of L. As L is a product of vectors, the factor is kept in their space, dim x dim, and not
as n x budget.

vectors: (n, dim), brought to unit length. In dim dimensions no more than dim rows have a volume. When nothing is left
to span, a new determinant begins with the rows that were not taken, and `passes` in the done record counts them. Rows
of quality 0 and vectors of zeros come last. Gains are computed in float64 and held to 11 decimals; of equal gains the
first row is taken.
"""

from __future__ import annotations

import numpy as np

from tacos.allocation.base import Quality, VectorAllocator, candidates, picked, qualities, vectors_at
from tacos.allocation.greedy import lazy_greedy
from tacos.cost import Cost
from tacos.part import allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job

DIGITS = 11
"""Decimals of a squared length of 1 that rounding does not reach: copies are equal, and what is spanned is 0."""


@allocator(
    "log_det",
    summary="rows that span the largest volume, weighed by quality",
    paper="arXiv 2402.02318",
    needs="embeddings; scores are weights where there are some",
    cost=Cost(embeddings=1),
)
class LogDet(VectorAllocator):
    """What quality is."""

    reads_scores = None

    quality: Quality = "score"
    """q is the score, which must not be below 0, or its `rank` from the lowest, as a share of the rows."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows, or fewer with a score; ConfigError for a score below 0."""
        rows = candidates(groups, scores, budget)
        weights = qualities(scores.values[rows], self.quality, self.name)
        vectors = vectors_at(job.inputs["vectors"], rows)
        order, passes = determinants(vectors, weights, budget)
        job.metrics["passes"] = passes
        return picked(rows[order], groups, scores, "adds most volume")


def determinants(vectors: np.ndarray, weights: np.ndarray, budget: int) -> tuple[list[int], int]:
    """Rows in the order they are taken, and how many determinants were begun.

    vectors: (n, dim) float32. weights: (n,).
    """
    order: list[int] = []
    left, passes = weights.copy(), 0
    while len(order) < budget:
        taken = spanning(vectors, left, budget - len(order))
        if not taken:
            return order + np.delete(np.arange(len(left)), order)[: budget - len(order)].tolist(), passes
        order += taken
        left[taken] = 0  # which has no volume
        passes += 1
    return order, passes


def spanning(vectors: np.ndarray, weights: np.ndarray, budget: int) -> list[int]:
    """Rows in the order they are taken, as long as one has a volume, at most `budget`.

    vectors: (n, dim) float32. weights: (n,), the q of each row.
    """
    basis = np.zeros((min(budget, *vectors.shape), vectors.shape[1]))
    held = 0
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    outside = np.where(lengths > 0, 1.0, 0.0)  # squared length that the basis does not span
    known = np.zeros(len(vectors), dtype=np.int64)  # vectors of the basis that were taken from it
    lengths[lengths == 0] = 1

    def unit(rows: np.ndarray) -> np.ndarray:
        return np.asarray(vectors[rows].astype(np.float64) / lengths[rows, None])

    def gains(rows: np.ndarray, since: int) -> np.ndarray:
        inside = (unit(rows) @ basis[since:held].T) ** 2
        inside[np.arange(since, held) < known[rows][:, None]] = 0
        outside[rows] -= inside.sum(axis=1)
        known[rows] = held
        return np.asarray(weights[rows] ** 2 * np.round(outside[rows], DIGITS).clip(0))

    def take(row: int) -> None:
        nonlocal held
        rest = unit(np.array([row]))[0]
        for _ in range(2):  # once more, since the first leaves rounding
            rest -= (basis[:held] @ rest) @ basis[:held]
        basis[held] = rest / np.linalg.norm(rest)
        held += 1

    bounds = weights.astype(np.float64) ** 2 + 1
    return lazy_greedy(bounds, gains, take, min(budget, len(basis)), lambda gain: gain > 0)
