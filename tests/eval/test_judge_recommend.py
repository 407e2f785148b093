"""Which judge, how many orders, how many questions: by hand, and against simulated experiments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from eval.judge_check.check import LongerJudge, judge_check
from eval.judge_check.orders import OneOrTwo, questions_for
from eval.judge_check.recommend import JudgeCheck, check_judges
from eval.stats import against
from tacos.answering.judge import PairJudge
from tests.eval.judges import Orders, labelled, pair, saying


def one_or_two(judge: Orders, *labels: int | None) -> OneOrTwo:
    found = judge_check(judge, labelled(*(pair(n, label) for n, label in enumerate(labels)))).orders
    assert found is not None
    return found


def test_two_orders_by_hand() -> None:
    """Points of order 1, order 2 and both: right and right; first and first; a tie and right; wrong and unread."""
    judge = Orders((8, 5), (8, 5), (5, 5), (5, 8), (5, 8), (8, 5), (5, 8), None)
    found = one_or_two(judge, 1, 1, 1, 1)
    assert (found.order_1.mean, found.order_2.mean) == (2.5 / 3, 2 / 3)  # 1, 1, 1/2 and 1, 0, 1
    assert (found.one.accuracy.mean, found.two.accuracy.mean) == (2.25 / 3, 2.5 / 3)  # both: 1, 1/2, 1
    assert found.gain.mean == pytest.approx(0.25 / 3) and found.gain.n == 3
    assert (found.one.ties, found.two.ties) == (1 / 6, 1 / 3)
    assert judge_check(saying(None), labelled(pair(1, 1))).orders is None


def test_how_many_questions_by_hand() -> None:
    """(1.96 + 0.84)^2 x 0.2491 / 0.0009 = 2,172 and x 0.1866 / 0.0009 = 1,627, and Student's a few more."""
    assert (questions_for(0.8, 0.0, 0.05), questions_for(0.8, 0.25, 0.05)) == (2175, 1630)
    assert questions_for(1.0, 0.0, 0.05) == 779  # 7.849 x 0.2475 / 0.0025 = 777
    assert questions_for(0.5, 0.0, 0.05) is None and questions_for(0.4, 0.0, 0.05) is None
    assert questions_for(0.501, 0.0, 0.01) is None  # more than a million
    assert questions_for(1.0, 0.0, 0.5) == 6  # fewer can claim nothing


