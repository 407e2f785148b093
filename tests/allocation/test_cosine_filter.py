"""Deita's walk: worked by hand, against the plain loop, and pick for pick as released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.cosine_filter import BLOCK, CosineFilter, unlike
from tacos.errors import BudgetError
from tacos.models.embedder import unit_rows
from tacos.selection import Groups, Scores
from tests.allocation import inputs

SIX = np.array([[1, 0], [4, 3], [0, 2], [2, 0], [3, 4], [0, 0]], dtype=np.float32)
"""Cosines to the first: 1, 0.8, 0, 1, 0.6; the last has none."""


def test_the_walk_passes_over_what_is_like_a_taken_row(tmp_path: Path) -> None:
    scores = Scores(np.array([6.0, 5, 4, 3, 2, 1]))
    part = CosineFilter(threshold=0.7, fill=False)
    picks = part.allocate(Groups.one(6), scores, 6, inputs.job(tmp_path, SIX))
    assert [(p.index, p.score, p.reason) for p in picks] == [
        (0, 6.0, "unlike those before it"),
        (2, 4.0, "unlike those before it"),  # row 1 has 0.8 to row 0
        (5, 1.0, "unlike those before it"),  # row 3 has 1 to row 0, row 4 has 0.8 to row 2
    ]


def test_a_cosine_at_the_threshold_is_accepted(tmp_path: Path) -> None:
    two = np.array([[1, 0], [0, 1]], dtype=np.float32)
    picks = CosineFilter(threshold=0, fill=False).allocate(
        Groups.one(2), Scores(np.ones(2)), 2, inputs.job(tmp_path, two)
    )
    assert [p.index for p in picks] == [0, 1]


def test_what_was_passed_over_fills_the_budget_best_first(tmp_path: Path) -> None:
    scores, job = Scores(np.array([6.0, 5, 4, 3, 2, 1])), inputs.job(tmp_path, SIX)
    picks = CosineFilter(threshold=0.7).allocate(Groups.one(6), scores, 5, job)
    assert [p.index for p in picks] == [0, 2, 5, 1, 3]
    assert [p.reason for p in picks[3:]] == ["fills the budget"] * 2
    assert job.metrics == {"unlike": 3}


def test_a_budget_above_the_scored_rows_is_refused(tmp_path: Path) -> None:
    scores, job = Scores(np.array([1.0, np.nan]), {1: "unread"}), inputs.job(tmp_path, SIX[:2])
    with pytest.raises(BudgetError, match=r"budget 2 is above the 1 samples .* without one: 1 \(unread\)"):
        CosineFilter().allocate(Groups.one(2), scores, 2, job)


@given(st.integers(1, 80), st.integers(1, 4), st.floats(-0.5, 0.99), st.integers(0, 90), st.integers(0, 99))
def test_it_picks_what_the_plain_loop_picks(
    n: int, dim: int, threshold: float, budget: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    made, rows = rng.normal(size=(n, dim)).astype(np.float32), rng.permutation(n)
    unit, kept = unit_rows(made), []
    for place, row in enumerate(rows):
        near = unit[rows[kept]] @ unit[row]
        if abs(near - threshold).min(initial=1) < 1e-5:
            return  # a matter of rounding
        if len(kept) < budget and (near <= threshold).all():
            kept.append(place)
    assert unlike(made, rows, threshold, budget).tolist() == kept


def test_a_like_row_is_found_in_another_block() -> None:
    made = np.repeat(np.eye(2, dtype=np.float32), [1, BLOCK + 1], axis=0)
    assert unlike(made, np.arange(len(made)), 0.9, 3).tolist() == [0, 1]


@pytest.mark.parametrize("threshold", [0.9, 0.7])
def test_the_released_filter_picks_the_same(threshold: float, tmp_path: Path) -> None:
    part = CosineFilter(threshold=threshold, fill=False)
    picks = part.allocate(inputs.everything(), inputs.scored(), 60, inputs.job(tmp_path, inputs.vectors()))
    assert [p.index for p in picks] == inputs.RELEASED[f"cosine_filter {threshold}"]["picks"]
