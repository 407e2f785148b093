"""Pairs, and how their answers become scores."""

from __future__ import annotations

import numpy as np
import pytest

from tacos.llm.backends.scripted import ScriptedLLM
from tacos.scoring.comparative import (
    Comparative,
    LLMComparator,
    compare_request,
    read_out,
)
from tacos.scoring.pairing import Pair, PairScores, round_of
from tacos.selection import Groups
from tacos.types import Pool
from tests.scoring.compared import comparative_scores

STORED = Comparative()


def group(*rows: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def sides(pairs: list[Pair]) -> list[tuple[int, int]]:
    return [(p.first, p.second) for p in pairs]


class ByRow:
    """Scores row r of the pool as 10 r; a pair with a row of `bad` cannot be read."""

    def __init__(self, bad: set[int] | None = None):
        self.bad = bad or set()
        self.asked = 0

    def compare(self, pool: Pool, pairs: list[Pair]) -> list[PairScores]:
        self.asked += len(pairs)
        return [
            PairScores(error="unreadable")
            if {p.first, p.second} & self.bad
            else PairScores(first=10.0 * p.first, second=10.0 * p.second)
            for p in pairs
        ]


def test_stored_order_pairs_neighbours() -> None:
    pairs = STORED.pairs(Groups(("a", "b"), (group(0, 1, 2, 3), group(2, 5))), seed=0)
    assert sides(pairs) == [(0, 1), (2, 3), (2, 5)]


def test_an_odd_last_sample_meets_a_scored_one_or_is_dropped() -> None:
    groups = Groups(("a",), (group(3, 4, 5),))
    rematch = STORED.pairs(groups, seed=0)
    assert sides(rematch) == [(3, 4), (5, 3)]
    assert [p.counts_second for p in rematch] == [True, False]
    assert sides(Comparative(odd="drop").pairs(groups, seed=0)) == [(3, 4)]


def test_random_pairs_repeat_with_the_seed_and_rounds_change_partners() -> None:
    groups = Groups(("a",), (group(*range(20)),))
    settings = Comparative(pairing="random", rounds=3)
    pairs = settings.pairs(groups, seed=1)
    assert pairs == settings.pairs(groups, seed=1) != settings.pairs(groups, seed=2)
    for round_ in range(3):
        rows = [r for p in pairs if p.round == round_ for r in (p.first, p.second)]
        assert sorted(rows) == list(range(20))


@pytest.mark.parametrize("size", [2, 3, 4, 7, 10])
def test_nobody_meets_the_same_partner_twice(size: int) -> None:
    settings = Comparative(rounds=20, odd="drop")
    pairs = settings.pairs(Groups(("a",), (group(*range(size)),)), seed=0)
    met = [frozenset((p.first, p.second)) for p in pairs]
    assert len(set(met)) == len(met) == size * (size - 1) // 2  # more rounds than partners: everyone, once


def test_rounds_of_a_round_robin() -> None:
    assert [round_of([0, 1, 2, 3], r) for r in range(3)] == [
        [(0, 1), (2, 3)],
        [(2, 0), (1, 3)],
        [(0, 3), (1, 2)],
    ]


def test_the_scale_is_the_papers_or_the_released_prompts(pool: Pool) -> None:
    asked = [compare_request(pool[0], pool[1], Comparative(low=low)).messages[0].content for low in (1, 0)]
    assert "[1, 100]" in asked[0] and "[0, 100]" in asked[1]
    model = ScriptedLLM(lambda request: '{"feedback": "-", "score_1": 0, "score_2": 70}')
    for low, expected in ((0, 0.0), (1, None)):  # off the paper's scale is unreadable, and so missing
        comparator = LLMComparator(Comparative(low=low), model)
        assert comparator.compare(pool, [Pair(group=0, first=0, second=1)])[0].first == expected


def test_scores_inside_groups_and_their_mean(pool: Pool) -> None:
    groups = Groups(("a", "b"), (group(0, 1), group(1, 2)))
    pairs = STORED.pairs(groups, 0)
    answers = [PairScores(first=40, second=60), PairScores(first=80, second=20)]
    scores = read_out(len(pool), groups, pairs, answers)
    assert scores.within is not None
    assert [w.tolist() for w in scores.within] == [[40, 60], [80, 20]]
    assert scores.values[:3].tolist() == [40, 70, 20]
    assert np.isnan(scores.values[3:]).all()
    assert "in none" in scores.errors[3]


def test_an_unreadable_pair_leaves_both_missing_never_zero(pool: Pool) -> None:
    groups = Groups(("a",), (group(0, 1, 2, 3),))
    scores = comparative_scores(pool, groups, ByRow({1}), STORED, seed=0)
    assert np.isnan(scores.values[[0, 1]]).all()
    assert scores.values[[2, 3]].tolist() == [20, 30]
    assert scores.errors[0] == "unreadable"
    assert [r.value for r in scores.rows(pool)][:2] == [None, None]


def test_the_opponent_of_the_odd_one_keeps_its_own_score(pool: Pool) -> None:
    groups = Groups(("a",), (group(0, 1, 2),))
    pairs = STORED.pairs(groups, 0)
    scores = read_out(
        len(pool), groups, pairs, [PairScores(first=50, second=60), PairScores(first=70, second=1)]
    )
    assert scores.values[:3].tolist() == [50, 60, 70]


@pytest.mark.parametrize("size", [0, 1])
def test_a_group_without_a_neighbour_costs_no_call(pool: Pool, size: int) -> None:
    comparator = ByRow()
    groups = Groups(("a",), (group(*range(size)),))
    scores = comparative_scores(pool, groups, comparator, STORED, seed=0)
    assert comparator.asked == 0
    assert np.isnan(scores.values).all()
