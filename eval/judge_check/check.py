"""How far a judge can be trusted: its accuracy on pairs whose better answer is known.

Every pair is judged in both orders. The two orders combine as in `tacos.answering.orders`; the labelled answer
winning is 1, losing 0, a tie one half:

    label  order 1 (shown 1, 2)  order 2 (shown 2, 1)  combined   points
      1    8 : 5                 5 : 8                 1 wins       1      both orders agree
      2    8 : 5                 8 : 5                 tie          0.5    took the first both times
      2    unread                5 : 8                 unparsed     none   counted, in no rate

Here accuracy is 0.75 over 2 pairs, swap consistency 1/2, and the first position won 3 of 4 decided orders
(the third pair's one readable order counts). Beside the judge stands `LongerJudge`, which reads nothing
and prefers the longer answer, on the same pairs: a judge that does not beat it has shown nothing. The
length-matched subset (the shorter answer has at least 80% of the longer's characters) shows what is left
where length says little.

Judges are anything with `judge(items)`: `LLMJudge`, `ReferenceJudge`, or a learned scorer in `ScoreJudge`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from eval.interval import Interval
from eval.judge_check.agreement import Agreement, agreement
from eval.judge_check.labelled_pairs import LabelledPair, LabelledPairs
from eval.judge_check.orders import DIFFERENCE, OneOrTwo, one_or_two
from eval.pairwise.rules import first_position_rate, longer_wins, swap_consistency
from eval.rates import rate
from eval.stats import against, crossed_mean
from tacos.answering.judge import Comparison, PairJudge, Verdict
from tacos.answering.orders import Judged, Rule, compare
from tacos.errors import TacosError
from tacos.types import Record


class Rates(Record):
    """One judge on one set of pairs."""

    n: int
    """Pairs with a label and a verdict in both orders; the accuracy is over these."""
    accuracy: Interval | None
    """Ties one half; None where `n` is 0. Pairs of one instruction are one item."""
    gain: Interval | None
    """The accuracy minus that of `LongerJudge`, paired; None for that one."""
    ties: int
    """Of the `n`, those the judge called a tie over both orders."""
    unparsed: int
    """Labelled pairs with an order that could not be read."""
    swap_consistency: Interval | None
    first_position: Interval | None
    """Share of decided orders won by the output shown first; 0.5 is no bias."""
    longer_wins: Interval | None
    """Share of decided pairs in which the judge took the longer output."""


class JudgeReport(Record):
    """A judge beside the baseline, on all pairs and on the length-matched ones."""

    judge: str
    source: str
    rule: Rule
    pairs: int
    tied_labels: int
    """Pairs where neither is better; in the bias rates, in no accuracy."""
    no_majority: int = 0
    """Of these, the pairs on which no label has a majority of the annotators."""
    bad: int
    """Rows of the file that are no labelled pair."""
    duplicate: int
    all: Rates
    length_matched: Rates
    longer_baseline: Rates
    """`LongerJudge` on all pairs."""
    longer_baseline_matched: Rates
    label_longer: Interval | None
    """Share of labels that name the longer output, where lengths differ: what `longer_wins` should be."""
    orders: OneOrTwo | None = None
    """What a second order buys; None where no labelled pair could be read."""
    agreement: Agreement | None = None
    """With several annotators; None where no pair has two."""
    errors: dict[str, int]
    """Why orders could not be read -> how many."""

    def as_json(self) -> dict[str, Any]:
        """As dumped, with the headline figures on top."""
        accuracy = self.all.accuracy and self.all.accuracy.mean
        return {"n": self.all.n, "accuracy": accuracy, "unparsed": self.all.unparsed} | self.model_dump()


class ScoreJudge:
    """A scorer of single outputs as a judge of pairs, such as a learned quality scorer.

    score: (instruction, output) pairs -> one score each, any scale, higher is better; None or NaN where
    there is none. Outputs are scored once, whatever order they are shown in.
    """

    embedded = True

    def __init__(self, name: str, score: Callable[[Sequence[tuple[str, str]]], Sequence[float | None]]):
        self.name = name
        self._score = score

    def judge(self, items: Sequence[Comparison]) -> list[Verdict]:
        """Raises: ValueError when the scorer gives another number of scores than it was asked for."""
        shown = [(i.question, answer) for i in items for answer in (i.answer_1, i.answer_2)]
        texts = list(dict.fromkeys(shown))
        scores = dict(zip(texts, self._score(texts), strict=True))
        return [_verdict(scores[i.question, i.answer_1], scores[i.question, i.answer_2]) for i in items]


def _verdict(first: float | None, second: float | None) -> Verdict:
    if first is None or second is None or not (math.isfinite(first) and math.isfinite(second)):
        return Verdict(error="the scorer gave no score")
    return Verdict(score_1=first, score_2=second)


class LongerJudge(ScoreJudge):
    """Prefers the output with more characters: the baseline every judge has to beat."""

    title = "longer wins"

    def __init__(self) -> None:
        super().__init__(self.title, lambda pairs: [float(len(output)) for _, output in pairs])


def judge_check(
    judge: PairJudge, labelled: LabelledPairs, rule: Rule = "lenient", difference: float = DIFFERENCE
) -> JudgeReport:
    """Judge every pair in both orders, one call of the judge for all, and hold it against the labels.

    difference: what `JudgeReport.orders` tells the questions for. Raises: TacosError when no pair has a label.
    """
    return report_on(judge.name, verdicts(judge, labelled, rule), labelled, rule, difference)


def verdicts(judge: PairJudge, labelled: LabelledPairs, rule: Rule) -> list[Judged]:
    """Every pair judged in both orders. Raises: TacosError when no pair has a label, before the judge is asked."""
    if not any(pair.label for pair in labelled.pairs):
        raise TacosError(
            f"{labelled.source} labels no pair: every label is a tie, so there is nothing to check"
        )
    return compare(judge, [pair.shown for pair in labelled.pairs], rule)


def report_on(
    judge: str, judged: Sequence[Judged], labelled: LabelledPairs, rule: Rule, difference: float
) -> JudgeReport:
    """A judge's verdicts on the pairs held against their labels."""
    pairs = labelled.pairs
    longer = compare(LongerJudge(), [pair.shown for pair in pairs], rule)
    matched = [number for number, pair in enumerate(pairs) if pair.matched]

    def rates(rows: Sequence[Judged], numbers: Sequence[int]) -> Rates:
        beside = [longer[n] for n in numbers] if rows is judged else None
        return _rates([pairs[n] for n in numbers], [rows[n] for n in numbers], beside)

    whole = range(len(pairs))
    return JudgeReport(
        judge=judge,
        source=labelled.source,
        rule=rule,
        pairs=len(pairs),
        tied_labels=sum(pair.label is None for pair in pairs),
        no_majority=sum(pair.undecided for pair in pairs),
        bad=len(labelled.bad),
        duplicate=labelled.duplicate,
        all=rates(judged, whole),
        length_matched=rates(judged, matched),
        longer_baseline=rates(longer, whole),
        longer_baseline_matched=rates(longer, matched),
        label_longer=_label_longer(pairs),
        orders=one_or_two(pairs, judged, difference),
        agreement=agreement(pairs, judged),
        errors=_errors(judged),
    )


