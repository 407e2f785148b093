"""The largest volume: worked by hand, and against determinants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.log_det import LogDet, spanning
from tacos.errors import ConfigError
from tacos.models.embedder import unit_rows
from tacos.selection import Groups, Scores
from tests.allocation import inputs

THREE = np.array([[5, 0, 0], [4, 3, 0], [3, 0, 4]], dtype=np.float32)
"""a, b, c with cosines a-b 0.8, a-c 0.6, b-c 0.48."""


def allocated(folder: Path, part: LogDet, scores: Scores, made: np.ndarray = THREE) -> list[int]:
    job = inputs.job(folder, made)
    picks = part.allocate(Groups.one(len(made)), scores, len(made), job)
    return [p.index for p in picks]


def test_what_is_least_spanned_is_next(tmp_path: Path) -> None:
    assert allocated(tmp_path, LogDet(), Scores.none(3)) == [0, 2, 1]  # b leaves 0.36 and c 0.64


def test_quality_weighs_twice(tmp_path: Path) -> None:
    # c first; then 4 (1 - 0.36) = 2.56 of a, and 3.61 (1 - 0.2304) = 2.78 of b
    assert allocated(tmp_path, LogDet(), Scores(np.array([2.0, 1.9, 3.0]))) == [2, 1, 0]
    # by rank 2/3, 1/3, 1: 0.284 of a, 0.086 of b
    assert allocated(tmp_path, LogDet(quality="rank"), Scores(np.array([2.0, 1.9, 3.0]))) == [2, 0, 1]


def test_a_score_below_0_is_no_weight(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"allocate.by=log_det weighs .* lowest is -1: .*allocate.quality=rank"
    ):
        allocated(tmp_path, LogDet(), Scores(np.array([2.0, -1.0, 3.0])))


def test_a_new_determinant_begins_when_all_is_spanned(tmp_path: Path) -> None:
    plane = np.array([[1, 0], [1, 1], [0, 1], [1, 2], [0, 0]], dtype=np.float32)
    job = inputs.job(tmp_path, plane)
    picks = LogDet().allocate(Groups.one(5), Scores.none(5), 5, job)
    assert [p.index for p in picks] == [0, 2, 1, 3, 4]  # two rows span the plane; zeros come last
    assert job.metrics == {"passes": 2}


def test_copies_go_by_stored_order(tmp_path: Path) -> None:
    assert allocated(tmp_path, LogDet(), Scores.none(4), np.ones((4, 3), dtype=np.float32)) == [0, 1, 2, 3]


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 999))
def test_it_picks_what_determinants_pick(n: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    unit, weights = unit_rows(rng.normal(size=(n, dim))), rng.uniform(0.5, 2, n)
    kernel = (weights[:, None] * unit.astype(np.float64)) @ (weights[:, None] * unit.astype(np.float64)).T
    taken = spanning(unit, weights, n)
    assert len(taken) == min(n, dim)
    for place, row in enumerate(taken):
        before = taken[:place]

        def grown(other: int, before: list[int] = before) -> float:
            return float(np.linalg.det(kernel[np.ix_([*before, other], [*before, other])]))

        best = max(grown(other) for other in range(n) if other not in before)
        assert grown(row) == pytest.approx(best, rel=1e-4, abs=1e-12)


def test_gains_never_rise() -> None:
    unit = unit_rows(inputs.vectors()).astype(np.float64)
    taken = spanning(unit_rows(inputs.vectors()), np.ones(inputs.ROWS), inputs.DIM)
    volumes = [np.linalg.det(unit[taken[:k]] @ unit[taken[:k]].T) for k in range(1, inputs.DIM + 1)]
    gains = np.divide(volumes[1:], volumes[:-1])
    assert (np.diff(gains) <= 1e-9).all() and gains.max() <= 1


def test_of_copies_the_first_is_taken_first() -> None:
    made, original = inputs.with_copies()
    taken = spanning(made, np.ones(len(made)), 200)
    assert [row for place, row in enumerate(taken) if original[row] not in original[taken[:place]]] == [
        row for row in taken if original[row] == row
    ]
