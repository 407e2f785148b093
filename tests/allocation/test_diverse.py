"""Equal quotas: as many rows as wanted, no cluster above what it holds, none short while another has more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.diverse import diverse_rows, equal_quota


@pytest.mark.parametrize(
    ("sizes", "wanted", "quota"),
    [
        ([1, 3, 8], 6, [1, 2, 3]),
        ([5, 5], 4, [2, 2]),
        ([5, 5, 5], 2, [1, 1, 0]),
        ([2, 0, 1], 9, [2, 0, 1]),
        ([4], 0, [0]),
    ],
)
def test_quotas_by_hand(sizes: list[int], wanted: int, quota: list[int]) -> None:
    assert equal_quota(np.array(sizes), wanted).tolist() == quota


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 200))
def test_quotas_are_as_equal_as_the_sizes_allow(sizes: list[int], wanted: int) -> None:
    held = np.array(sizes)
    quota = equal_quota(held, wanted)
    assert quota.sum() == min(wanted, held.sum())
    assert (quota <= held).all() and (quota >= 0).all()
    unfilled = quota[quota < held]
    assert not len(unfilled) or unfilled.min() >= quota.max() - 1


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 60), st.integers(0, 3))
def test_rows_are_drawn_by_quota_each_once(homes: list[int], wanted: int, seed: int) -> None:
    clusters = np.array(homes)
    rows = np.flatnonzero(np.arange(len(homes)) % 3 != 1)
    drawn = diverse_rows(clusters, rows, wanted, np.random.default_rng(seed))
    assert set(drawn.tolist()) <= set(rows.tolist()) and len(set(drawn.tolist())) == len(drawn)
    sizes = np.bincount(clusters[rows], minlength=5)
    assert np.bincount(clusters[drawn], minlength=5).tolist() == equal_quota(sizes, wanted).tolist()


def test_a_draw_follows_its_seed() -> None:
    clusters, rows = np.arange(300) % 7, np.arange(300)
    one, same, other = (diverse_rows(clusters, rows, 50, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()