def verdicts(better: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Whether A wins in each order. A quarter of the questions go to the answer shown first, the others are judged
    the same in both orders, 90% of them right: 0.8 in either order, a quarter of ties over both."""
    by_place = rng.random(len(better)) < 0.25
    judged = np.where(rng.random(len(better)) < 0.9, better, ~better)
    return np.where(by_place, True, judged), np.where(by_place, False, judged)


def share_found(questions: int, orders: int, difference: float, rng: np.random.Generator) -> float:
    """Of 500 experiments, in which A's win rate is truly 1/2 + `difference`."""
    found = []
    for _ in range(500):
        first, second = verdicts(rng.random(questions) < 0.5 + difference, rng)
        one = np.where(rng.random(questions) < 0.5, first, second).astype(float)
        points = one if orders == 1 else (first.astype(float) + second) / 2
        found.append(against([points], 0.5, scale=(0.0, 1.0)).p_value <= 0.05)
    return float(np.mean(found))


def test_eighty_of_a_hundred_experiments_find_it_with_the_questions_promised() -> None:
    rng, pairs = np.random.default_rng(3), 3000
    labels = rng.integers(1, 3, pairs)
    first, second = verdicts(labels == 1, rng)
    shown = [(9, 1) if wins else (1, 9) for wins in first] + [(1, 9) if wins else (9, 1) for wins in second]
    judge = Orders(*shown)
    report = judge_check(judge, labelled(*(pair(n, int(x)) for n, x in enumerate(labels))), difference=0.1)
    assert report.orders is not None and report.all.swap_consistency is not None
    assert report.all.swap_consistency.mean == pytest.approx(0.75, abs=0.02)
    one, two = report.orders.one, report.orders.two
    assert one.questions == pytest.approx(543, rel=0.1) and two.questions == pytest.approx(406, rel=0.1)
    assert one.questions is not None and two.questions is not None
    assert share_found(one.questions, 1, 0.1, rng) == pytest.approx(0.8, abs=0.06)
    assert share_found(two.questions, 2, 0.1, rng) == pytest.approx(0.8, abs=0.06)
    assert share_found(one.questions // 2, 1, 0.1, rng) < 0.65


LABELS = tuple(1 + n % 2 for n in range(60))


def checked(*judges: PairJudge, labels: Sequence[int] = LABELS, lengths: str = "short") -> JudgeCheck:
    """lengths: the first output; where it is "short" the longer output is right on half of the pairs."""
    pairs = labelled(*(pair(n, label, lengths) for n, label in enumerate(labels)))
    return check_judges({judge.name: judge for judge in judges}, pairs)


def right(share: float, name: str) -> Orders:
    """On the first `share` of the pairs, and wrong on the others."""
    good = round(share * len(LABELS))
    return saying(*LABELS[:good], *(3 - label for label in LABELS[good:]), name=name)


def test_the_best_is_taken_and_what_lies_behind_it_is_told() -> None:
    found = checked(right(0.5, "coin"), right(0.9, "good"), right(0.85, "near"))
    assert found.best == "good" and [report.judge for report in found.judges] == ["coin", "good", "near"]
    assert {name: round(gap.difference.mean, 3) for name, gap in found.beside_best.items()} == {
        "coin": -0.4,
        "near": -0.05,
    }
    take, coin, near, longer, orders, questions = found.recommendation
    assert take.startswith("Take good: right on 90.0% [") and take.endswith("] of 60 labelled pairs.")
    assert coin.startswith("coin is worse (-40.0 points [")
    assert near.startswith("near is within noise of it (-5.0 points [") and near.endswith(
        "cheaper of the two will do."
    )
    assert longer.startswith("It beats taking the longer answer by +40.0 points [")
    assert orders == "One order is right on 90.0%, two on 90.0% (0.0 points) at twice the calls."
    assert questions.startswith("To find a win rate of 55.0% in 80% of repeats it takes 1,22")
    assert questions.endswith("One order is enough.")


def test_a_warning_where_none_beats_the_longer_answer() -> None:
    found = checked(right(0.55, "a"), right(0.5, "b"), LongerJudge())
    said = "Warning: no judge here is shown to beat taking the longer answer, which is right on 50.0%."
    assert said in found.recommendation and found.recommendation[0].startswith("a is right on 55.0%")
    alone = checked(right(0.55, "a")).recommendation
    assert "Warning: it is not shown to beat taking the longer answer, which is right on 50.0%." in alone
    assert not any("Warning" in line for line in checked(LongerJudge()).recommendation)


def test_a_judge_with_a_liking_for_the_first_needs_both_orders_or_a_draw() -> None:
    """Of 60 pairs 36 go to the first shown, 24 are right: 70% in either order, 60% ties over both."""
    shown = [(9, 1) if n < 36 or label == 1 else (1, 9) for n, label in enumerate(LABELS)]
    swapped = [(9, 1) if n < 36 or label == 2 else (1, 9) for n, label in enumerate(LABELS)]
    found = checked(Orders(*shown, *swapped))
    orders = found.judges[0].orders
    assert orders is not None and orders.one.questions is not None and orders.two.questions is not None
    assert (orders.one.ties, orders.two.ties) == (
        0.0,
        0.6,
    ) and 2 * orders.two.questions < orders.one.questions
    (place,) = [line for line in found.recommendation if "shown first" in line]
    assert (
        place.startswith("It takes the answer shown first in 80.0% [") and "drawn for each question" in place
    )
    assert found.recommendation[-1].endswith("Ask both orders: that is cheaper.")


def test_unread_verdicts_are_a_warning_and_no_verdict_is_no_recommendation() -> None:
    some = checked(saying(*LABELS[:54], *[None] * 6))
    assert "Warning: 6 of 60 labelled pairs could not be read; they are in no figure." in some.recommendation
    none = checked(saying(*[None] * 60))
    assert (none.best, none.recommendation) == (
        None,
        ("No verdict could be read, so no judge can be recommended.",),
    )
    beside = checked(
        saying(*LABELS[:30], *[None] * 30, name="a"), saying(*[None] * 30, *LABELS[30:], name="b")
    )
    assert beside.best == "a" and beside.beside_best == {}  # they share no pair


def test_json_of_one_judge_has_its_figures_on_top() -> None:
    one = checked(right(0.9, "good")).as_json()
    assert (one["n"], one["accuracy"], one["unparsed"], one["judge"]) == (60, 0.9, 0, "good")
    assert one["recommendation"][0].startswith("good is right on 90.0%")
    two = checked(right(0.9, "good"), right(0.5, "coin")).as_json()
    assert (two["best"], two["judges"]["coin"]["accuracy"]) == ("good", 0.5)
    assert two["beside_best"]["coin"]["p_holm"] < 0.05
