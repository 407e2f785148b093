"""Clusters of samples by their embeddings: PCA, then k-means (CaR, arXiv 2402.18191, section 3.2).

    52,002 Alpaca rows, 384 dimensions  ->  PCA keeps 95% of the variance in 243  ->  k = floor(sqrt(52002 / 2)) = 161

    1,000,000 rows   k = 707, centres from 100,000 rows that the seed draws, every row to the nearest of them

Groups are named by the words of their prompts (`titles.py`). k-means runs on one thread: with several, sums are added
in any order, and centres differ between runs.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from tacos.cost import Cost
from tacos.grouping.titles import titled
from tacos.models.embedded import Embedded
from tacos.part import Grouper, Setup, grouper
from tacos.selection import Groups
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.types import Pool

BLOCK = 16384
"""Rows that are assigned at once."""


@grouper(
    "embedding",
    summary="k-means clusters of sample embeddings",
    paper="arXiv 2402.18191",
    needs="embeddings",
    cost=Cost(embeddings=1),
)
class EmbeddingGroups(Embedded, Grouper):
    """Every row in one cluster."""

    seeded = True

    k: int | None = Field(None, ge=1)
    """Number of clusters; None is floor(sqrt(n / 2)), CaR's choice."""
    variance: float = Field(0.95, gt=0, le=1)
    """Share of the variance that PCA keeps; 1 leaves PCA out."""
    restarts: int = Field(1, ge=1)
    """k-means starts; the best inertia wins."""
    max_iterations: int = Field(100, ge=1)
    sample: int = Field(100_000, ge=100)
    """Rows of a larger pool that place the centres; all rows are then assigned to the nearest."""

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        return {"vectors": self.vectors_stage(setup)}

    def vectors_stage(self, setup: Setup) -> Stage:
        """The embeddings, or the user's own vectors."""
        return self.vectors_of(setup.pool, setup.embedder, "group.vectors")

    def identity(self, setup: Setup) -> dict[str, object]:
        return self.model_dump(include={"k", "variance", "restarts", "max_iterations", "sample"})

    def group(self, pool: Pool, job: Job) -> Groups:
        groups = cluster_embeddings(tables.read_vectors(job.inputs["vectors"]), self, job.seed)
        return titled(groups, pool.prompts)


def number_of_clusters(n: int, k: int | None = None) -> int:
    """floor(sqrt(n / 2)) unless given; at least 1, and no more than there are samples."""
    return min(n, k or max(1, math.isqrt(n // 2)))


def cluster_embeddings(vectors: np.ndarray, settings: EmbeddingGroups, seed: int) -> Groups:
    """Every sample in one cluster; clusters are named by number, and those that stay empty are left out.

    vectors: (n, dim) float32, may be memory-mapped.
    """
    n, k = len(vectors), number_of_clusters(len(vectors), settings.k)
    if n <= settings.sample:
        labels = _k_means(vectors, k, settings, seed)
    else:
        drawn = vectors[np.sort(np.random.default_rng(seed).choice(n, settings.sample, replace=False))]
        placed = _k_means(drawn, min(k, settings.sample), settings, seed)
        labels = nearest(
            vectors, np.stack([drawn[placed == label].mean(axis=0) for label in np.unique(placed)])
        )
    members = {label: np.flatnonzero(labels == label) for label in range(k)}
    kept = {str(label): rows for label, rows in members.items() if len(rows)}
    return Groups(tuple(kept), tuple(kept.values()))


def _k_means(vectors: np.ndarray, k: int, settings: EmbeddingGroups, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    model = KMeans(
        n_clusters=k, n_init=settings.restarts, max_iter=settings.max_iterations, random_state=seed
    )
    with threadpool_limits(1):
        return np.asarray(model.fit_predict(principal_components(vectors, settings.variance, seed)))


def nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(n,) int64: the nearest centre of each vector, Euclidean; |x|^2 is the same for all centres and left out."""
    numbers, half = np.empty(len(vectors), dtype=np.int64), (centres**2).sum(axis=1) / 2
    for at in range(0, len(vectors), BLOCK):
        numbers[at : at + BLOCK] = (vectors[at : at + BLOCK] @ centres.T - half).argmax(axis=1)
    return numbers


def principal_components(vectors: np.ndarray, variance: float, seed: int) -> np.ndarray:
    """(n, kept) float32: the fewest components that hold this share of the variance.

    Through the covariance, dim x dim, whose cost in n is one product.
    """
    from sklearn.decomposition import PCA

    if variance >= 1 or len(vectors) < 2:
        return vectors
    model = PCA(n_components=variance, svd_solver="covariance_eigh", random_state=seed)
    return np.ascontiguousarray(model.fit_transform(vectors), dtype=np.float32)
