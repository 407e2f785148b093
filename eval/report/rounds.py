"""Plots of a selection in rounds: what was hard in each, how the classifier sees the pool, and what size buys.

Numbers come in plain, so that any method with rounds can draw them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.ticker import PercentFormatter

from eval.report.format import UNITS
from eval.report.style import (
    ARM_COLOURS,
    BASELINE_COLOUR,
    MUTED,
    REST_COLOUR,
    Plot,
    literal,
    new_figure,
    styled,
)
from eval.results import HARDNESS_BINS, Results, RoundsReport

BINS = np.linspace(0, 1, HARDNESS_BINS + 1)
"""Edges, of M."""
KIND_COLOURS = (ARM_COLOURS[3], ARM_COLOURS[0], REST_COLOUR)


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
        for (name, rows), colour in zip(counts.items(), KIND_COLOURS, strict=False):
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


def measure_by_size(
    finished: Sequence[Results], name: str, methods: Sequence[str] | None = None
) -> Plot | None:
    """A measure against the share of the pool, one point per experiment and arm (IterSelectTune's figure 2).

    finished: experiments on one pool with one baseline and different budgets. name: of the measure, such as
    "winning_score". None where no arm has a value.
    """
    measure = next((m for results in finished for m in results.measures if m.name == name), None)
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    for results in finished:
        share = results.budget / max(1, int(results.pool["rows"]))
        for arm in results.summary:
            found = arm.interval(name)
            if found and (methods is None or arm.method in methods):
                lines.setdefault(arm.arm, []).append((share, found.mean, found.low, found.high))
    if not lines or measure is None:
        return None
    with styled():
        figure, (axis,) = new_figure(1, 1, 3.0)
        for number, (own, points) in enumerate(lines.items()):
            share, mean, low, high = np.array(sorted(points)).T
            colour = ARM_COLOURS[number % len(ARM_COLOURS)]
            errors = np.maximum(0, np.array([mean - low, high - mean]))
            axis.errorbar(
                share, mean, errors, marker="o", capsize=3, color=colour, lw=1.6, label=literal(own)
            )
        if measure.neutral is not None:
            axis.axhline(measure.neutral, color=BASELINE_COLOUR, lw=1, ls=(0, (4, 3)))
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set_xlabel("selected share of the pool")
        axis.set_ylabel(measure.title)
        axis.legend()
    neutral = f"{UNITS[measure.unit].plain(measure.neutral)} is a draw with {literal(finished[0].baseline)}. "
    caption = f"{neutral if measure.neutral is not None else ''}Whiskers are 95% intervals."
    title = f"{measure.title[0].upper()}{measure.title[1:]} by size"
    return Plot(f"{name}_by_size", "rounds", title, caption, figure)
