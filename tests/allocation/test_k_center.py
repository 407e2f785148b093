"""Greedy max-min distance: worked by hand, against the plain loop, and pick for pick as released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.k_center import KCenter, farthest
from tacos.errors import BudgetError
from tacos.selection import Groups, Scores
from tests.allocation import inputs

LINE = np.array([[0], [1], [5], [10]], dtype=np.float32)


def test_the_farthest_row_is_next(tmp_path: Path) -> None:
    picks = KCenter(initial=0).allocate(Groups.one(4), Scores.none(4), 4, inputs.job(tmp_path, LINE))
    assert [p.index for p in picks] == [0, 3, 2, 1]
    assert {p.reason for p in picks} == {"farthest from those before it"} and picks[0].score is None


def test_equal_distances_go_to_the_first_row() -> None:
    ring = np.array([[0, 1], [1, 0], [-1, 0], [0, -1], [0, 0]], dtype=np.float32)
    assert farthest(ring, [4], 5) == [4, 0, 1, 2, 3]
    assert farthest(ring, [1], 5) == [1, 2, 0, 3, 4]
    assert farthest(np.ones((4, 2), dtype=np.float32), [2], 4) == [2, 0, 1, 3]


def test_the_seed_draws_the_first_rows(tmp_path: Path) -> None:
    def select(seed: int) -> list[int]:
        job = inputs.job(tmp_path, inputs.vectors(), seed=seed)
        picks = KCenter(initial=3).allocate(inputs.everything(), Scores.none(inputs.ROWS), 9, job)
        assert [p.reason for p in picks[:4]] == ["drawn to start with"] * 3 + [
            "farthest from those before it"
        ]
        return [p.index for p in picks]

    assert select(1) == select(1) != select(2)
    assert len(set(select(1))) == 9


def test_a_budget_above_the_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"budget 5 is above the 4 samples in the pool"):
        KCenter().allocate(Groups.one(4), Scores.none(4), 5, inputs.job(tmp_path, LINE))


@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 3), st.integers(0, 999))
def test_it_picks_what_the_plain_loop_picks(n: int, dim: int, initial: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = rng.integers(-4, 5, size=(n, dim)).astype(np.float32)  # with copies, and exact distances
    first = rng.permutation(n)[:initial].tolist()
    budget = int(rng.integers(len(first), n + 1))
    taken, nearest = list(first), np.full(n, np.inf, dtype=np.float32)
    for row in first:
        nearest = np.minimum(nearest, np.linalg.norm(made - made[row], axis=1))
    while len(taken) < budget:
        nearest[taken] = -1
        taken.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(made - made[taken[-1]], axis=1))
    assert farthest(made, first, budget) == taken


def test_the_radius_never_grows() -> None:
    made = inputs.vectors()
    order = farthest(made, [0], 40)
    gaps = [np.linalg.norm(made[order[:i]] - made[order[i]], axis=1).min() for i in range(1, 40)]
    assert gaps == sorted(gaps, reverse=True)


def test_the_released_loop_picks_the_same() -> None:
    released = inputs.RELEASED["k_center"]
    assert farthest(inputs.vectors(), released["first"], 40) == released["picks"]


def test_of_copies_the_first_is_taken_first() -> None:
    made, original = inputs.with_copies()
    taken = farthest(made, [], 200)
    assert [row for place, row in enumerate(taken) if original[row] not in original[taken[:place]]] == [
        row for row in taken if original[row] == row
    ]
