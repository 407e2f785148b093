"""AlpacaEval 2: each model's length-controlled win rate beside its raw one.

    claude-2    o---------*         hollow: raw; filled: length controlled

A model whose filled dot lies to the right of its hollow one gains from length control; the other way round, part
of its wins were longer answers. Every model has a row of its own, so that no name hides another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from eval.alpaca_eval.score import AlpacaEvalScore
from eval.report import format as fmt
from eval.report import style as look
from eval.report.style import Plot, name_rows, new_figure, styled
from eval.report.table import Entry

MOST_ROWS = 30
LETTERS = 34
COLOUR = look.ARM_COLOURS[0]
APART = 0.16
"""Rows between the whiskers of the two dots of a model."""


def length_controlled(ranked: Sequence[Entry[AlpacaEvalScore]]) -> Plot | None:
    """ranked: models as rows, the best first. None where no model has both rates."""
    found = [entry for entry in ranked if _both(entry.item)]
    shown = found[:MOST_ROWS]
    if not shown:
        return None
    with styled():
        figure, (axis,) = new_figure(1, 1, 1.15 + 0.34 * len(shown))
        for row, entry in enumerate(shown):
            _rates(axis, row, entry.item)
        name_rows(axis, [_name(entry.name, entry.item) for entry in shown])
        axis.set_xlim(left=min(0.0, axis.get_xlim()[0]))
        axis.set_xlabel("win rate, %")
        axis.grid(axis="x")
        dot: dict[str, Any] = {"marker": "o", "color": COLOUR, "ls": "", "ms": 6, "mew": 1.2}
        handles = [
            Line2D([], [], mfc=look.SURFACE, label="raw", **dot),
            Line2D([], [], label="length controlled", **dot),
        ]
        axis.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)
    caption = (
        "A filled dot to the right of its hollow one gains from length control; to the left of it, part of the"
        " model's wins were longer answers. Whiskers: one standard error."
    )
    caption += f" The {len(shown)} best of {len(found)} models." if len(found) > len(shown) else ""
    title = "Length-controlled and raw win rate"
    return Plot("alpaca_eval", "alpaca_eval", title, caption, figure)


def _both(score: AlpacaEvalScore) -> bool:
    return fmt.known(score.win_rate) and fmt.known(score.length_controlled_winrate)


def _name(name: str, score: AlpacaEvalScore) -> str:
    lacks = "" if score.coverage >= 1 else f" ({score.n} of {score.expected})"
    return look.abridge(name, LETTERS) + lacks


def _rates(axis: Axes, row: int, score: AlpacaEvalScore) -> None:
    raw, controlled = score.win_rate or 0.0, score.length_controlled_winrate or 0.0
    axis.plot([raw, controlled], [row, row], color=COLOUR, lw=1.4, alpha=0.45)
    for value, error, face, shift in (
        (raw, score.standard_error, look.SURFACE, APART),
        (controlled, score.lc_error, COLOUR, -APART),
    ):
        if fmt.known(error) and error:
            ends = [value - error, value + error]
            axis.plot(ends, [row + shift] * 2, color=COLOUR, lw=1, alpha=0.6)
        axis.plot(value, row, "o", ms=6, color=COLOUR, mfc=face, mec=COLOUR, mew=1.2)
