"""Coverage and quality: worked by hand, its properties, against the plain loop, and pick for pick as submodlib."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation import covered, facility_location
from tacos.allocation.facility_location import FacilityLocation, Search, covering
from tacos.errors import BudgetError, ConfigError
from tacos.models.embedder import unit_rows
from tacos.selection import Groups, Scores
from tests.allocation import inputs
from tests.scoring import scored

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
    unit, places = unit_rows(inputs.vectors(1500)), np.arange(0, 1500, 2)
    quality = inputs.qualities(1500)[places]
    whole = covering(unit, places, quality, 0.3, 300)
    monkeypatch.setattr(facility_location, "WHOLE", 10)
    monkeypatch.setattr(covered, "COLUMNS", 64)
    monkeypatch.setattr(covered, "GROUP", 4)
    for few, room in ((32, 10**9), (4, 10**9), (4, 2000), (10**6, 0)):
        monkeypatch.setattr(covered, "FEW", few)
        monkeypatch.setattr(covered, "ENTRIES", room)
        assert covering(unit, places, quality, 0.3, 300) == whole


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


def test_a_row_is_covered_by_its_nearest_alone() -> None:
    unit = unit_rows(THREE)  # nearest two of a: a, b; of b: b, a; of c: c, b
    assert covering(unit, np.arange(3), np.zeros(3), 0, 3, Search(2, None, 0)) == [1, 2, 0]
    # nearest one is the row itself: all gain 1
    assert covering(unit, np.arange(3), np.zeros(3), 0, 3, Search(1, None, 0)) == [0, 1, 2]


@given(SMALL)
def test_all_rows_as_neighbors_are_the_plain_loop(drawn: tuple[int, int, float, int]) -> None:
    n, dim, alpha, seed = drawn
    rng = np.random.default_rng(seed)
    unit, quality = unit_rows(rng.normal(size=(n, dim))), rng.normal(size=n)
    taken = covering(unit, np.arange(n), quality, alpha, n, Search(n, None, 0))
    assert sorted(taken) == list(range(n))
    for place, row in enumerate(taken):
        before, left = taken[:place], taken[place:]
        found = value(unit, [*before, row], quality, alpha)
        assert found == pytest.approx(max(value(unit, [*before, r], quality, alpha) for r in left), abs=1e-4)


@pytest.mark.parametrize("compared", [None, 1000])
def test_neighbors_lose_little_and_repeat_with_their_seed(compared: int | None) -> None:
    n, none = 4000, np.zeros(4000)
    unit = unit_rows(inputs.vectors(n))
    exact = value(unit, covering(unit, np.arange(n), none, 0, 12), none, 0)
    near, again = (covering(unit, np.arange(n), none, 0, 12, Search(32, compared, 1)) for _ in range(2))
    assert near == again and len(set(near)) == 12
    drawn = np.random.default_rng(0).permutation(n)[:12].tolist()
    assert value(unit, near, none, 0) > 0.97 * exact > 1.05 * value(unit, drawn, none, 0)


def test_copies_and_rows_without_a_score_with_neighbors() -> None:
    made, original = inputs.with_copies()
    unit, places = unit_rows(made), np.arange(0, len(made), 2)
    taken = covering(unit, places, np.zeros(len(places)), 0, 300, Search(8, None, 0))
    assert len(set(taken)) == 300
    first = [row for row in range(len(places)) if original[places[row]] not in original[places[:row]]]
    new = [row for at, row in enumerate(taken) if original[places[row]] not in original[places[taken[:at]]]]
    assert set(new) <= set(first)


def test_the_seed_counts_where_neighbors_are_searched() -> None:
    setup = scored.setup(inputs.texts(3))
    assert "seed" not in FacilityLocation().identity(setup)
    assert FacilityLocation(neighbors=8).identity(setup)["seed"] == setup.seed


def test_a_large_pool_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(facility_location, "LARGE", 2)
    allocated(tmp_path, FacilityLocation(neighbors=2), Scores.none(3), 2)
    assert not caplog.records
    allocated(tmp_path, FacilityLocation(), Scores.none(3), 2)
    assert "allocate.neighbors=64" in caplog.text


EUCLIDEAN = {
    (0, 80, 16): "54 41 56 26 72 29 53 49 43 37 45 1 34 65 69 14 4 63 66 61 55 51 77 20 36 28 24 8 22 57",
    (
        1,
        120,
        32,
    ): "98 54 55 60 13 107 30 4 103 33 24 66 14 3 40 57 62 79 83 31 5 43 6 35 37 106 19 114 38 116 74 93 "
    "12 117 53 115 100 108 22 81",
}
"""Seed, rows and dimensions of random vectors -> what submodlib-py 0.0.3 took, called as Superfiltering.D calls it."""


def clumps(seed: int, n: int, dim: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((8, dim))[rng.integers(0, 8, n)]
    return unit_rows((centres + 0.7 * rng.standard_normal((n, dim))).astype(np.float64)).astype(np.float32)


@pytest.mark.parametrize("whole", [covered.WHOLE, 10])
@pytest.mark.parametrize("shape", EUCLIDEAN)
def test_euclidean_picks_are_those_of_superfiltering_d(
    shape: tuple[int, int, int], whole: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(facility_location, "WHOLE", whole)
    unit, wanted = clumps(*shape), [int(row) for row in EUCLIDEAN[shape].split()]
    part, n = FacilityLocation(alpha=0, similarity="euclidean"), shape[1]
    picks = part.allocate(Groups.one(n), Scores.none(n), len(wanted), inputs.job(tmp_path, unit))
    assert [pick.index for pick in picks] == wanted


def test_euclidean_likeness_by_hand() -> None:
    found = covered.Euclidean(2)(np.array([1.0, 0.0, -1.0], dtype=np.float32))
    wanted = np.exp(-np.array([0, 2**0.5, 2]) / 2) - np.exp(-1)
    assert found == pytest.approx(wanted, abs=1e-6)


def test_the_best_share_is_chosen_from_and_covered(tmp_path: Path) -> None:
    scores = Scores(np.array([3.0, 1.0, 2.0]))
    part = FacilityLocation(alpha=0, best=0.67)
    # of a and c, which are not alike at all, each covers itself: the first; without `best` it would be b
    assert allocated(tmp_path, part, scores, 2) == [0, 2]
    with pytest.raises(BudgetError, match="above the 2 rows of the best 67%"):
        allocated(tmp_path, part, scores, 3)
    with pytest.raises(ConfigError, match="share of the rows by score"):
        allocated(tmp_path, part, Scores.none(3), 2)
