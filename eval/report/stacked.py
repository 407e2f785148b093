"""Stacked bars of how questions went, such as wins, ties and losses: one per arm, question set or pair of models.

    vicuna   |  44 win      | 15 |  21 lose  |  1.29 [1.10, 1.46]
    pooled   |  129 win     | 51 |  80 lose  |  1.19 [1.08, 1.30]

Shares of what was judged, counts inside where there is room, else above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report import format as fmt
from eval.report import style as look
from eval.report.style import name_rows, new_figure, styled

GAP = 0.35
"""Rows between the bars and their pool."""
GOOD, MIDDLE, BAD = "#3b78b8", "#b9bdc6", "#dd8440"
LONG = 26
"""Letters of a name that still stands beside its bar; longer ones stand above."""
ABOVE = 80
"""Letters of a name that a line above a bar has room for."""


@dataclass(frozen=True)
class Bar:
    """One row. counts: level -> questions, every bar with the same levels, the best first; score: is written behind
    the bar; pooled: it is the total of the others, and stands last."""

    name: str
    counts: Mapping[str, int]
    score: str = ""
    pooled: bool = False


def stacked_bars(bars: Sequence[Bar], score: str, of: str) -> Figure:
    """score: what the figures behind the bars are; of: what 100% is, "what was judged"."""
    long = max(len(bar.name) for bar in bars) > LONG
    colours = level_colours(list(bars[0].counts))
    with styled():
        figure, (axis,) = new_figure(1, 1, 0.95 + (0.55 if long else 0.35) * len(bars))
        places = [row + (GAP if bar.pooled else 0) for row, bar in enumerate(bars)]
        for place, bar in zip(places, bars, strict=True):
            _bar(axis, place, bar, colours, long)
        names = ["" if long else bar.name for bar in bars]
        name_rows(axis, names)
        axis.set_yticks(places, list(map(look.literal, names)))
        axis.set_ylim(places[-1] + 0.6, -0.9 if long else -0.6)
        axis.set_xlim(0, 100)
        axis.set_xlabel(f"share of {of}, %")
        axis.text(102, -0.6, look.literal(score), fontsize=8.5, color=look.MUTED, va="bottom")
        if bars[-1].pooled:
            axis.axhline(places[-1] - 0.5 - GAP / 2, color=look.LINE, lw=1)
        handles = [axis.barh(0, 0, color=colour, label=level) for level, colour in colours.items()]
        columns: dict[str, Any] = {"ncols": len(colours), "handlelength": 1, "borderpad": 0}
        axis.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), **columns)
    return figure


def level_colours(levels: Sequence[str]) -> dict[str, str]:
    """Of good, neither and bad; other numbers of levels have one colour each."""
    known = {2: (GOOD, BAD), 3: (GOOD, MIDDLE, BAD)}.get(len(levels), look.KIND_COLOURS)
    return {level: known[i % len(known)] for i, level in enumerate(levels)}


def _bar(axis: Axes, place: float, bar: Bar, colours: Mapping[str, str], named_above: bool) -> None:
    """Shares of one row, each with its count: inside where there is room, else above."""
    height = 0.5 if named_above else 0.66
    total, left = sum(bar.counts.values()) or 1, 0.0
    for level, number in bar.counts.items():
        share = 100 * number / total
        axis.barh(place, share, left=left, height=height, color=colours[level], ec=look.SURFACE, lw=1)
        text, middle = fmt.count(number), left + share / 2
        centred: dict[str, Any] = {"ha": "center", "fontsize": 8.5}
        if share >= 1.5 + 1.8 * len(text):
            ink = "#1d1f24" if colours[level] == MIDDLE else "#ffffff"
            axis.text(middle, place, text, va="center", color=ink, **centred)
        elif number:
            small = centred | {"fontsize": 6.5}
            axis.text(middle, place - height / 2, text, va="bottom", color=look.INK, **small)
        left += share
    edges = (place - height / 2 - 0.08, place + height / 2 + 0.08)  # not through the names above
    axis.plot([50, 50], edges, color=look.INK, lw=0.8, ls=(0, (2, 3)))
    weight = "bold" if bar.pooled else "normal"
    axis.text(102, place, bar.score, va="center", fontsize=8.5, color=look.INK, weight=weight)
    if named_above:
        axis.text(0, place - height / 2 - 0.04, look.short_name(bar.name, ABOVE), va="bottom", fontsize=8.5)
