"""Rates of a judge's decisions, by hand: their means, and intervals over questions."""

from __future__ import annotations

import pytest

from eval.rates import longer_wins, rate
from eval.spread import wilson


def test_one_decision_a_question_is_wilsons() -> None:
    found = rate(enumerate([True] * 44 + [False] * 21))
    assert found == wilson(44, 65)


def test_decisions_on_one_question_belong_together() -> None:
    """Two of a question that always agree weigh as one; the share and the count stay those of decisions."""
    hits = [True] * 30 + [False] * 20
    twice, once = rate(list(enumerate(hits)) * 2), wilson(30, 50)
    assert twice is not None and (twice.mean, twice.n) == (0.6, 100)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_the_worked_example() -> None:
    found = rate([("a", True), ("a", False), ("b", True), ("b", True), ("c", False)])
    assert found is not None and found == wilson(3, 5)  # 5.77 independent decisions, of which there are 5


def test_a_judge_that_always_takes_the_first_is_not_known_for_sure() -> None:
    found = rate((i // 2, True) for i in range(20))
    assert found is not None and (found.mean, found.high) == (1, 1)
    assert found.low == pytest.approx(wilson(10, 10).low)


def test_the_longer_answer() -> None:
    decided = [("a", True, 9, 3), ("b", True, 3, 9), ("b", False, 3, 9), ("c", True, 4, 4)]
    found = longer_wins(decided)
    assert found is not None and (found.mean, found.n) == (pytest.approx(2 / 3), 3)
    assert longer_wins(decided[3:]) is None and rate([]) is None
