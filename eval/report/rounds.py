"""Plots of a selection in rounds: what was hard in each, and how the classifier sees the pool.

Numbers come in plain, so that any method with rounds can draw them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.ticker import PercentFormatter

from eval.report.style import (
    ARM_COLOURS,
    MUTED,
    REST_COLOUR,
    Plot,
    literal,
    new_figure,
    styled,
)
from eval.results import HARDNESS_BINS, RoundsReport

BINS = np.linspace(0, 1, HARDNESS_BINS + 1)
"""Edges, of M."""
ROW_COLOURS = (ARM_COLOURS[3], ARM_COLOURS[0], REST_COLOUR)


def plots_of_rounds(report: RoundsReport, prefix: str = "") -> list[Plot]:
    """Both plots of a selection. prefix: of their names."""
    plots = [hard_shares([(r.hard, r.easy) for r in report.rounds]), hardness(report.hardness)]
    arm = f" ({report.arm})" if report.arm else ""
    return [replace(plot, name=f"{prefix}{plot.name}", title=f"{plot.title}{arm}") for plot in plots]


def hard_shares(rounds: Sequence[tuple[int, int]]) -> Plot:
    """rounds: (hard, easy) labels of each round, from the first."""
    with styled():
        figure, (axis,) = new_figure(1, 1, 2.6)
        numbers = range(1, len(rounds) + 1)
        shares = [hard / max(1, hard + easy) for hard, easy in rounds]
        axis.bar(numbers, shares, width=0.5, color=ARM_COLOURS[0])
        for number, share, (hard, easy) in zip(numbers, shares, rounds, strict=True):
            axis.text(number, share + 0.02, f"{hard} of {hard + easy}", ha="center", color=MUTED)
        axis.set_ylim(0, 1.1)
        axis.set_xticks(list(numbers))
        axis.set_xlabel("round")
        axis.set_ylabel("judged hard")
        axis.yaxis.set_major_formatter(PercentFormatter(1))
    caption = (
        "Of the rows a round had judged, those where the response at hand beats the base model's answer."
    )
    return Plot("hard_shares", "rounds", "Hard rows per round", caption, figure)


def hardness(counts: Mapping[str, Sequence[int]]) -> Plot:
    """counts: rows in each bin of M(x), by kind of row, such as judged hard, judged easy, and the rest."""
    with styled():
        figure, (axis,) = new_figure(1, 1, 2.8)
        for (name, rows), colour in zip(counts.items(), ROW_COLOURS, strict=False):
            if total := sum(rows):
                shares = np.array(rows) / total
                axis.stairs(shares, BINS, color=colour, lw=1.6, label=f"{literal(name)} ({total:,})")
        axis.set_xlim(0, 1)
        axis.set_ylim(bottom=0)
        axis.set_xlabel("M(x), the classifier's probability that a row is hard")
        axis.set_ylabel("share of rows")
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.legend()
    caption = "M after the last round. The judged rows trained it, so their curves lie apart more than new rows' would."
    return Plot("hardness", "rounds", "Hardness of the pool", caption, figure)