def _errors(judged: Sequence[Judged]) -> dict[str, int]:
    """Why orders could not be read -> how many, the most common first."""
    return dict(Counter(v.error for j in judged for v in (j.order_1, j.order_2) if v.error).most_common())


def _rates(
    pairs: Sequence[LabelledPair], judged: Sequence[Judged], longer: Sequence[Judged] | None = None
) -> Rates:
    """longer: the same pairs by `LongerJudge`, which the judge is held against."""
    rows = [
        (pair.instruction, pair.points(row.result), pair.points(other.result))
        for pair, row, other in zip(pairs, judged, longer or judged, strict=True)
        if pair.label is not None
    ]
    parsed = [(drawn, own, other) for drawn, own, other in rows if own is not None]
    drawn, own = [row[0] for row in parsed], [row[1] for row in parsed]
    paired = [(one, mine - theirs) for one, mine, theirs in parsed if longer and theirs is not None]
    asked = [pair.instruction for pair in pairs]
    return Rates(
        n=len(parsed),
        accuracy=crossed_mean([own], drawn, (0.0, 1.0)) if own else None,
        gain=against([[gap for _, gap in paired]], 0.0, [one for one, _ in paired], (-1.0, 1.0)).interval
        if paired
        else None,
        ties=sum(j.result == "tie" for pair, j in zip(pairs, judged, strict=True) if pair.label is not None),
        unparsed=len(rows) - len(parsed),
        swap_consistency=swap_consistency(judged, asked),
        first_position=first_position_rate(judged, asked),
        longer_wins=longer_wins(judged, asked),
    )


def _label_longer(pairs: Sequence[LabelledPair]) -> Interval | None:
    gaps = [(p.instruction, len(p.output_1) - len(p.output_2), p.label) for p in pairs if p.label is not None]
    return rate((instruction, (gap > 0) == (label == 1)) for instruction, gap, label in gaps if gap)
