"""Coverage and quality: worked by hand, its properties, against the plain loop, and pick for pick as submodlib."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation import facility_location
from tacos.allocation.facility_location import FacilityLocation, covering
from tacos.errors import BudgetError
from tacos.models.embedder import unit_rows
from tacos.selection import Groups, Scores
from tests.allocation import inputs

THREE = np.array([[1, 0], [4, 3], [0, 1]], dtype=np.float32)
"""a, b, c with cosines a-b 0.8, a-c 0, b-c 0.6."""


def value(unit: np.ndarray, chosen: list[int], quality: np.ndarray, alpha: float) -> float:
    """f(S), as the paper writes it."""
    near = np.maximum(unit @ unit[chosen].T, 0).max(axis=1, initial=0)
    return float((1 - alpha) * near.sum() + alpha * quality[chosen].sum())


def allocated(folder: Path, part: FacilityLocation, scores: Scores, budget: int) -> list[int]:
    job = inputs.job(folder, THREE)
    return [p.index for p in part.allocate(Groups.one(3), scores, budget, job)]


def test_coverage_alone_takes_the_row_that_is_like_most(tmp_path: Path) -> None:
    assert allocated(tmp_path, FacilityLocation(alpha=0), Scores.none(3), 3) == [1, 2, 0]
    assert allocated(tmp_path, FacilityLocation(), Scores.none(3), 3) == [1, 2, 0]


def test_quality_decides_by_its_weight(tmp_path: Path) -> None:
    scores = Scores(
        np.array([2.0, 1.0, 0.0])
    )  # alpha 0.5: a 0.9 + 1, b 1.2 + 0.5, c 0.8; then b 0.4 + 0.5, c 0.5
    assert allocated(tmp_path, FacilityLocation(alpha=0.5), scores, 3) == [0, 1, 2]
    assert allocated(tmp_path, FacilityLocation(alpha=0), scores, 3) == [1, 2, 0]


def test_a_row_without_a_score_is_covered_and_not_taken(tmp_path: Path) -> None:
    scores = Scores(np.array([1.0, np.nan, 1.0]), {1: "unread"})
    assert allocated(tmp_path, FacilityLocation(alpha=0), scores, 2) == [0, 2]  # 1.8 with row b, 1.6
    with pytest.raises(BudgetError, match=r"above the 2 samples .* 1 \(unread\)"):
        allocated(tmp_path, FacilityLocation(), scores, 3)


def test_equal_gains_go_to_the_first_row() -> None:
    same = np.tile(np.array([[1, 0]], dtype=np.float32), (5, 1))
    assert covering(same, np.arange(5), np.zeros(5), 0, 4) == [0, 1, 2, 3]


SMALL = st.tuples(st.integers(1, 40), st.integers(1, 4), st.floats(0, 1), st.integers(0, 999))


@given(SMALL)
def test_it_picks_what_the_plain_loop_picks(drawn: tuple[int, int, float, int]) -> None:
    n, dim, alpha, seed = drawn
    rng = np.random.default_rng(seed)
    unit, quality = unit_rows(rng.normal(size=(n, dim))), rng.normal(size=n)
    taken = covering(unit, np.arange(n), quality, alpha, n)
    assert sorted(taken) == list(range(n))
    for place, row in enumerate(taken):
        before = taken[:place]
        left = [r for r in range(n) if r not in before]
        found = value(unit, [*before, row], quality, alpha)
        assert found == pytest.approx(max(value(unit, [*before, r], quality, alpha) for r in left), abs=1e-5)


@given(SMALL, st.data())
def test_more_rows_cover_more_and_add_less(drawn: tuple[int, int, float, int], data: st.DataObject) -> None:
    n, dim, _, seed = drawn
    rng = np.random.default_rng(seed)
    unit, quality = unit_rows(rng.normal(size=(n, dim))), rng.random(n)
    few = data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n - 1))
    more = few + data.draw(st.lists(st.integers(0, n - 1), max_size=2))
    row = data.draw(st.integers(0, n - 1))

    def gain(chosen: list[int]) -> float:
        return value(unit, [*chosen, row], quality, 0) - value(unit, chosen, quality, 0)

    assert gain(few) >= gain(more) - 1e-4 and gain(more) >= -1e-4


def test_large_pools_make_cosines_in_blocks_and_pick_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, places = unit_rows(inputs.vectors()), np.arange(0, inputs.ROWS, 2)
    whole = covering(unit, places, inputs.qualities()[places], 0.3, 50)
    monkeypatch.setattr(facility_location, "WHOLE", 10)
    monkeypatch.setattr(facility_location, "COLUMNS", 64)
    assert covering(unit, places, inputs.qualities()[places], 0.3, 50) == whole


def test_submodlib_picks_the_same(tmp_path: Path) -> None:
    job = inputs.job(tmp_path, inputs.vectors())
    picks = FacilityLocation(alpha=0).allocate(inputs.everything(), inputs.scored(), 60, job)
    assert [p.index for p in picks] == inputs.RELEASED["facility_location"]["picks"]


def test_of_copies_the_first_is_taken_first() -> None:
    made, original = inputs.with_copies()
    taken = covering(unit_rows(made), np.arange(len(made)), np.zeros(len(made)), 0, 200)
    assert [row for place, row in enumerate(taken) if original[row] not in original[taken[:place]]] == [
        row for row in taken if original[row] == row
    ]
