"""How sure a selection is, by hand; and rows that are ranked by what they are at least."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tacos.allocation.certainty import certainty, quota_gap
from tacos.allocation.per_group import PerGroup
from tacos.allocation.top import Top
from tacos.errors import ConfigError
from tacos.selection import Groups, Pick, Scores
from tests.allocation.test_allocation import drawing

VALUES = np.array([80.0, 66.0, 62.0, 58.0, 40.0])
SURE = Scores(VALUES, std_errors=np.full(5, 5.0))


def picks(groups: Groups, scores: Scores, allocator: Top | PerGroup, budget: int) -> list[Pick]:
    return allocator.allocate(groups, scores, budget, drawing(0))


def test_rows_near_the_cut_by_hand() -> None:
    whole = Groups.one(5)
    found = certainty(whole, SURE, picks(whole, SURE, Top(), 3))
    assert found is not None  # the cut is 60: z = 4, 1.2, 0.4
    assert found.within_noise == pytest.approx(2 / 3)
    assert found.expected_above == pytest.approx((1.0 + 0.8849 + 0.6554) / 3, abs=1e-3)
    assert (found.std_error, found.score_sd) == (5.0, pytest.approx(VALUES.std()))
    assert certainty(whole, Scores(VALUES), picks(whole, SURE, Top(), 3)) is None
    assert certainty(whole, SURE, picks(whole, SURE, Top(), 5)) is None  # nothing is left out


def test_where_groups_have_places_each_has_its_cut() -> None:
    groups = Groups(("a", "b"), (np.array([0, 1, 2]), np.array([3, 4])))
    found = certainty(groups, SURE, picks(groups, SURE, PerGroup(), 2))
    assert found is not None  # cuts at 73 and 49: z = 1.4 and 1.8
    assert found.within_noise == 1.0 and found.expected_above == pytest.approx(
        (0.9192 + 0.9641) / 2, abs=1e-3
    )


def test_quota_and_one_cut_by_hand() -> None:
    groups = Groups(("a", "b"), (np.array([0, 1, 2]), np.array([3, 4])))
    found = quota_gap(groups, SURE, picks(groups, SURE, PerGroup(), 2))
    assert found is not None  # one cut takes 80 and 66, both of a; quotas take 80 and 58
    assert (found.shared, found.largest_group) == (0.5, 1.0)
    chance = (VALUES[:3].var(ddof=1) / 3 + VALUES[3:].var(ddof=1) / 2) / 2
    between = np.var([VALUES[:3].mean(), VALUES[3:].mean()], ddof=1) - chance
    assert found.group_sd == pytest.approx(np.sqrt(between / VALUES.var()))
    assert quota_gap(Groups.one(5), SURE, picks(Groups.one(5), SURE, Top(), 2)) is None


def test_level_groups_are_told_to_be_level_however_small() -> None:
    scores = Scores(np.random.default_rng(0).normal(size=4000))
    groups = Groups(tuple(map(str, range(1000))), tuple(np.arange(4000).reshape(1000, 4)))
    found = quota_gap(groups, scores, picks(groups, scores, PerGroup(), 1000))
    assert found is not None and found.group_sd < 0.1


def test_a_row_that_another_group_took_is_not_left() -> None:
    groups = Groups(("a", "b"), (np.array([0, 1]), np.array([0, 2, 3])))
    scores = Scores(np.array([80.0, 60.0, 50.0, 40.0]), std_errors=np.full(4, 5.0))
    chosen = picks(groups, scores, PerGroup(), 2)
    assert sorted((pick.index, pick.group) for pick in chosen) in ([(0, "a"), (2, "b")], [(0, "b"), (1, "a")])
    found = certainty(groups, scores, chosen)
    assert found is not None and found.expected_above > 0.8  # each pick is above its own cut


def test_a_group_that_is_taken_whole_has_no_cut() -> None:
    groups = Groups(("a", "b"), (np.array([0]), np.array([1, 2, 3, 4])))
    found = certainty(groups, SURE, picks(groups, SURE, PerGroup(), 3))
    assert found is not None and found.within_noise == pytest.approx(2 / 3)
    assert found.expected_above == pytest.approx((1 + 0.8849 + 0.6554) / 3, abs=1e-3)


@pytest.mark.parametrize("allocator", [Top, PerGroup])
def test_with_risk_the_surer_row_is_taken(allocator: type[Top] | type[PerGroup]) -> None:
    whole, unsure = Groups.one(3), Scores(np.array([80.0, 79.0, 10.0]), std_errors=np.array([20.0, 1.0, 1.0]))
    assert [pick.index for pick in picks(whole, unsure, allocator(), 1)] == [0]
    careful = picks(whole, unsure, allocator(risk=1), 1)
    assert [(pick.index, pick.score) for pick in careful] == [(1, 78.0)]
    within = replace(unsure, within=(np.array([99.0, 1.0, 0.0]),))  # lowered scores decide inside groups, too
    assert [pick.index for pick in picks(whole, within, allocator(risk=1), 1)] == [1]
    with pytest.raises(ConfigError, match=r"allocate\.risk=1 .* these have none"):
        picks(whole, Scores(VALUES[:3]), allocator(risk=1), 1)
