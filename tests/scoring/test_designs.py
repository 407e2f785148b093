"""Who meets whom: counted by hand, and held for every design."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from tacos.scoring.calls import ACROSS, LATE, Calls
from tacos.scoring.designs import Design
from tacos.selection import Groups, Scores


def group(*rows: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def shown(calls: Calls) -> list[list[int]]:
    return [calls.shown(number) for number in range(len(calls))]


def counts(calls: Calls, n: int, guests: bool = True) -> np.ndarray:
    keep = calls.present & (guests | ~calls.guest)
    return np.bincount(calls.rows[keep], minlength=n)


STORED = Design(order="stored", bridges=0)
SPREAD = Groups(tuple("abcde"), tuple(np.arange(40) + 40 * g for g in range(5)))


def test_stored_order_pairs_neighbours() -> None:
    groups = Groups(("a", "b"), (group(0, 1, 2, 3), group(2, 5)))
    calls = STORED.plan(groups, seed=0)
    assert shown(calls) == [[0, 1], [2, 3], [2, 5]] and calls.group.tolist() == [0, 0, 1]


def test_an_odd_last_sample_meets_a_scored_one_or_is_dropped() -> None:
    groups = Groups(("a",), (group(3, 4, 5),))
    rematch = STORED.plan(groups, seed=0)
    assert shown(rematch) == [[3, 4], [5, 3]]
    assert rematch.guest.tolist() == [[False, False], [False, True]]
    assert shown(Design(order="stored", odd="drop", bridges=0).plan(groups, seed=0)) == [[3, 4]]


def test_partners_and_order_are_drawn_by_the_seed() -> None:
    groups = Groups(("a",), (np.arange(400),))
    first, second = (shown(Design().plan(groups, seed)) for seed in (1, 2))
    assert shown(Design().plan(groups, 1)) == first != second
    assert first != shown(STORED.plan(groups, 1)) and len(first) == 200
    ascending = np.mean([a < b for a, b in first])
    assert 0.4 < ascending < 0.6  # who is shown first has nothing to do with stored order


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_round_scores_everybody_once(rounds: int) -> None:
    calls = Design(rounds=rounds).plan(Groups(("a",), (np.arange(20),)), 1)
    assert len(calls) == 10 * rounds
    for number in range(rounds):
        assert sorted(calls.rows[calls.round == number].ravel().tolist()) == list(range(20))


def test_half_a_round_more_scores_half_of_the_group_again() -> None:
    calls = Design(rounds=1.5).plan(Groups(("a",), (np.arange(20),)), 1)
    assert len(calls) == 15 and sorted(counts(calls, 20).tolist()) == [1] * 10 + [2] * 10


@pytest.mark.parametrize("size", [2, 3, 4, 7, 10])
def test_nobody_meets_the_same_partner_twice(size: int) -> None:
    calls = Design(rounds=20, odd="drop").plan(Groups(("a",), (np.arange(size),)), seed=0)
    met = [frozenset(pair) for pair in shown(calls)]
    half = -(-size // 2)  # rounds there are; in a group of odd size one sits out
    assert len(set(met)) == len(met) == half * (size // 2)


def test_after_two_rounds_everybody_was_shown_first_once() -> None:
    calls = Design(rounds=2).plan(Groups(("a",), (np.arange(50),)), 4)
    assert np.bincount(calls.rows[:, 0], minlength=50).tolist() == [1] * 50


@pytest.mark.parametrize("size", [3, 4, 5])
def test_lists_score_everybody_once_and_fill_up_with_guests(size: int) -> None:
    calls = Design(size=size).plan(Groups(("a",), (np.arange(23),)), 0)
    assert len(calls) == -(-23 // size)
    assert counts(calls, 23, guests=False).tolist() == [1] * 23
    assert calls.present.all() and calls.guest.sum() == len(calls) * size - 23
    assert all(len(set(call)) == size for call in shown(calls))
    dropped = Design(size=size, odd="drop").plan(Groups(("a",), (np.arange(size + 1),)), 0)
    assert counts(dropped, size + 1).sum() == size  # one alone is left out


def test_a_group_smaller_than_a_list_is_one_list() -> None:
    calls = Design(size=5).plan(Groups(("a",), (group(7, 8, 9),)), 0)
    assert [sorted(call) for call in shown(calls)] == [[7, 8, 9]]


@pytest.mark.parametrize("size", [2, 4])
def test_bridges_cross_groups_at_no_more_calls(size: int) -> None:
    calls = Design(bridges=0.2, size=size).plan(SPREAD, 3)
    across = calls.group == ACROSS
    assert across.sum() == 0.2 * 200 / size and len(calls) == 200 / size
    assert all(a // 40 != b // 40 for call in calls.rows[across].tolist() for a, b in combinations(call, 2))
    assert all(len(set(row // 40 for row in call)) == 1 for call in calls.rows[~across].tolist())
    assert counts(calls, 200).tolist() == [1] * 200
    whole = Design(bridges=0.2, size=size).plan(Groups.one(40), 3)
    assert (whole.group != ACROSS).all()  # there is nothing to cross to


def test_late_calls_go_to_those_near_the_cut_off() -> None:
    design, values = Design(late=0.25), np.tile(np.arange(40.0), 5)
    late = design.late_plan(SPREAD, Scores(values), budget=50, seed=0)
    assert len(late) == 5 * 5 and set(late.round.tolist()) == {LATE}
    assert sorted(late.rows[late.group == 0].ravel().tolist()) == list(
        range(25, 35)
    )  # 10 of 40 places: above 29.25
    whole = Design(late=0.25, cut="pool").late_plan(
        SPREAD, Scores(values + np.repeat(np.arange(5), 40) * 40), 40, 0
    )
    assert sorted(whole.rows[~whole.guest].tolist()) == list(
        range(135, 185)
    )  # the cut is at 160, in groups 3 and 4


def test_a_group_that_is_taken_whole_has_no_late_calls() -> None:
    groups = Groups(("small", "large"), (np.arange(20), np.arange(20, 120)))
    late = Design(late=0.5).late_plan(groups, Scores(np.arange(120.0)), budget=100, seed=0)
    assert set(late.group.tolist()) == {1} and len(late) == 30  # half a round of all 120
    assert min(late.rows[~late.guest]) >= 20


@pytest.mark.parametrize("sizes", [(900, 100), (600, 400), (40, 30, 20), (3, 3, 3)])
@pytest.mark.parametrize("size", [2, 4])
def test_bridges_meet_members_of_other_groups_whatever_the_sizes(sizes: tuple[int, ...], size: int) -> None:
    ends = np.cumsum([0, *sizes])
    groups = Groups(tuple(map(str, sizes)), tuple(np.arange(a, b) for a, b in pairwise(ends)))
    home = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(5):
        calls = Design(bridges=0.3, size=size).plan(groups, seed)
        across = calls.rows[calls.group == ACROSS]
        assert all(len(set(home[row[row >= 0]])) > 1 for row in across)
        if size == 2:
            assert counts(calls, sum(sizes), guests=False).min() >= 1  # nobody loses the only score


def test_a_call_is_named_by_a_group_that_all_of_it_stand_in() -> None:
    members = tuple(np.sort(np.random.default_rng(g).permutation(1000)[:100]) for g in range(50))
    groups = Groups(tuple(map(str, range(50))), members)
    calls = Design(bridges=0.2).plan(groups, 0)
    for number in range(len(calls)):
        shared = set.intersection(*(set(groups.homes[row]) for row in calls.shown(number)))
        assert (int(calls.group[number]) in shared) if shared else calls.group[number] == ACROSS
        assert len(set(calls.shown(number))) == len(calls.shown(number))


def test_a_tenth_of_a_round_reaches_small_groups_by_chance() -> None:
    groups = Groups(tuple(map(str, range(200))), tuple(np.arange(800).reshape(200, 4)))
    calls = Design(rounds=1.1).plan(groups, 0)
    assert 20 <= len(calls) - 400 <= 60  # 40 on average, where rounding would give none


def test_as_many_calls_are_expected_as_are_made() -> None:
    design = Design(rounds=1.5, late=0.5)
    late = design.late_plan(SPREAD, Scores(np.arange(200.0)), 30, 0)
    assert len(design.expected(SPREAD, 0)) == len(design.plan(SPREAD, 0)) + len(late)
