"""Figures of judged pairs: win, tie, lose, the winning score, and how far the judge can be trusted.

    winning score = (win - lose) / n + 1,  e.g. 44 / 15 / 21 of 80 gives 1.2875

A question whose verdict cannot be read (`tacos.answering.orders`) is outside win, tie, lose and n.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from eval import rates, stats
from eval.interval import Interval
from tacos.answering.orders import SIGN, Judged, outcome
from tacos.types import Record

Questions = Sequence[Hashable] | None
"""What each judged pair is drawn with, such as its instruction; None is itself."""


class Tally(Record):
    """Questions won, tied and lost by A; `n` is their sum, without the unparsed."""

    win: int
    tie: int
    lose: int
    unparsed: int
    n: int


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


def winning_score(judged: Sequence[Judged]) -> Interval | None:
    """(win - lose) / n + 1, in [0, 2], with its interval over questions; None where all are unparsed."""
    values = points(judged)
    return stats.against([values], 1.0, scale=(0.0, 2.0)).interval if values else None


def longer_wins(judged: Sequence[Judged], questions: Questions = None) -> Interval | None:
    """Share of won or lost questions that went to the longer answer; None where there is none."""
    decided = ((q, j) for q, j in _asked(judged, questions) if j.result in ("win", "lose"))
    return rates.longer_wins((q, j.result == "win", j.length_a, j.length_b) for q, j in decided)


def first_position_rate(judged: Sequence[Judged], questions: Questions = None) -> Interval | None:
    """Share of decided verdicts won by the answer shown first; 0.5 is no position bias."""
    gaps = [
        (q, v.score_1 - v.score_2)
        for q, j in _asked(judged, questions)
        for v in (j.order_1, j.order_2)
        if v.score_1 is not None and v.score_2 is not None
    ]
    return rates.rate((q, gap > 0) for q, gap in gaps if gap)


def swap_consistency(judged: Sequence[Judged], questions: Questions = None) -> Interval | None:
    """Share of questions, read in both orders, where both orders say the same of A and B."""
    return rates.rate(
        (q, outcome(j.order_1, True) == outcome(j.order_2, False))
        for q, j in _asked(judged, questions)
        if j.order_1.parsed and j.order_2.parsed
    )


def _asked(judged: Sequence[Judged], questions: Questions) -> Iterable[tuple[Hashable, Judged]]:
    return zip(range(len(judged)) if questions is None else questions, judged, strict=True)
