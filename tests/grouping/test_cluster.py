"""Clusters of tags: weighting, membership, reduction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from tacos.grouping.cluster import (
    ClusteringSettings,
    cluster_tags,
    cluster_vectors,
    signature_reduction,
)
from tacos.grouping.tagging import Tags
from tacos.selection import Groups
from tacos.store.tables import read_groups, write_groups


def test_weighted_kmeans_equals_kmeans_on_every_occurrence() -> None:
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(60, 5)).astype(np.float32)
    weights = rng.integers(1, 30, size=60)
    start = distinct[:6]
    repeated = np.repeat(distinct, weights, axis=0)
    weighted = KMeans(6, init=start, n_init=1).fit(distinct, sample_weight=weights)
    occurrences = KMeans(6, init=start, n_init=1).fit(repeated)
    np.testing.assert_allclose(weighted.cluster_centers_, occurrences.cluster_centers_, atol=1e-5)
    assert np.array_equal(np.repeat(weighted.labels_, weights), occurrences.labels_)
    assert np.isclose(weighted.inertia_, occurrences.inertia_, rtol=1e-5)


def test_the_settings_reach_the_same_partition_weighted_or_repeated() -> None:
    rng = np.random.default_rng(1)
    centres = np.eye(4) * 10
    distinct = np.vstack([c + rng.normal(scale=0.1, size=(8, 4)) for c in centres]).astype(np.float32)
    weights = rng.integers(1, 20, size=len(distinct))
    settings = ClusteringSettings(k=4)
    weighted = cluster_vectors(distinct, weights, settings, seed=3)
    repeated = cluster_vectors(np.repeat(distinct, weights, axis=0), np.ones(weights.sum()), settings, seed=3)
    assert adjusted_rand_score(np.repeat(weighted, weights), repeated) == 1.0


def test_clusters_repeat_with_the_seed_and_k_is_capped() -> None:
    vectors = np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32)
    ones = np.ones(30)
    first, second = (cluster_vectors(vectors, ones, ClusteringSettings(k=5), seed=7) for _ in range(2))
    assert np.array_equal(first, second)
    assert len(set(cluster_vectors(vectors[:3], ones[:3], ClusteringSettings(k=50), seed=0))) == 3


def test_dbscan_counts_occurrences_and_leaves_noise_out() -> None:
    vectors = np.array([[1, 0], [0, 1]], dtype=np.float32)
    labels = cluster_vectors(vectors, np.array([5, 1]), ClusteringSettings(algorithm="dbscan"), seed=0)
    assert labels.tolist() == [0, -1]


def test_a_sample_belongs_to_every_cluster_of_its_tags() -> None:
    tags = Tags((("code", "poem"), ("poem",), (), ("code",)))
    vectors = np.array([[1, 0], [0, 1]], dtype=np.float32)
    groups = cluster_tags(tags, ["code", "poem"], vectors, ClusteringSettings(k=2), seed=0)
    members = {
        label.split(": ")[1]: rows.tolist() for label, rows in zip(groups.labels, groups.members, strict=True)
    }
    assert members == {"code": [0, 3], "poem": [0, 1]}


def test_reduction_keeps_the_longest_of_each_signature_first_on_ties() -> None:
    groups = Groups(("a", "b"), (np.array([0, 1, 2, 3]), np.array([2, 3, 4])))
    # rows 0, 1 stand in a; 2, 3 in both; 4 in b
    reduced = signature_reduction(groups, ["xx", "xx", "x", "xxx", ""])
    assert [rows.tolist() for rows in reduced.members] == [[0, 3], [3, 4]]


def test_groups_survive_the_file(tmp_path: Path) -> None:
    groups = Groups(("a é", "b"), (np.array([0, 2]), np.array([1])))
    write_groups(tmp_path, groups)
    again = read_groups(tmp_path)
    assert again.labels == groups.labels
    assert all(np.array_equal(x, y) for x, y in zip(again.members, groups.members, strict=True))
