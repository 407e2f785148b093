"""Balanced draws have an equal share of each source or group."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tacos.allocation.uniform import Uniform
from tacos.errors import PoolError
from tacos.selection import Groups, Scores
from tacos.types import Pool, make_sample
from tests.allocation import inputs

SOURCES = ["a"] * 40 + ["b"] * 6 + ["c"] * 2


def pool(named: bool = True) -> Pool:
    return Pool.from_samples(
        make_sample("Say.", f"{i}", id=f"r{i}", source=source if named else "")
        for i, source in enumerate(SOURCES)
    )


def test_sources_have_an_equal_share_and_small_ones_hand_theirs_on(tmp_path: Path) -> None:
    def drawn(seed: int) -> list[int]:
        job = inputs.job(tmp_path, pool=pool(), seed=seed)
        picks = Uniform(balanced="source").allocate(Groups.one(48), Scores.none(48), 12, job)
        assert {p.reason for p in picks} == {"balanced draw per source"}
        return [p.index for p in picks]

    assert Counter(SOURCES[row] for row in drawn(0)) == {"a": 5, "b": 5, "c": 2}
    assert drawn(0) == drawn(0) != drawn(1) and len(set(drawn(0))) == 12


def test_groups_have_an_equal_share(tmp_path: Path) -> None:
    groups = Groups(("x", "y"), (np.arange(40), np.arange(30, 48)))  # rows in both count for x
    job = inputs.job(tmp_path)
    picks = Uniform(balanced="group").allocate(groups, Scores.none(48), 10, job)
    assert Counter(p.group for p in picks) == {"x": 5, "y": 5}
    assert all(p.index >= 40 for p in picks if p.group == "y")


def test_a_pool_without_sources_cannot_be_balanced(tmp_path: Path) -> None:
    job = inputs.job(tmp_path, pool=pool(named=False))
    with pytest.raises(PoolError, match=r"allocate\.balanced=source: no row of the pool names a source"):
        Uniform(balanced="source").allocate(Groups.one(48), Scores.none(48), 12, job)
