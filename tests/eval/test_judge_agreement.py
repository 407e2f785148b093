"""People among themselves, and a judge beside them: shares by hand, the ceiling, what is left out."""

from __future__ import annotations

import pytest

from eval.interval import Interval
from eval.judge_check.agreement import Agreement
from eval.judge_check.check import judge_check
from eval.judge_check.labelled_pairs import LabelledPair, majority
from eval.judge_check.recommend import check_judges
from eval.report.scores import figures_of, report_of
from tests.eval.judges import Orders, labelled, pair, saying

WORKED = (
    pair(1, 1, annotators=(1, 1, 1)),
    pair(2, 1, annotators=(1, 1, 2)),
    pair(3, None, annotators=(2, 0, 0)),
)


def agreed(judge: Orders, *pairs: LabelledPair) -> Agreement:
    found = judge_check(judge, labelled(*pairs)).agreement
    assert found is not None
    return found


def mean(interval: Interval | None) -> float:
    assert interval is not None
    return interval.mean


def test_the_worked_example() -> None:
    found = agreed(saying(1, 2, 0), *WORKED)
    assert (found.pairs, found.panels, found.no_majority) == (3, 5, 4)
    assert mean(found.pairwise) == pytest.approx(5 / 9)
    assert (mean(found.annotators), mean(found.judge)) == (3 / 5, 4 / 5)
    assert [mean(one) for one in found.each] == [1 / 2, 1, 1 / 2]
    assert mean(found.gain) == pytest.approx(1 / 5)
    assert (
        found.annotators is not None
        and found.annotators.n == 5
        and found.annotators.low < 0.6 < found.annotators.high
    )


def test_the_recommendation_and_the_table_have_the_ceiling() -> None:
    check = check_judges({"j": saying(1, 2, 0)}, labelled(*WORKED))
    (said,) = [line for line in check.recommendation if "annotator" in line]
    assert said.startswith("It agrees with most of the other annotators on 80.0% [")
    assert " of labels, an annotator on 60.0% [" in said
    table = report_of(check).tables(check)[2]
    shown = {row.cells[0].text: row.cells[1].text for row in table.rows}
    assert (shown["j"], shown["annotators"], shown["annotator 2"]) == ("80.0%", "60.0%", "100.0%")
    assert figures_of([check])["j"]["judge_check/agreement_of_annotators"] == 0.6


def test_kappa_is_agreement_over_chance() -> None:
    """People (1 1 1 2 2) against majorities (1 1 1 1 0): observed 3/5, chance .6 x .8 = .48, so .12 / .52. The judge
    (1 1 1 2 0): observed 4/5, chance .6 x .8 + .2 x .2 = .52, so .28 / .48."""
    found = agreed(saying(1, 2, 0), *WORKED)
    assert found.kappa_annotators == pytest.approx(0.12 / 0.52)
    assert found.kappa_judge == pytest.approx(0.28 / 0.48)
    same = agreed(saying(1), pair(1, 1, annotators=(1, 1)))
    assert (same.kappa_annotators, same.kappa_judge) == (None, None)


def test_a_judge_as_good_as_an_annotator_reaches_the_ceiling() -> None:
    """It repeats the first annotator, who differs on 10 of 40: 100 panels have a majority, and both miss 10."""
    pairs = [pair(n, 1, annotators=(1 if n % 4 else 2, 1, 1)) for n in range(40)]
    found = agreed(saying(*(one.annotators[0] for one in pairs)), *pairs)
    assert [mean(one) for one in found.each] == [0.75, 1, 1]
    assert (found.panels, mean(found.judge), mean(found.annotators), mean(found.gain)) == (100, 0.9, 0.9, 0)


def test_a_verdict_that_cannot_be_read_is_in_no_share_of_the_judge() -> None:
    found = agreed(saying(None, 1), pair(1, 1, annotators=(1, 1)), pair(2, 1, annotators=(1, 2)))
    assert (found.panels, found.judge and found.judge.n, mean(found.judge)) == (4, 2, 0.5)
    assert mean(found.annotators) == 0.5 and mean(found.gain) == 0.5
    unread = agreed(saying(None), pair(1, 1, annotators=(1, 1)))
    assert (unread.judge, unread.gain, unread.kappa_judge) == (None, None, None)


def test_missing_labels_are_no_labels() -> None:
    found = agreed(saying(1, 1), pair(1, 1, annotators=(1, None, 1)), pair(2, 1, annotators=(1, None, None)))
    assert (found.pairs, found.panels, found.each[1]) == (1, 2, None)
    one = judge_check(saying(1), labelled(pair(1, 1, annotators=(1,))))
    assert one.agreement is None and majority([]) is None


def test_pairs_without_a_majority_are_counted() -> None:
    report = judge_check(
        saying(1, 1, 1), labelled(pair(1, 1), pair(2, None, annotators=(0, 1, 2)), pair(3, None))
    )
    assert (report.tied_labels, report.no_majority, report.all.n) == (2, 1, 1)
