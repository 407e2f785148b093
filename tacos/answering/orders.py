"""Two answers, two orders, one result: the protocol of the five test sets (Cherry LLM, TACOS).

Each pair is graded in both orders, so that a judge's liking for what it reads first cancels. Per order
the higher grade wins; the two orders combine to

    rule       win+win  win+tie  win+lose  tie+tie  tie+lose  lose+lose
    lenient    win      win      tie       tie      lose      lose        (the papers')
    strict     win      tie      tie       tie      tie       lose

A verdict that cannot be read leaves its question unparsed. The papers count the unread order as a tie:
`unparsed="tie"`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tacos.answering.judge import Comparison, PairJudge, Verdict
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
    """Of both orders together."""
    length_a: int
    """Characters of A's answer."""
    length_b: int


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
