"""Budgets, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.base import Allocator
from tacos.allocation.per_group import PerGroup
from tacos.allocation.top import Top, Uniform
from tacos.errors import BudgetError
from tacos.types import Groups, Scores

NAN = float("nan")


def make(members: list[list[int]]) -> Groups:
    return Groups(
        tuple(f"g{i}" for i in range(len(members))), tuple(np.array(m, dtype=np.int64) for m in members)
    )


def rows(picks: list) -> list[int]:  # type: ignore[type-arg]
    return [p.index for p in picks]


def test_top_takes_the_highest_and_keeps_stored_order_on_ties() -> None:
    scores = Scores(np.array([1.0, 5.0, 5.0, NAN, 9.0]))
    assert rows(Top().allocate(Groups.one(5), scores, 3)) == [4, 1, 2]


def test_a_missing_score_is_never_taken() -> None:
    with pytest.raises(BudgetError, match="at most 1"):
        Top().allocate(Groups.one(2), Scores(np.array([NAN, 0.0])), 2)


def test_smallest_group_first_without_repeats() -> None:
    groups = make([[0, 1, 2, 3], [3, 4]])
    scores = Scores(np.array([10.0, 40.0, 30.0, 50.0, 20.0]))
    picks = PerGroup().allocate(groups, scores, 4)
    assert rows(picks) == [3, 4, 1, 2]  # g1 first: its best two; then g0, where 3 is taken already
    assert [p.group for p in picks] == ["g1", "g1", "g0", "g0"]


def test_what_a_small_group_leaves_goes_round_again_or_not() -> None:
    groups = make([[0, 1, 2], [3]])
    scores = Scores(np.arange(4.0))
    assert sorted(rows(PerGroup().allocate(groups, scores, 4))) == [0, 1, 2, 3]
    assert sorted(rows(PerGroup(fill=False).allocate(groups, scores, 4))) == [1, 2, 3]


def test_without_filling_up_a_budget_may_stay_open() -> None:
    groups = make([[0], [1]])
    assert rows(PerGroup(fill=False).allocate(groups, Scores(np.ones(2)), 10)) == [0, 1]


def test_a_budget_that_does_not_divide_gives_the_rest_to_the_largest() -> None:
    groups = make([[0, 1], [2, 3, 4]])
    picks = PerGroup(fill=False).allocate(groups, Scores(np.ones(5)), 3)
    assert [p.group for p in picks] == ["g0", "g1", "g1"]


def test_scores_inside_a_group_decide_there() -> None:
    groups = make([[0, 1], [0, 1]])
    scores = Scores(np.array([50.0, 50.0]), {}, (np.array([90.0, 10.0]), np.array([10.0, 90.0])))
    picks = PerGroup().allocate(groups, scores, 2)
    assert [(p.index, p.group) for p in picks] == [(0, "g0"), (1, "g1")]


def test_uniform_repeats_with_its_seed() -> None:
    scores = Scores(np.full(50, NAN))
    draws = [rows(Uniform(seed).allocate(Groups.one(50), scores, 10)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@given(
    members=st.lists(st.lists(st.integers(0, 19), unique=True).map(sorted), min_size=1, max_size=6),
    budget=st.integers(0, 25),
    values=st.lists(st.one_of(st.just(NAN), st.floats(0, 100)), min_size=20, max_size=20),
)
def test_budgets_hold_for_any_groups(members: list[list[int]], budget: int, values: list[float]) -> None:
    groups, scores = make(members), Scores(np.array(values))
    scored = {r for m in members for r in m if not np.isnan(values[r])}
    for allocator in (PerGroup(), Top()):
        check(allocator, groups, scores, budget, scored)


def check(allocator: Allocator, groups: Groups, scores: Scores, budget: int, scored: set[int]) -> None:
    if budget > len(scored):
        with pytest.raises(BudgetError):
            allocator.allocate(groups, scores, budget)
        return
    taken = rows(allocator.allocate(groups, scores, budget))
    assert len(taken) == len(set(taken)) == budget
    assert set(taken) <= scored
