"""One order or two, and how many questions: what a judge's errors cost in an experiment that it decides.

Two models answer n questions, and A's win rate is truly 1/2 + d. A judge that is right on a share `a` of pairs (a tie
is one half right) sees it attenuated,

    a (1/2 + d) + (1 - a) (1/2 - d) = 1/2 + (2a - 1) d

and a question's points (win 1, tie 1/2, loss 0), of which a share t are ties, vary by  (1 - t) / 4 - ((2a - 1) d)^2. So
80% of repeats find a difference with about

    n = (1.96 + 0.84)^2 ((1 - t) / 4 - ((2a - 1) d)^2) / ((2a - 1) d)^2

questions (Student's in place of the normal's points, `eval.power`). Worked example, d = 0.05 (a win rate of 55%), a
judge that is right on 80% of pairs in either order, never ties, and says the same in both orders on 75% of them:

    one order   t = 0     effect 0.03   variance 0.25   - 0.0009   2,172 questions   2,172 calls
    two orders  t = 0.25  effect 0.03   variance 0.1875 - 0.0009   1,627 questions   3,254 calls

(2,175 and 1,630 with Student's points). Orders that contradict each other become a tie: that leaves the accuracy as it
is and takes their noise out. So two orders need fewer questions, and at the same accuracy fewer calls only where more
than half of the pairs come out as ties. One order has to be drawn for each question: in a fixed one, the liking for
what is read first is a liking for one model.

Supposed are errors as frequent as on the labelled pairs, whichever model is better, and questions that have a better
answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.interval import Interval
from eval.judge_check.labelled_pairs import LabelledPair
from eval.power import Variation
from eval.spread import LEAST
from eval.stats import against, crossed_mean
from tacos.answering.orders import Judged, outcome
from tacos.types import Record

DIFFERENCE = 0.05
"""How far above one half a win rate is that questions are counted for, where nothing else is asked."""
SHARE = (0.0, 1.0)


class WayOfAsking(Record):
    """A judge asked in one order, or in both."""

    accuracy: Interval
    """Share of labelled pairs, a tie one half. Of one order the mean of both."""
    ties: float
    """Share of verdicts."""
    questions: int | None
    """That find the difference in 80% of repeats; None where a million do not, or accuracy is at most one half."""
    questions_at_low: int | None
    """The same at the low end of the accuracy's interval: with how many one is on the safe side."""


class OneOrTwo(Record):
    """What the second order buys, on the labelled pairs that could be read in both."""

    difference: float
    """How far above one half the win rate is that `questions` are for; in (0, 0.5]."""
    one: WayOfAsking
    """One order, drawn for each question: a call each."""
    two: WayOfAsking
    """Both orders, combined: two calls a question."""
    order_1: Interval
    """Accuracy with output_1 shown first."""
    order_2: Interval
    """With output_2 shown first."""
    gain: Interval
    """The accuracy of two orders minus that of one, paired."""


def one_or_two(pairs: Sequence[LabelledPair], judged: Sequence[Judged], difference: float) -> OneOrTwo | None:
    """judged: the verdicts on `pairs`, in order. None where no labelled pair could be read in both orders."""
    drawn: list[str] = []
    first, second, both = list[float](), list[float](), list[float]()
    for pair, row in zip(pairs, judged, strict=True):
        if pair.label is None or row.result == "unparsed":
            continue
        results = outcome(row.order_1, True), outcome(row.order_2, False), row.result
        for points, result in zip((first, second, both), results, strict=True):
            points.append(pair.points(result) or 0.0)
        drawn.append(pair.instruction)
    if not both:
        return None
    one = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    gaps = [two - mean for two, mean in zip(both, one, strict=True)]
    return OneOrTwo(
        difference=difference,
        one=_way(one, [*first, *second], drawn, difference),
        two=_way(both, both, drawn, difference),
        order_1=crossed_mean([first], drawn, SHARE),
        order_2=crossed_mean([second], drawn, SHARE),
        gain=against([gaps], 0.0, drawn, (-1.0, 1.0)).interval,
    )


def _way(
    points: Sequence[float], verdicts: Sequence[float], drawn: Sequence[str], difference: float
) -> WayOfAsking:
    """verdicts: the points of each decision, of which 1/2 is a tie."""
    accuracy, ties = crossed_mean([points], drawn, SHARE), verdicts.count(0.5) / len(verdicts)
    return WayOfAsking(
        accuracy=accuracy,
        ties=ties,
        questions=questions_for(accuracy.mean, ties, difference),
        questions_at_low=questions_for(accuracy.low, ties, difference),
    )


def questions_for(accuracy: float, ties: float, difference: float) -> int | None:
    """How many questions find a win rate of 1/2 + `difference` in 80% of repeats, see above.

    accuracy: share of pairs, a tie one half; ties: share of pairs. None where no million of questions does.

    >>> questions_for(0.8, 0.0, 0.05), questions_for(0.8, 0.25, 0.05), questions_for(0.5, 0.0, 0.05)
    (2175, 1630, None)
    """
    effect = (2 * accuracy - 1) * difference
    if effect <= 0:
        return None
    variance = max((1 - ties) / 4 - effect**2, 0.0)
    found = Variation(question=variance**0.5).questions_for(effect)
    return None if found is None else max(found, LEAST)
