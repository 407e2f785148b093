"""The figures of a scorer's card, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eval.graded import graded, standardised
from eval.ranks import mean_tau, partial_spearman, spearman, stepped_up
from eval.scorer_card import first_position, scorer_card, split_half
from tacos.scoring.calls import Calls, CallScores
from tacos.types import Pool, make_sample
from tacos.usage import Usage

NAN = float("nan")


def test_spearman_with_the_interval_of_bonett_and_wright() -> None:
    found = spearman(np.array([1, 2, 3, 4, 5.0]), np.array([1, 2, 3, 5, 4.0]))
    assert found and found.n == 5 and found.mean == pytest.approx(0.9)
    assert (found.low, found.high) == pytest.approx((-0.1688, 0.9961), abs=1e-4)
    assert spearman(np.ones(5), np.arange(5.0)) is None and spearman(np.arange(3.0), np.arange(3.0)) is None


def test_a_partial_correlation_takes_out_what_a_third_explains() -> None:
    a, b, c = np.array([1, 2, 3, 4, 5, 6.0]), np.array([2, 1, 4, 3, 6, 5.0]), np.array([1, 3, 2, 5, 4, 6.0])
    ab, ac, bc = (spearman(x, y) for x, y in ((a, b), (a, c), (b, c)))
    assert ab and ac and bc
    assert (ab.mean, ac.mean, bc.mean) == pytest.approx((29 / 35, 31 / 35, 17 / 35))
    found = partial_spearman(a, b, c)
    by_hand = (29 / 35 - 31 * 17 / 35**2) / ((1 - (31 / 35) ** 2) * (1 - (17 / 35) ** 2)) ** 0.5
    assert found and found.mean == pytest.approx(by_hand)


def test_halves_are_stepped_up_by_spearman_and_brown() -> None:
    half = spearman(np.array([1, 2, 3, 4, 5.0]), np.array([1, 3, 2, 5, 4.0]))
    assert half and half.mean == pytest.approx(0.8)
    assert stepped_up(half).mean == pytest.approx(1.6 / 1.8)


def test_tau_is_taken_row_by_row() -> None:
    found = mean_tau(np.array([[5, 4, 3], [5, 5, 3], [3, 4, 5.0]]))
    assert found and found.n == 3 and found.mean == pytest.approx((-1 - 2 / 3 + 1) / 3)
    assert mean_tau(np.empty((0, 3))) is None
    tied = mean_tau(np.ones((20, 3)))
    assert (
        tied and tied.mean == 0 and tied.low == pytest.approx(-tied.high) == pytest.approx(-0.1684, abs=1e-4)
    )


def test_grades_are_held_against_the_one_before() -> None:
    """The table of the module, with a third row that lacks a score."""
    scores = np.array([[8, 7, 5, 2], [6, 6, 4, 5], [9, NAN, 1, 0]])
    found = graded("truncate", ("25", "50", "75"), scores)
    assert found.n == 2 and [grade.score for grade in found.grades] == [7, 6.5, 4.5, 3.5]
    falls = [grade.falls.mean for grade in found.grades[1:] if grade.falls]
    rises = [grade.rises.mean for grade in found.grades[1:] if grade.rises]
    assert falls == [0.5, 1.0, 0.5] and rises == [0, 0, 0.5]
    changes = [grade.change.mean for grade in found.grades[1:] if grade.change]
    assert changes == [-0.5, -2.5, -3.5]
    assert found.tau and found.tau.mean == pytest.approx((-1 - 0.5) / 2)
    nothing = graded("pad", ("1",), np.array([[NAN, 1.0]]))
    assert (nothing.n, nothing.grades, nothing.tau) == (0, [], None)


def test_the_first_position_counts_what_is_decided() -> None:
    calls = Calls.of([[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]])
    scores = np.array([[9, 5], [7, 3], [2, 8], [5, 5], [NAN, NAN]])
    found = first_position(calls, CallScores(scores)).interval
    assert found and found.n == 3 and found.mean == pytest.approx(2 / 3)
    lists = first_position(Calls.of([[0, 1, 2]]), CallScores(np.array([[5.0, 3, 9]]))).interval
    assert lists and lists.n == 2 and lists.mean == 0.5
    tied = first_position(Calls.of([[0, 1]]), CallScores(np.array([[5.0, 5]])))
    assert tied.interval is None and tied.missing


def test_halves_of_the_calls_share_no_partner() -> None:
    """Scores of rows 0-5 in two rounds: halves (1, 2, 3, 4, 5, 6) and (1, 2, 3, 4, 6, 5). Rows 6 and 7 meet twice."""
    first = Calls.of([[0, 1], [2, 3], [4, 5], [6, 7]], round=0)
    second = Calls.of([[2, 1], [0, 4], [5, 3], [7, 6]], round=1)
    answers = CallScores(
        np.array([[1.0, 2], [3, 4], [5, 6], [90, 10]]),
    ).then(CallScores(np.array([[3.0, 2], [1, 6], [5, 4], [90, 10]])))
    calls = Calls.join([first, second])
    found = split_half(calls, answers).interval
    r = 1 - 6 * 2 / (6 * 35)
    assert found and found.n == 6 and found.mean == pytest.approx(2 * r / (1 + r))
    once = split_half(first, CallScores(answers.scores[:4]))
    assert once.interval is None and "rounds=2" in (once.missing or "")


def test_guests_and_late_calls_are_in_no_half() -> None:
    calls = Calls.join([Calls.of([[0, 1], [2, 0]], guests=[(1, 1)]), Calls.of([[1, 2]], round=-1)])
    assert split_half(calls, CallScores(np.ones((3, 2)))).interval is None


def test_a_card_of_rows_as_they_are() -> None:
    pool = Pool.from_samples(make_sample("p" * 3, "w " * (i + 1), id=str(i)) for i in range(6))
    values = np.array([1, 2, 3, 4, 5, NAN])
    used = Usage(
        calls=6, cached_calls=6, prompt_tokens=60, cached_prompt_tokens=60, cost_usd=0.5, seconds=3.0
    )
    card = scorer_card(
        "toy", pool, values, used, readout={"reliability": 0.6, "told_apart": True, "effects": {}}
    )
    assert card.n == 6 and card.unread and card.unread.mean == pytest.approx(1 / 6)
    assert card.length.mean == pytest.approx(1) and card.length_given_prompt.missing and not card.constant
    assert (card.reliability, card.told_apart, card.noise) == (0.6, True, None)
    assert (card.cost.calls, card.cost.tokens, card.cost.seconds) == (2, 20, 0.5)
    assert card.first_position.missing and "compare" in card.first_position.missing
    flat = scorer_card("flat", pool, np.full(6, 2.0), Usage())
    assert flat.constant and flat.length.interval is None
    nothing = scorer_card("nothing", pool, np.full(6, NAN), Usage())
    assert nothing.unread and nothing.unread.mean == 1.0 and not nothing.constant


def test_each_pool_is_held_against_its_rows_as_they_are() -> None:
    """Rows 0 and 1 are as they are: mean 2 and sd 1 in one pool, 12 and 2 in the other, which was fitted anew."""
    scores = np.array([[1, 3, 4], [10, 14, 10], [NAN, NAN, 7.0]])
    found = standardised(scores, np.array([True, True, False]))
    assert found[:2].tolist() == [[-1, 1, 2], [-1, 1, -1]] and np.isnan(found[2]).all()
    assert standardised(np.array([[5.0, 5, 5]]), np.array([True, True, False])).tolist() == [[0, 0, 0]]
