"""Clustering of tags, and of samples (TACOS, arXiv 2507.03673; K=50).

The paper clusters one vector per tag *occurrence*, so frequent tags weigh more. k-means with each
distinct tag weighted by its count has the same objective and the same fixed points, at a hundredth of the work:
a tag used 900 times is one row of weight 900 and not 900 equal rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from tacos.selection import Groups, Tags
from tacos.types import Record


class ClusteringSettings(Record):
    """How tag vectors become clusters."""

    algorithm: Literal["kmeans", "dbscan", "none"] = "kmeans"
    """none: every tag is a group by itself (InsTag, MIG)."""
    k: int = Field(50, ge=1)
    """K of the paper; lowered to the number of distinct tags where there are fewer."""
    restarts: int = Field(4, ge=1)
    """k-means starts; the best inertia wins."""
    eps: float = Field(0.5, gt=0)
    """DBSCAN radius, Euclidean."""
    min_samples: int = Field(5, ge=1)
    """DBSCAN: occurrences within eps that make a core tag."""
    unit_vectors: bool = True
    """Tags as vectors of unit length; false clusters them as the model gives them, as the released code does."""


def cluster_vectors(
    vectors: np.ndarray, weights: np.ndarray, settings: ClusteringSettings, seed: int
) -> np.ndarray:
    """A cluster number per vector, (n,) int64; -1 is DBSCAN's noise.

    vectors: (n, dim) float32; weights: (n,), occurrences of each vector.
    """
    from sklearn.cluster import DBSCAN, KMeans
    from threadpoolctl import threadpool_limits

    if settings.algorithm == "dbscan":
        model = DBSCAN(eps=settings.eps, min_samples=settings.min_samples)
    else:
        k = min(settings.k, len(np.unique(vectors, axis=0)))
        model = KMeans(n_clusters=k, n_init=settings.restarts, random_state=seed)
    with threadpool_limits(1):  # with several threads sums are added in any order, and centres differ
        labels = model.fit(vectors, sample_weight=weights).labels_
    return np.asarray(labels, dtype=np.int64)


def cluster_tags(
    tags: Tags, names: Sequence[str], vectors: np.ndarray, settings: ClusteringSettings, seed: int
) -> Groups:
    """Samples by the clusters their tags fall in; a sample belongs to every such cluster.

    names, vectors: the distinct tags and their (n_tags, dim) embeddings. Groups are named by their
    three most frequent tags and come in order of cluster number; members are in stored order.
    """
    if settings.algorithm == "none":
        return every_tag(tags, names)
    counts = tags.counts()
    weights = np.array([counts[name] for name in names], dtype=np.float64)
    labels = cluster_vectors(vectors, weights, settings, seed)
    cluster_of = {name: int(label) for name, label in zip(names, labels, strict=True) if label >= 0}
    members: dict[int, list[int]] = {label: [] for label in sorted(set(cluster_of.values()))}
    for i, row in enumerate(tags.rows):
        for label in {cluster_of[tag] for tag in row if tag in cluster_of}:
            members[label].append(i)
    titles = _titles(cluster_of, counts)
    return Groups(
        tuple(f"{label}: {titles[label]}" for label in members),
        tuple(np.array(rows, dtype=np.int64) for rows in members.values()),
    )


def every_tag(tags: Tags, names: Sequence[str]) -> Groups:
    """A group for each of `names`, called by it."""
    members: dict[str, list[int]] = {name: [] for name in names}
    for i, row in enumerate(tags.rows):
        for tag in set(row) & members.keys():
            members[tag].append(i)
    return Groups(tuple(members), tuple(np.array(rows, dtype=np.int64) for rows in members.values()))


def _titles(cluster_of: dict[str, int], counts: dict[str, int]) -> dict[int, str]:
    by_cluster: dict[int, list[str]] = {}
    for name in sorted(cluster_of, key=lambda tag: (-counts[tag], tag)):
        by_cluster.setdefault(cluster_of[name], []).append(name)
    return {label: ", ".join(names[:3]) for label, names in by_cluster.items()}


def signature_reduction(groups: Groups, responses: Sequence[str]) -> Groups:
    """Among samples with the same set of clusters keep the longest response, the first on ties.

    In the released code and not in the paper; it lengthens a selection by itself.
    """
    best: dict[tuple[int, ...], int] = {}
    for row in sorted(groups.homes):
        key = tuple(groups.homes[row])
        if key not in best or len(responses[row]) > len(responses[best[key]]):
            best[key] = row
    keep = np.array(sorted(best.values()), dtype=np.int64)
    kept = [
        (name, rows[np.isin(rows, keep)]) for name, rows in zip(groups.labels, groups.members, strict=True)
    ]
    kept = [(name, rows) for name, rows in kept if len(rows)]
    return Groups(tuple(name for name, _ in kept), tuple(rows for _, rows in kept))
