"""Lazy greedy takes what the plain loop takes, and looks at fewer rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation import greedy
from tacos.allocation.greedy import lazy_greedy


def covering(sets: list[set[int]], budget: int) -> tuple[list[int], int]:
    """Greedy cover; the rows taken, and how many gains were computed after the first pass."""
    covered: set[int] = set()
    computed = 0

    def gains(rows: np.ndarray, since: int) -> np.ndarray:
        nonlocal computed
        computed += len(rows)
        return np.array([len(sets[row] - covered) for row in rows.tolist()], dtype=np.float64)

    bounds = np.array([len(s) for s in sets], dtype=np.float64)
    taken = lazy_greedy(bounds, gains, lambda row: covered.update(sets[row]), budget)
    return taken, computed


def test_a_bound_that_is_low_enough_is_not_looked_at() -> None:
    far = [{100 + i} for i in range(1000)]
    taken, computed = covering([{1, 2, 3, 4}, {3, 4, 5}, {5, 6, 7}, *far], 3)
    assert taken == [0, 2, 3] and computed < 500


@given(st.lists(st.sets(st.integers(0, 12), max_size=5), min_size=1, max_size=60), st.integers(0, 60))
def test_it_takes_what_the_plain_loop_takes(sets: list[set[int]], budget: int) -> None:
    covered: set[int] = set()
    plain: list[int] = []
    while len(plain) < min(budget, len(sets)):
        left = [row for row in range(len(sets)) if row not in plain]
        plain.append(max(left, key=lambda row: (len(sets[row] - covered), -row)))
        covered |= sets[plain[-1]]
    assert covering(sets, len(plain))[0] == plain


def test_it_ends_where_a_gain_is_not_enough() -> None:
    bounds = np.array([3.0, 2.0, 0.0])
    taken = lazy_greedy(bounds, lambda rows, since: bounds[rows], lambda row: None, 3, lambda gain: gain > 0)
    assert taken == [0, 1]


@pytest.mark.parametrize("rising", [False, True])
def test_the_front_is_made_again_when_its_bounds_have_fallen(
    rising: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy, "WIDTH", 4)
    values, worth = np.random.default_rng(0).integers(0, 9, 200).astype(float), np.ones(200)

    def take(row: int) -> None:
        worth[(row + np.arange(20)) % 200] *= 0.5

    plain: list[int] = []
    while len(plain) < 200:
        gains = values * worth
        gains[plain] = -1
        plain.append(int(gains.argmax()))
        take(plain[-1])
    worth[:] = 1
    found = lazy_greedy(values.copy(), lambda rows, _: (values * worth)[rows], take, 200, rising=rising)
    assert found == plain
