"""Rows that together are like every row of the pool, and good (QDIT, arXiv 2311.14736; facility location).

    f(S) = (1 - alpha) sum_v max_{s in S} max(0, cos(v, s))  +  alpha sum_{s in S} quality(s)      greedy

v runs over all rows that stand in a group, S over those of them that have a score. alpha = 0 is coverage alone; without
scores quality is the same for all, so coverage alone decides then too. Superfiltering's diversity step (2402.00530) has
both run over the `best` fifth by score, and exp(-|v - s| / dim) for the cosine.

Worked example, alpha 0, cosines a-b 0.8, a-c 0, b-c 0.6: gains 1.8, 2.4, 1.6, so b; then a adds 0.2 and c 0.4, so c.

vectors: (n, dim), brought to unit length. Scores enter as they are: coverage is a sum over n rows, so that a score of
1 to 5 weighs little in a large pool at any alpha below 1, as in the paper. Of equal gains the first row is taken;
copies of a vector share one gain, since single precision would tell them apart.

Gains never rise, so most are never computed twice (`greedy.py`). Up to 20,000 rows the cosines are kept, n x n; above
that they are made again, and time grows with n x n: two minutes of a core for 52,000 rows to 1,000. Held to
submodlib-py 0.0.3, which also counts a negative cosine as 0.

For large pools `neighbors` counts for each v the cosines to its nearest rows alone, and 0 for others (Lindgren, Wu and
Dimakis, NeurIPS 2016), so that time grows with n: a million rows to 10,000 in about 3 minutes on one core. With 64
of them the objective was 99% to 101% of that of exact greedy over three random pools of 20,000 rows, and a uniform
draw's 72% to 86%; greedy is itself no optimum, so it can be passed. Above 100,000 rows the search for neighbors misses
some (`neighbors.py`); with such a search the objective was 95% to 101% (2026-11-26, `scripts/bench/approximate.py`).
"""

from __future__ import annotations

import logging
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from tacos.allocation.base import VectorAllocator, candidates, check_budget, picked, vectors_at
from tacos.allocation.covered import (
    WHOLE,
    AllCosines,
    Euclidean,
    Like,
    MadeCosines,
    NearCosines,
    as_they_are,
)
from tacos.allocation.greedy import lazy_greedy
from tacos.allocation.neighbors import kinds, nearest
from tacos.cost import Cost
from tacos.errors import ConfigError
from tacos.models.embedder import unit_rows
from tacos.part import Setup, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job

log = logging.getLogger(__name__)
LARGE = 100_000
"""Rows above which the log says that all cosines take long: minutes here, and four times as long for twice as many."""


class Search(NamedTuple):
    """neighbors: of a row, how many. compared, seed: of the search for them."""

    neighbors: int
    compared: int | None
    seed: int

    def covers(self, takers: np.ndarray, unit: np.ndarray, like: Like) -> NearCosines:
        """takers: rows that may be taken. unit: rows that are covered."""
        return NearCosines(nearest(unit, takers, *self), len(takers), like)


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

    similarity: Literal["cosine", "euclidean"] = "cosine"
    """euclidean is exp(-distance / dim), submodlib's of that name."""
    best: float | None = Field(None, gt=0, le=1)
    """Share of the rows, those with the highest scores, that is chosen from and covered; null is all."""
    neighbors: int | None = Field(None, ge=1)
    """Nearest rows that can cover a row, for large pools; null is all rows, exactly."""
    compared: int | None = Field(None, ge=1)
    """Rows of the nearest cells among which neighbors are searched; null is all up to 100,000 rows, and 8,192 above."""

    def identity(self, setup: Setup) -> dict[str, Any]:
        drawn = {"seed": setup.seed} if self.neighbors else {}
        return super().identity(setup) | drawn

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows, or fewer with a score."""
        chosen, covered = candidates(groups, scores, budget), groups.covered
        if self.best is not None:
            chosen = covered = best_rows(chosen, scores.values[chosen], self.best)
            check_budget(budget, len(chosen), f"rows of the best {self.best:.0%}")
        unit = unit_rows(vectors_at(job.inputs["vectors"], covered))
        places = np.searchsorted(covered, chosen)
        quality = np.nan_to_num(scores.values[chosen])
        if not self.neighbors and len(unit) > LARGE:
            log.warning(
                "facility_location compares each of %d rows with all, which takes about %d minutes of a core: "
                "allocate.neighbors=64 counts the nearest alone",
                len(unit),
                2 * (len(unit) / 52_000) ** 2,
            )
        near = Search(self.neighbors, self.compared, job.seed) if self.neighbors else None
        like = Euclidean(unit.shape[1]) if self.similarity == "euclidean" else as_they_are
        taken = covering(unit, places, quality, self.alpha, budget, near, like)
        return picked(chosen[taken], groups, scores, "covers most of the pool")


def best_rows(rows: np.ndarray, values: np.ndarray, share: float) -> np.ndarray:
    """The share of `rows` with the highest values, ascending; of equal ones the first.

    Raises: ConfigError where no row has a value.
    """
    if np.isnan(values).all():
        raise ConfigError("allocate.best is a share of the rows by score: name a scorer, or leave it out")
    order = np.lexsort((rows, -values))[: max(1, round(share * len(rows)))]
    return np.sort(rows[order])


def covering(
    unit: np.ndarray,
    places: np.ndarray,
    quality: np.ndarray,
    alpha: float,
    budget: int,
    near: Search | None = None,
    like: Like = as_they_are,
) -> list[int]:
    """Numbers of `places` in the order they are taken.

    unit: (n, dim) float32, what is covered. places: rows of it that may be taken. quality: (len(places),).
    """
    heads, following = copies(unit if len(places) == len(unit) else unit[places], quality)
    takers = unit if len(heads) == len(unit) else unit[places[heads]]
    exact = AllCosines if len(unit) <= WHOLE else MadeCosines
    covers = near.covers(takers, unit, like) if near else exact(takers, unit, like)
    taken: list[int] = []

    def gains(kinds: np.ndarray, since: int) -> np.ndarray:
        return np.asarray((1 - alpha) * covers.added(kinds) + alpha * quality[heads[kinds]])

    def take(kind: int) -> None:
        taken.append(int(heads[kind]))
        covers.cover(kind)
        heads[kind] = following[heads[kind]]
        if heads[kind] >= 0:
            bounds[kind] = np.inf

    bounds = np.full(len(heads), np.inf)
    lazy_greedy(bounds, gains, take, budget)
    return taken


def copies(vectors: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the same vector together, the best first, so that their gains are one number.

    Returns the best row of each vector, in order of appearance, and for each row the next of its vector, or -1.
    """
    kind = kinds(vectors)
    order = np.lexsort((-quality, kind))
    starts = np.flatnonzero(np.diff(kind[order], prepend=-1))
    following = np.full(len(kind), -1)
    following[order[:-1]] = order[1:]
    following[order[np.append(starts[1:], len(order)) - 1]] = -1
    return order[starts], following
