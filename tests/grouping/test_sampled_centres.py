"""k-means from a sample: far clusters are found, and every row gets the nearest."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from tacos.grouping.embedding import EmbeddingGroups, cluster_embeddings


def numbers(vectors: np.ndarray, settings: EmbeddingGroups) -> np.ndarray:
    groups, found = cluster_embeddings(vectors, settings, seed=0), np.full(len(vectors), -1)
    for number, members in enumerate(groups.members):
        assert (found[members] == -1).all()
        found[members] = number
    assert (found >= 0).all()
    return found


def blobs(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    home = rng.integers(0, 6, n)
    vectors = 3 * np.eye(6, 16, dtype=np.float32)[home] + 0.3 * rng.normal(size=(n, 16)).astype(np.float32)
    return vectors, home


def test_a_sample_places_the_centres_and_all_rows_are_assigned() -> None:
    vectors, home = blobs(3000)
    whole = numbers(vectors, EmbeddingGroups(k=6, restarts=3, sample=5000))
    settings = EmbeddingGroups(k=6, restarts=3, sample=400)
    sampled = numbers(vectors, settings)
    assert adjusted_rand_score(whole, home) == adjusted_rand_score(sampled, home) == 1
    assert (sampled == numbers(vectors, settings)).all()


def test_k_follows_the_pool_and_not_the_sample() -> None:
    vectors, _ = blobs(800)
    assert numbers(vectors, EmbeddingGroups(sample=200)).max() + 1 == 20
