"""Stacked bars of wins, ties and losses: one per question set, or per pair of models.

    vicuna   |  44 win      | 15 |  21 lose  |  1.29 [1.10, 1.46]
    pooled   |  129 win     | 51 |  80 lose  |  1.19 [1.08, 1.30]

Shares of what was judged, counts inside; where not all was judged, the name says how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from eval.mt_bench.pairs import PairScores
from eval.pairwise.score import PairwiseScores, Score
from eval.report import format as fmt
from eval.report import style as look
from eval.report.bench.mt_bench_pairs import pair_names
from eval.report.bench.reviews import POOLED, sides
from eval.report.plots import VOTES
from eval.report.style import Plot, name_rows, new_figure, styled
from eval.results import Interval

GAP = 0.35
"""Rows between the sets and their pool."""


@dataclass(frozen=True)
class Bar:
    """One row of a plot of votes. score: what is written behind it."""

    name: str
    win: int
    tie: int
    lose: int
    score: str
    pooled: bool = False


def review_votes(scores: PairwiseScores) -> Plot | None:
    """Win, tie and lose per set, pooled last."""
    bars = [_review_bar(name, score) for name, score in scores.sets.items() if score.n]
    if not bars:
        return None
    bars.append(_review_bar(POOLED, scores.pooled, pooled=True))
    first, second = sides(scores)
    caption = (
        f"Questions that {first} against {second} won, tied and lost, both orders combined by the {scores.rule} rule."
        " Winning score: (win - lose) / n + 1, 1 is a draw; in brackets its 95% interval."
    )
    title = "Win, tie and lose per set"
    return _votes("review_votes", "reviews", title, caption, bars, "winning score")


def _review_bar(name: str, score: Score, pooled: bool = False) -> Bar:
    lacks = "" if score.complete and score.expected is not None else f" ({_out_of(score)})"
    return Bar(
        look.shorten(name) + lacks, score.win, score.tie, score.lose, _with_ci(score.winning_score), pooled
    )


def _out_of(score: Score) -> str:
    return f"{score.n} of {'?' if score.expected is None else score.expected}"


def _with_ci(interval: Interval | None) -> str:
    return f"{fmt.score(interval.mean)} {fmt.bracket(interval, fmt.score)}".strip() if interval else ""


def pair_votes(scores: PairScores) -> Plot | None:
    """Win, tie and lose of MT-Bench's pairs; pairs without a judged turn have no bar."""
    bars = []
    for name, p in zip(pair_names(scores), scores.pairs, strict=True):
        if p.n:
            lacks = "" if p.complete else f" ({p.n} of {p.expected})"
            rate = f"{fmt.percent(p.win_rate_adjusted)} {fmt.bracket(p.ci, fmt.percent_number)}".strip()
            bars.append(Bar(look.abridge(name, 84 - len(lacks)) + lacks, p.win, p.tie, p.lose, rate))
    if not bars:
        return None
    caption = (
        "Turns that the first model won, tied and lost; a win needs both orders. Win rate: ties one half; in"
        " brackets its 95% interval."
    )
    title = "MT-Bench, win, tie and lose per pair"
    return _votes("mt_bench_pairs", "mt_bench_pairs", title, caption, bars, "win rate")


def _votes(name: str, group: str, title: str, caption: str, bars: Sequence[Bar], score: str) -> Plot:
    long = max(len(bar.name) for bar in bars) > 26  # then names stand above their bars
    with styled():
        figure, (axis,) = new_figure(1, 1, 0.95 + (0.55 if long else 0.36) * len(bars))
        places = [row + (GAP if bar.pooled else 0) for row, bar in enumerate(bars)]
        for place, bar in zip(places, bars, strict=True):
            _bar(axis, place, bar, long)
        name_rows(axis, [""] * len(bars) if long else [look.literal(bar.name) for bar in bars])
        if not long:
            axis.set_yticks(places)
            axis.set_yticklabels([look.literal(bar.name) for bar in bars])
        axis.set_ylim(places[-1] + 0.6, -0.9 if long else -0.6)
        axis.set_xlim(0, 100)
        axis.set_xlabel("share of what was judged, %")
        axis.text(102, -0.55, score, fontsize=8.5, color=look.MUTED, va="bottom")
        if bars[-1].pooled:
            axis.axhline(places[-1] - 0.5 - GAP / 2, color=look.LINE, lw=1)
        handles = [axis.barh(0, 0, color=colour, label=label) for label, colour in VOTES]
        axis.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, handlelength=1, borderpad=0
        )
    return Plot(name, group, title, caption, figure)


def _bar(axis: Axes, place: float, bar: Bar, named_above: bool) -> None:
    """Shares of one row, each with its count: inside where there is room, else above."""
    height = 0.5 if named_above else 0.66
    total, left = bar.win + bar.tie + bar.lose, 0.0
    for number, (label, colour) in zip((bar.win, bar.tie, bar.lose), VOTES, strict=True):
        share = 100 * number / total
        axis.barh(place, share, left=left, height=height, color=colour, ec=look.SURFACE, lw=1)
        text, middle = fmt.count(number), left + share / 2
        if share >= 1.5 + 1.8 * len(text):
            ink = "#1d1f24" if label == "tie" else "#ffffff"
            axis.text(middle, place, text, ha="center", va="center", fontsize=8.5, color=ink)
        elif number:
            axis.text(
                middle, place - height / 2, text, ha="center", va="bottom", fontsize=6.5, color=look.INK
            )
        left += share
    edges = (place - height / 2 - 0.08, place + height / 2 + 0.08)  # not through the names above
    axis.plot([50, 50], edges, color=look.INK, lw=0.8, ls=(0, (2, 3)))
    weight = "bold" if bar.pooled else "normal"
    axis.text(102, place, bar.score, va="center", fontsize=8.5, color=look.INK, weight=weight)
    if named_above:
        axis.text(0, place - height / 2 - 0.04, look.literal(bar.name), va="bottom", fontsize=8.5)
