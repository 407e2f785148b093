"""The cosine to the nearest target: exact where it is said to be, and never too high."""

from __future__ import annotations

import numpy as np
import pytest

from tacos.scoring import similarity
from tacos.scoring.similarity import max_cosine


def units(n: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, rows, targets = units(300), np.arange(0, 300, 2), np.arange(1, 300, 7)
    monkeypatch.setattr(similarity, "BLOCK", 17)
    expected = (vectors[rows] @ vectors[targets].T).max(axis=1)
    assert max_cosine(vectors, rows, targets) == pytest.approx(expected, abs=1e-6)


def test_cells_are_close_and_never_above() -> None:
    vectors, rows, targets = units(6000), np.arange(4000), np.arange(4000, 6000)
    exact = max_cosine(vectors, rows, targets)
    near = max_cosine(vectors, rows, targets, exact=0)
    assert (near <= exact + 1e-5).all()
    assert (exact - near).mean() < 0.02 and (near > exact - 1e-5).mean() > 0.7


def test_without_targets_nothing_is_near() -> None:
    nothing = np.zeros(0, np.int64)
    assert max_cosine(units(5), np.arange(5), nothing).tolist() == [0] * 5
    assert len(max_cosine(units(5), nothing, np.arange(5))) == 0


def test_a_target_is_at_one_from_itself() -> None:
    assert max_cosine(units(50), np.arange(50), np.arange(50)) == pytest.approx(np.ones(50), abs=1e-6)
