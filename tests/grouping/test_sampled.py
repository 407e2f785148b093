"""k-means from a sample: far clusters are found, and every row gets the nearest."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from tacos.grouping.embedding import EmbeddingGroups
from tacos.grouping.sampled import cluster_numbers


def blobs(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    home = rng.integers(0, 6, n)
    vectors = 3 * np.eye(6, 16, dtype=np.float32)[home] + 0.3 * rng.normal(size=(n, 16)).astype(np.float32)
    return vectors, home


def test_a_sample_places_the_centres_and_all_rows_are_assigned() -> None:
    vectors, home = blobs(3000)
    settings = EmbeddingGroups(k=6, restarts=3)
    whole = cluster_numbers(vectors, settings, 5000, seed=0)
    sampled = cluster_numbers(vectors, settings, 400, seed=0)
    assert adjusted_rand_score(whole, home) == adjusted_rand_score(sampled, home) == 1
    assert (sampled == cluster_numbers(vectors, settings, 400, seed=0)).all()


def test_k_follows_the_pool_and_not_the_sample() -> None:
    vectors, _ = blobs(800)
    assert cluster_numbers(vectors, EmbeddingGroups(), 200, seed=0).max() + 1 == 20
