"""Budgets, worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.coverage import CoverGroups
from tacos.allocation.per_group import PerGroup
from tacos.allocation.top import Top
from tacos.allocation.top_and_best import TopAndBest
from tacos.allocation.uniform import Uniform
from tacos.errors import BudgetError
from tacos.part import Allocator
from tacos.selection import Groups, Scores
from tacos.stage import Job

NAN = float("nan")
NO_JOB: Any = None
"""No allocator here reads more than groups and scores."""


def drawing(seed: int) -> Job:
    return Job(Path(), {}, NO_JOB, seed)


def make(members: list[list[int]]) -> Groups:
    return Groups(
        tuple(f"g{i}" for i in range(len(members))), tuple(np.array(m, dtype=np.int64) for m in members)
    )


def rows(picks: list) -> list[int]:  # type: ignore[type-arg]
    return [p.index for p in picks]


def test_top_takes_the_highest_and_keeps_stored_order_on_ties() -> None:
    scores = Scores(np.array([1.0, 5.0, 5.0, NAN, 9.0]))
    assert rows(Top().allocate(Groups.one(5), scores, 3, NO_JOB)) == [4, 1, 2]


def test_a_missing_score_is_never_taken() -> None:
    with pytest.raises(BudgetError, match="at most 1"):
        Top().allocate(Groups.one(2), Scores(np.array([NAN, 0.0])), 2, NO_JOB)


def test_equal_scores_are_drawn_by_the_seed_below_those_that_are_higher() -> None:
    scores = Scores(np.array([5.0, NAN, 4.5, 4.5, 4.0, 4.5, 5.0, 4.5]))
    top = Top(least=4.5, ties="random")
    picked = [rows(top.allocate(Groups.one(8), scores, 4, drawing(seed))) for seed in range(40)]
    assert all(set(found[:2]) == {0, 6} for found in picked)
    assert {row for found in picked for row in found[2:]} == {2, 3, 5, 7}
    assert picked[0] == rows(top.allocate(Groups.one(8), scores, 4, drawing(0)))


def test_rows_below_the_least_score_are_not_taken() -> None:
    scores = Scores(np.array([5.0, NAN, 4.5, 4.0]))
    assert rows(Top(least=4.5).allocate(Groups.one(4), scores, 2, NO_JOB)) == [0, 2]
    with pytest.raises(
        BudgetError,
        match=r"budget 3 is above the 2 samples with a score of 4\.5 or more: ask for at most 2, or lower allo",
    ):
        Top(least=4.5).allocate(Groups.one(4), scores, 3, NO_JOB)


@pytest.mark.parametrize("allocator", [Top(), PerGroup(), CoverGroups(), TopAndBest()])
def test_why_too_few_have_a_score_is_said(allocator: Allocator) -> None:
    scores = Scores(np.array([NAN, NAN, NAN, 1.0]), {0: "alone", 1: "unread", 2: "alone"})
    with pytest.raises(
        BudgetError, match=r"above the 1 samples .* at most 1; without one: 2 \(alone\), 1 \(unr"
    ):
        allocator.allocate(Groups.one(4), scores, 2, NO_JOB)
    with pytest.raises(BudgetError, match=r"above the 0 samples .*: nothing can be selected; without one: 1"):
        allocator.allocate(Groups.one(1), Scores(np.array([NAN]), {0: "alone"}), 1, NO_JOB)


def test_smallest_group_first_without_repeats() -> None:
    groups = make([[0, 1, 2, 3], [3, 4]])
    scores = Scores(np.array([10.0, 40.0, 30.0, 50.0, 20.0]))
    picks = PerGroup().allocate(groups, scores, 4, NO_JOB)
    # g1 is served first, its best two 3 and 4; then g0, where 3 is taken already. Then by place, and by score.
    assert [(p.index, p.group, p.place) for p in picks] == [
        (3, "g1", 1),
        (1, "g0", 1),
        (2, "g0", 2),
        (4, "g1", 2),
    ]


def test_what_a_small_group_leaves_goes_round_again_or_not() -> None:
    groups = make([[0, 1, 2], [3]])
    scores = Scores(np.arange(4.0))
    assert sorted(rows(PerGroup().allocate(groups, scores, 4, NO_JOB))) == [0, 1, 2, 3]
    assert sorted(rows(PerGroup(fill=False).allocate(groups, scores, 4, NO_JOB))) == [1, 2, 3]


def test_without_filling_up_a_budget_may_stay_open() -> None:
    groups = make([[0], [1]])
    assert rows(PerGroup(fill=False).allocate(groups, Scores(np.ones(2)), 10, NO_JOB)) == [0, 1]


def test_a_budget_that_does_not_divide_gives_the_rest_to_the_largest() -> None:
    groups = make([[0, 1], [2, 3, 4]])
    picks = PerGroup(fill=False).allocate(groups, Scores(np.ones(5)), 3, NO_JOB)
    assert [p.group for p in picks] == ["g0", "g1", "g1"]


def test_scores_inside_a_group_decide_there() -> None:
    groups = make([[0, 1], [0, 1]])
    scores = Scores(np.array([50.0, 50.0]), {}, (np.array([90.0, 10.0]), np.array([10.0, 90.0])))
    picks = PerGroup().allocate(groups, scores, 2, NO_JOB)
    assert [(p.index, p.group) for p in picks] == [(0, "g0"), (1, "g1")]


def test_uniform_repeats_with_its_seed() -> None:
    scores = Scores(np.full(50, NAN))
    draws = [rows(Uniform().allocate(Groups.one(50), scores, 10, drawing(seed))) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_coverage_adds_groups_best_first_pass_after_pass() -> None:
    groups = make([[0, 1], [0, 3], [2]])  # x = 0 in g0 and g1, y = 1, z = 2, w = 3
    scores = Scores(np.array([9.0, 8.0, 7.0, 6.0]))
    picks = CoverGroups().allocate(groups, scores, 4, NO_JOB)
    assert [(p.index, p.group) for p in picks] == [(0, "g0"), (2, "g2"), (1, "g0"), (3, "g1")]
    assert [p.score for p in picks] == [9.0, 7.0, 8.0, 6.0]


def test_the_score_that_decided_stands_with_the_pick() -> None:
    groups = make([[0, 1], [0, 1]])
    scores = Scores(np.array([50.0, 49.0]), {}, (np.array([90.0, 10.0]), np.array([10.0, 88.0])))
    assert [p.score for p in PerGroup().allocate(groups, scores, 2, NO_JOB)] == [90.0, 88.0]
    assert [p.score for p in Top().allocate(groups, scores, 2, NO_JOB)] == [50.0, 49.0]


@given(
    members=st.lists(st.lists(st.integers(0, 19), unique=True).map(sorted), min_size=1, max_size=6),
    budget=st.integers(0, 25),
    values=st.lists(st.one_of(st.just(NAN), st.floats(0, 100)), min_size=20, max_size=20),
)
def test_budgets_hold_for_any_groups(members: list[list[int]], budget: int, values: list[float]) -> None:
    groups, scores = make(members), Scores(np.array(values))
    scored = {r for m in members for r in m if not np.isnan(values[r])}
    for allocator in (PerGroup(), Top(), CoverGroups()):
        check(allocator, groups, scores, budget, scored)


def check(allocator: Allocator, groups: Groups, scores: Scores, budget: int, scored: set[int]) -> None:
    if budget > len(scored):
        with pytest.raises(BudgetError):
            allocator.allocate(groups, scores, budget, NO_JOB)
        return
    taken = rows(allocator.allocate(groups, scores, budget, NO_JOB))
    assert len(taken) == len(set(taken)) == budget
    assert set(taken) <= scored
