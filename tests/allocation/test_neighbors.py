"""Nearest rows: exact where it is said to be, in cells never too near; and which rows are copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation import neighbors
from tacos.allocation.neighbors import kinds, nearest
from tests.allocation import inputs


def distances(queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n, m) squared, one by one."""
    return np.asarray(((queries[:, None].astype(np.float64) - targets[None]) ** 2).sum(axis=2))


def test_on_a_line() -> None:
    line = np.array([[0], [1], [10], [11]], dtype=np.float32)
    near = nearest(line, line, 2, None, 0)
    assert [sorted(rows) for rows in near.rows.tolist()] == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert sorted(near.squared[2].tolist()) == [0, 1]
    assert nearest(line, line, 9, None, 0).rows.shape == (4, 4)
    assert nearest(line, line[:0], 3, None, 0).rows.shape == (4, 0)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 8), st.integers(0, 99))
def test_all_with_all_is_exact_in_any_blocks(n: int, m: int, count: int, seed: int) -> None:
    queries, targets = inputs.vectors(n, 3, seed), inputs.vectors(m, 3, seed + 1)
    near = nearest(queries, targets, count, None, 0)
    apart = distances(queries, targets)
    expected = np.sort(apart, axis=1)[:, :count]
    np.testing.assert_allclose(np.sort(near.squared, axis=1), expected, atol=1e-4)
    np.testing.assert_allclose(near.squared, np.take_along_axis(apart, near.rows, axis=1), atol=1e-4)


@pytest.mark.parametrize("compared", [200, 1000, 9999])
def test_cells_are_seeded_and_never_too_near(compared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = inputs.vectors(4000)
    exact = np.sort(nearest(made, made, 10, None, 0).squared, axis=1)
    monkeypatch.setattr(neighbors, "PRODUCTS", 2**14)  # many blocks
    near, again = (nearest(made, made, 10, compared, 3) for _ in range(2))
    assert (near.rows == again.rows).all() and (near.squared == again.squared).all()
    assert all(len(set(rows)) == 10 for rows in near.rows.tolist())
    found = np.sort(near.squared, axis=1)
    assert (found >= exact - 1e-4).all()
    assert (found <= exact + 1e-4).mean() > {200: 0.3, 1000: 0.7, 9999: 0.999}[compared]


def test_other_rows_are_asked_for_in_cells_too() -> None:
    made = inputs.vectors(3000)
    near = nearest(made, made[::2], 5, 500, 0)
    found = np.take_along_axis(distances(made, made[::2]), near.rows, axis=1)
    np.testing.assert_allclose(near.squared, found, atol=1e-4)


def test_as_many_cells_as_hold_the_count() -> None:
    made = inputs.vectors(1000)
    near = nearest(made, made, 400, 1, 0)
    assert all(len(set(rows)) == 400 for rows in near.rows.tolist())


def test_above_a_size_cells_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    made = inputs.vectors(4000)
    monkeypatch.setattr(neighbors, "EXACT", 3999)
    assert (nearest(made, made, 5, None, 0).rows == nearest(made, made, 5, neighbors.COMPARED, 0).rows).all()


def test_copies_share_a_number() -> None:
    rows = np.array([[1, 0], [2, 0], [1, -0.0], [0, 0], [-0.0, 0], [2, 0]], dtype=np.float32)
    assert kinds(rows).tolist() == [0, 1, 0, 2, 2, 1]
    assert kinds(rows[:0]).tolist() == []
