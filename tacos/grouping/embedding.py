"""Clusters of samples by their embeddings: PCA, then k-means (CaR, arXiv 2402.18191, section 3.2).

    52,002 Alpaca rows, 384 dimensions  ->  PCA keeps 95% of the variance in 243  ->  k = floor(sqrt(52002 / 2)) = 161

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

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        return {"vectors": self.vectors_stage(setup)}

    def vectors_stage(self, setup: Setup) -> Stage:
        """The embeddings, or the user's own vectors."""
        return self.vectors_of(setup.pool, setup.embedder, "group.vectors")

    def identity(self, setup: Setup) -> dict[str, object]:
        return self.model_dump(include={"k", "variance", "restarts", "max_iterations"})

    def group(self, pool: Pool, job: Job) -> Groups:
        groups = cluster_embeddings(tables.read_vectors(job.inputs["vectors"]), self, job.seed)
        return titled(groups, pool.prompts)


def number_of_clusters(n: int, k: int | None = None) -> int:
    """floor(sqrt(n / 2)) unless given; at least 1, and no more than there are samples."""
    return min(n, k or max(1, math.isqrt(n // 2)))


def cluster_embeddings(vectors: np.ndarray, settings: EmbeddingGroups, seed: int) -> Groups:
    """Every sample in one cluster; clusters are named by number, and those that stay empty are left out.

    vectors: (n, dim) float32.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    k = number_of_clusters(len(vectors), settings.k)
    model = KMeans(
        n_clusters=k, n_init=settings.restarts, max_iter=settings.max_iterations, random_state=seed
    )
    with threadpool_limits(1):
        labels = model.fit_predict(principal_components(vectors, settings.variance, seed))
    members = {label: np.flatnonzero(labels == label) for label in range(k)}
    kept = {str(label): rows for label, rows in members.items() if len(rows)}
    return Groups(tuple(kept), tuple(kept.values()))


def principal_components(vectors: np.ndarray, variance: float, seed: int) -> np.ndarray:
    """(n, kept) float32: the fewest components that hold this share of the variance.

    Through the covariance, dim x dim, whose cost in n is one product.
    """
    from sklearn.decomposition import PCA

    if variance >= 1 or len(vectors) < 2:
        return vectors
    model = PCA(n_components=variance, svd_solver="covariance_eigh", random_state=seed)
    return np.ascontiguousarray(model.fit_transform(vectors), dtype=np.float32)
