"""Two answers, two orders, one result: the protocol of the five test sets (Cherry LLM, TACOS).

Each pair is graded in both orders, so that a judge's liking for what it reads first cancels. Per order
the higher grade wins; the two orders combine to

    rule       win+win  win+tie  win+lose  tie+tie  tie+lose  lose+lose
    lenient    win      win      tie       tie      lose      lose        (the papers')
    strict     win      tie      tie       tie      tie       lose

    winning score = (win - lose) / n + 1,  e.g. 44 / 15 / 21 of 80 gives 1.2875

A verdict that cannot be read leaves its question unparsed, outside win, tie, lose and n. The papers
count the unread order as a tie: `unparsed="tie"`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from eval import stats
from eval.judge import Comparison, PairJudge, Verdict
from eval.results import Interval
from tacos.types import Record

Result = Literal["win", "tie", "lose", "unparsed"]
Rule = Literal["lenient", "strict"]
Unparsed = Literal["count", "tie"]
SIGN = {"win": 1, "tie": 0, "lose": -1}


class Judged(Record):
    """One question's verdicts on answers A and B, and who wins from A's side."""

    order_1: Verdict
    """A was shown first: `score_1` is A's grade."""
    order_2: Verdict
    """B was shown first: `score_1` is B's grade."""
    result: Result
    length_a: int
    """Characters of A's answer."""
    length_b: int


class Tally(Record):
    """Questions won, tied and lost by A; `n` is their sum, without the unparsed."""

    win: int
    tie: int
    lose: int
    unparsed: int
    n: int


def outcome(verdict: Verdict, a_first: bool, unparsed: Unparsed = "count") -> Result:
    """One order's result from A's side."""
    if verdict.score_1 is None or verdict.score_2 is None:
        return "tie" if unparsed == "tie" else "unparsed"
    gap = verdict.score_1 - verdict.score_2 if a_first else verdict.score_2 - verdict.score_1
    return "win" if gap > 0 else "lose" if gap < 0 else "tie"


def combine(
    order_1: Verdict, order_2: Verdict, rule: Rule = "lenient", unparsed: Unparsed = "count"
) -> Result:
    """The result of both orders from A's side: A is first in `order_1` and second in `order_2`."""
    first, second = outcome(order_1, True, unparsed), outcome(order_2, False, unparsed)
    if "unparsed" in (first, second):
        return "unparsed"
    if rule == "strict":
        return first if first == second else "tie"
    total = SIGN[first] + SIGN[second]
    return "win" if total > 0 else "lose" if total < 0 else "tie"


def compare(
    judge: PairJudge, items: Sequence[Comparison], rule: Rule = "lenient", unparsed: Unparsed = "count"
) -> list[Judged]:
    """Judge every item in both orders; `answer_1` of an item is A's. One call of the judge for all."""
    verdicts = judge.judge([*items, *(item.swapped() for item in items)])
    pairs = zip(items, verdicts[: len(items)], verdicts[len(items) :], strict=True)
    return [
        Judged(
            order_1=first,
            order_2=second,
            result=combine(first, second, rule, unparsed),
            length_a=len(item.answer_1),
            length_b=len(item.answer_2),
        )
        for item, first, second in pairs
    ]


def tally(judged: Sequence[Judged]) -> Tally:
    counts = Counter(j.result for j in judged)
    decided = counts["win"] + counts["tie"] + counts["lose"]
    return Tally(
        win=counts["win"],
        tie=counts["tie"],
        lose=counts["lose"],
        unparsed=counts["unparsed"],
        n=decided,
    )


def points(judged: Sequence[Judged]) -> list[float]:
    """Per parsed question 2 for a win, 1 for a tie, 0 for a loss; their mean is the winning score."""
    return [1.0 + SIGN[j.result] for j in judged if j.result != "unparsed"]


def winning_score(judged: Sequence[Judged], seed: int = 0) -> Interval | None:
    """(win - lose) / n + 1, in [0, 2], with its interval over questions; None where all are unparsed."""
    values = points(judged)
    return stats.bootstrap_mean(values, seed) if values else None


def longer_wins(judged: Sequence[Judged]) -> float | None:
    """Share of won or lost questions that went to the longer answer; None where there is none."""
    decided = (j for j in judged if j.result in ("win", "lose"))
    return stats.longer_wins((j.result == "win", j.length_a, j.length_b) for j in decided)


def first_position_rate(judged: Sequence[Judged]) -> float | None:
    """Share of decided verdicts won by the answer shown first; 0.5 is no position bias."""
    gaps = [
        v.score_1 - v.score_2
        for j in judged
        for v in (j.order_1, j.order_2)
        if v.score_1 is not None and v.score_2 is not None
    ]
    decided = [gap for gap in gaps if gap]
    return stats.share([gap > 0 for gap in decided])


def swap_consistency(judged: Sequence[Judged]) -> float | None:
    """Share of questions, read in both orders, where both orders say the same of A and B."""
    same = [
        outcome(j.order_1, True) == outcome(j.order_2, False)
        for j in judged
        if j.order_1.parsed and j.order_2.parsed
    ]
    return stats.share(same)
