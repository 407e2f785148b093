"""NovelSelect: worked by hand, against the plain loop, and pick for pick as released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.novelty import Novelty, densities, novel
from tacos.errors import BudgetError
from tacos.models.embedder import unit_rows
from tacos.selection import Groups, Scores
from tests.allocation import inputs


def test_density_is_of_the_nearest_others() -> None:
    line = np.array([[0], [1], [3], [3]], dtype=np.float32)  # copies count once: 0, 1, 3
    found = densities(line, 1, 1.0)
    np.testing.assert_allclose(found, [1, 1, 1 / 4, 1 / 4], rtol=1e-6)
    np.testing.assert_allclose(densities(line, 9, 0.5), np.array([5, 2.5, 6.5, 6.5]) ** -0.5, rtol=1e-6)
    assert densities(line[2:], 1, 1.0).tolist() == pytest.approx([1e9, 1e9])


def test_the_nearest_selected_row_weighs_most() -> None:
    unit = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6], [-1, 0]], dtype=np.float32)
    # after row 0: distances 0, 1, 0.4, 0.2, 2, so row 4; then row 1 has 1 + 1/2, row 2 has 0.4 + 1.6 / 2
    assert novel(unit, np.full(5, 0.5), 1 / np.arange(1, 4), 0) == [0, 4, 1]


def test_a_dense_part_of_the_pool_counts_for_more() -> None:
    unit = np.array([[1, 0], [0, 1], [0, -1]], dtype=np.float32)
    assert novel(unit, np.array([1.0, 1.0, 1.0]), np.ones(2), 0) == [0, 1]
    assert novel(unit, np.array([1.0, 1.0, 2.0]), np.ones(2), 0) == [0, 2]


def test_the_seed_draws_the_first_row(tmp_path: Path) -> None:
    def select(seed: int, budget: int = 5) -> list[int]:
        job = inputs.job(tmp_path, inputs.vectors(), seed=seed)
        picks = Novelty().allocate(inputs.everything(), Scores.none(inputs.ROWS), budget, job)
        return [p.index for p in picks]

    assert select(1) == select(1) != select(2)
    assert select(42, 1) == [102] and select(1, 0) == []


def test_a_budget_above_the_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"budget 3 is above the 2 samples in the pool"):
        Novelty().allocate(Groups.one(2), Scores.none(2), 3, inputs.job(tmp_path, inputs.vectors(2)))


@given(st.integers(1, 40), st.integers(1, 5), st.floats(0, 2), st.integers(0, 999))
def test_it_takes_the_largest_sum_in_every_step(n: int, dim: int, power: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    unit, density = unit_rows(rng.normal(size=(n, dim))), rng.uniform(0.5, 2, n)
    weights = 1 / np.arange(1, n + 1) ** power
    taken = novel(unit, density, weights, int(rng.integers(n)))
    assert sorted(taken) == list(range(n))
    for place in range(1, n):
        before, left = taken[:place], taken[place:]
        apart = np.maximum(1 - unit[left] @ unit[before].T, 0) * (density[left][:, None] + density[before])
        sums = np.sort(apart, axis=1) @ weights[:place]
        assert sums[0] == pytest.approx(sums.max(), rel=1e-4, abs=1e-5)


def test_the_released_code_picks_the_same(tmp_path: Path) -> None:
    job = inputs.job(tmp_path, inputs.vectors(), seed=42)
    picks = Novelty().allocate(inputs.everything(), Scores.none(inputs.ROWS), 80, job)
    assert [p.index for p in picks] == inputs.RELEASED["novelty"]["picks"]


def test_of_copies_the_first_is_taken_first() -> None:
    made, original = inputs.with_copies()
    taken = novel(made, densities(made, 10, 0.5), 1 / np.arange(1, 201), 0)
    assert [row for place, row in enumerate(taken) if original[row] not in original[taken[:place]]] == [
        row for row in taken if original[row] == row
    ]


@pytest.mark.parametrize(("compared", "error"), [(200, 0.1), (1000, 0.02), (9999, 1e-5)])
def test_densities_by_cells_are_seeded_and_close(compared: int, error: float) -> None:
    made = inputs.vectors(4000)
    exact = densities(made, 10, 0.5)
    near, again = (densities(made, 10, 0.5, compared, 3) for _ in range(2))
    assert (near == again).all() and (near <= exact * 1.0001).all()
    assert np.mean(1 - near / exact) < error


def test_near_copies_are_not_their_own_neighbors() -> None:
    close = np.float32(1) + np.array([[0], [1e-4], [2e-4], [100]], dtype=np.float32)
    assert densities(close, 1, 1.0)[:3] == pytest.approx(densities(close[:3], 1, 1.0), rel=1e-3)
