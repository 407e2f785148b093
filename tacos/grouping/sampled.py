"""k-means at any size: centres from a seeded sample, every row to its nearest centre.

    1,000,000 rows   k = floor(sqrt(1e6 / 2)) = 707, centres from 50,000 rows, the rest assigned block by block

A pool that is no larger than the sample is clustered whole, as in `tacos.grouping.embedding`.
"""

from __future__ import annotations

import numpy as np

from tacos.grouping.embedding import EmbeddingGroups, cluster_embeddings, number_of_clusters

BLOCK = 16384


def cluster_numbers(vectors: np.ndarray, settings: EmbeddingGroups, sample: int, seed: int) -> np.ndarray:
    """The cluster of every row, (n,) int64, from 0.

    vectors: (n, dim) float32, may be memory-mapped. sample: rows that place the centres.
    """
    n, numbers = len(vectors), np.zeros(len(vectors), dtype=np.int64)
    if n <= sample:
        for number, members in enumerate(cluster_embeddings(vectors, settings, seed).members):
            numbers[members] = number
        return numbers
    drawn = vectors[np.sort(np.random.default_rng(seed).choice(n, sample, replace=False))]
    k = min(number_of_clusters(n, settings.k), sample)
    groups = cluster_embeddings(drawn, settings.model_copy(update={"k": k}), seed)
    centres = np.stack([drawn[members].mean(axis=0) for members in groups.members])
    for start in range(0, n, BLOCK):
        numbers[start : start + BLOCK] = nearest(vectors[start : start + BLOCK], centres)
    return numbers


def nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The nearest centre of each vector, Euclidean; |x|^2 is the same for all centres and left out."""
    return np.asarray((vectors @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1))
