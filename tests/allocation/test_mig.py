"""Information over a graph of tags: worked by hand, against the formula, and pick for pick as released."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.mig import Mig, linked, tagged
from tacos.errors import ConfigError
from tacos.selection import Groups, Scores, Tags
from tests.allocation import inputs

A, B = 1e-6, 0.8


def grouped(rows: list[list[str]]) -> Groups:
    names = sorted({tag for row in rows for tag in row})
    members = (np.array([i for i, row in enumerate(rows) if tag in row], dtype=np.int64) for tag in names)
    return Groups(tuple(names), tuple(members))


def embedding(vectors: dict[str, np.ndarray]) -> Any:
    return SimpleNamespace(embedder=lambda settings: lambda names: np.stack([vectors[n] for n in names]))


UNLIKE = embedding(dict(zip("stu", np.eye(3, dtype=np.float32), strict=True)))


def allocated(rows: list[list[str]], values: list[float], folder: Path, **settings: Any) -> list[int]:
    scores = Scores(np.array(values)) if values else Scores.none(len(rows))
    job = inputs.job(folder, tools=UNLIKE)
    return [p.index for p in Mig(**settings).allocate(grouped(rows), scores, len(rows), job)]


def test_a_tag_that_is_there_adds_less(tmp_path: Path) -> None:
    assert allocated([["s"], ["s"], ["t"]], [], tmp_path) == [0, 2, 1]
    assert allocated([["s"], ["s"], ["t"]], [1, 2, 1.5], tmp_path) == [1, 2, 0]


def test_many_tags_add_more_unless_they_share_the_score(tmp_path: Path) -> None:
    assert allocated([["s"], ["t", "u"]], [1.5, 1], tmp_path) == [1, 0]
    assert allocated([["s"], ["t", "u"]], [1.5, 1], tmp_path, norm=True) == [0, 1]


def test_links_share_information_by_columns() -> None:
    names = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)  # cosines 0.6, 0, 0.8
    near = linked(names, 0.7, 1.0).toarray()
    np.testing.assert_allclose(near, [[1, 0, 0], [0, 1 / 1.8, 0.8 / 1.8], [0, 0.8 / 1.8, 1 / 1.8]], rtol=1e-6)
    np.testing.assert_allclose(linked(names, 0.7, 0.5).toarray()[1], [0, 1 / 1.4, 0.4 / 1.4], rtol=1e-6)


def test_a_score_below_0_is_no_weight(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"allocate.by=mig .* lowest is -2: .* allocate.quality=rank"):
        allocated([["s"], ["t"]], [1, -2], tmp_path)
    assert allocated([["s"], ["t"]], [1, -2], tmp_path, quality="rank") == [0, 1]


@given(st.integers(1, 30), st.integers(0, 999))
def test_it_picks_the_largest_slope_in_every_step(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [[f"{t}" for t in rng.choice(8, size=rng.integers(1, 4), replace=False)] for _ in range(n)]
    groups, weights = grouped(rows), rng.uniform(0, 3, n)
    spread = tagged(groups, np.arange(n), weights, norm=True)
    dense, there, left = spread.toarray(), np.zeros(len(groups)), set(range(n))
    for row in Mig().informing(spread, n):
        gains = {other: float(dense[other] @ (B * (there + A) ** (B - 1))) for other in left}
        assert gains[row] == pytest.approx(max(gains.values()), rel=1e-9)
        there, left = there + dense[row], left - {row}
    assert not left


@pytest.mark.parametrize("norm", [False, True])
def test_the_released_sampler_picks_the_same(norm: bool, tmp_path: Path) -> None:
    vectors = {f"tag {i:02}": vector for i, vector in enumerate(inputs.tag_vectors())}
    job = inputs.job(tmp_path, tools=embedding(vectors))
    groups = grouped(inputs.tags())
    picks = Mig(norm=norm).allocate(groups, inputs.scored(), 80, job)
    assert [p.index for p in picks] == inputs.RELEASED[f"mig norm={norm}"]["picks"]
    assert job.metrics == {"links": 29}


def test_every_tag_can_be_a_group() -> None:
    from tacos.grouping.cluster import ClusteringSettings, cluster_tags

    tags = Tags((("b", "a"), (), ("b",), ("c",)))
    groups = cluster_tags(tags, ["a", "b"], np.zeros((2, 2)), ClusteringSettings(algorithm="none"), 0)
    assert groups.labels == ("a", "b")
    assert [rows.tolist() for rows in groups.members] == [[0], [0, 2]]
