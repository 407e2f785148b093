"""Rows that together are like every row of the pool, and good (QDIT, arXiv 2311.14736; facility location).

    f(S) = (1 - alpha) sum_v max_{s in S} max(0, cos(v, s))  +  alpha sum_{s in S} quality(s)      greedy

v runs over all rows that stand in a group, S over those of them that have a score. alpha = 0 is coverage alone
(Superfiltering's diversity step); without scores quality is the same for all, so coverage alone decides then too.

Worked example, alpha 0, cosines a-b 0.8, a-c 0, b-c 0.6: gains 1.8, 2.4, 1.6, so b; then a adds 0.2 and c 0.4, so c.

vectors: (n, dim), brought to unit length. Scores enter as they are: coverage is a sum over n rows, so that a score of
1 to 5 weighs little in a large pool at any alpha below 1, as in the paper. Of equal gains the first row is taken;
copies of a vector share one gain, since single precision would tell them apart.

Gains never rise, so most are never computed twice (`greedy.py`). Up to `WHOLE` rows the cosines are kept, n x n; above
that they are made again in blocks. Held to submodlib-py 0.0.3, which also counts a negative cosine as 0.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from pydantic import Field

from tacos.allocation.base import VectorAllocator, candidates, picked
from tacos.allocation.greedy import lazy_greedy
from tacos.cost import Cost
from tacos.models.embedder import unit_rows
from tacos.part import allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job
from tacos.store import tables

WHOLE = 20_000
"""Rows up to which all cosines are kept, 1.6 GB."""
ROWS, COLUMNS = 64, 4096
"""Of a block of cosines: 1 MiB, which a CPU's cache holds."""


@allocator(
    "facility_location",
    summary="rows that are like all of the pool, weighed against quality",
    paper="arXiv 2311.14736",
    needs="embeddings; scores for alpha above 0",
    cost=Cost(embeddings=1),
)
class FacilityLocation(VectorAllocator):
    """What coverage and quality weigh."""

    reads_scores = None

    alpha: float = Field(0.7, ge=0, le=1)
    """Weight of quality; 0 is coverage alone. 0.7 is MIG's reproduction of QDIT."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows, or fewer with a score."""
        chosen = candidates(groups, scores, budget)
        unit = unit_rows(tables.read_vectors(job.inputs["vectors"])[groups.covered])
        places = np.searchsorted(groups.covered, chosen)
        quality = np.nan_to_num(scores.values[chosen])
        taken = covering(unit, places, quality, self.alpha, budget)
        return picked(chosen[taken], groups, scores, "covers most of the pool")


def covering(
    unit: np.ndarray, places: np.ndarray, quality: np.ndarray, alpha: float, budget: int
) -> list[int]:
    """Numbers of `places` in the order they are taken.

    unit: (n, dim) float32, what is covered. places: rows of it that may be taken. quality: (len(places),).
    """
    whole = unit @ unit.T if len(unit) <= WHOLE else None
    covered = np.zeros(len(unit), dtype=np.float32)
    queues = copies(unit[places], quality)
    taken: list[int] = []

    def cosines(rows: np.ndarray, columns: slice) -> np.ndarray:
        return whole[rows, columns] if whole is not None else unit[rows] @ unit[columns].T

    def added(rows: np.ndarray) -> np.ndarray:
        total = np.zeros(len(rows))
        for start in range(0, len(unit), COLUMNS):
            columns = slice(start, start + COLUMNS)
            new = cosines(rows, columns)
            new -= covered[columns]
            total += np.maximum(new, 0, out=new).sum(axis=1, dtype=np.float64)
        return total

    def gains(kinds: np.ndarray, since: int) -> np.ndarray:
        heads = np.array([queues[kind][0] for kind in kinds.tolist()])
        parts = [added(places[heads[at : at + ROWS]]) for at in range(0, len(heads), ROWS)]
        return (1 - alpha) * np.concatenate(parts) + alpha * quality[heads]

    def take(kind: int) -> None:
        taken.append(queues[kind].popleft())
        np.maximum(covered, cosines(places[taken[-1:]], slice(None))[0], out=covered)
        if queues[kind]:
            bounds[kind] = np.inf

    bounds = np.full(len(queues), np.inf)
    lazy_greedy(bounds, gains, take, budget)
    return taken


def copies(vectors: np.ndarray, quality: np.ndarray) -> list[deque[int]]:
    """Rows of the same vector together, the best first, so that their gains are one number; in order of appearance."""
    _, first, kind = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[kind.reshape(-1)]
    queues: list[deque[int]] = [deque() for _ in first]
    for row in np.argsort(-quality, kind="stable").tolist():
        queues[place[row]].append(row)
    return queues
