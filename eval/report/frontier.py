"""What quality costs: every arm by what its selection cost and what its model reached, and the line of those that no
other arm beats on both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from eval.interval import Interval
from eval.measures import Measure
from eval.report import format as fmt
from eval.report import style as look
from eval.report.arms import Arm, ordered_arms
from eval.report.style import Plot, arm_colours, new_figure
from eval.results import Results

LEAST = 3
"""Arms from which on there is anything to see."""


class Spent(NamedTuple):
    """One arm of the drawing. cost: of its selection, mean over seeds; value: with its interval."""

    arm: Arm
    cost: float
    value: Interval


def frontier_plot(results: Results) -> Plot | None:
    """By the most important measure of models, over the cost that `_currency` names."""
    own = (m for m in results.measures if m.about == "model" and m.neutral is None and m.brief)
    if (measure := next(own, None)) is None:
        return None
    trained = [arm for arm in ordered_arms(results) if arm.trained]
    unit, field = _currency(trained)
    spent = [
        Spent(arm, _mean(arm, field), value)
        for arm in trained
        if (value := arm.summary.interval(measure.name))
    ]
    if len(spent) < LEAST:
        return None
    figure, (axis,) = new_figure(1, 1, 3.2)
    _draw(axis, results, measure, spent)
    axis.set_xlabel(f"{unit} of selecting, mean over seeds")
    caption = (
        "Arms in bold stand on the frontier: no other one is as cheap and as good by its mean. Whiskers are 95%"
        " intervals; arms whose whiskers overlap may change places. What training costs stands beside each arm in the"
        " table."
    )
    return Plot("frontier", "cost", f"Cost of selecting and {measure.title}", caption, figure)


def _draw(axis: Axes, results: Results, measure: Measure, spent: Sequence[Spent]) -> None:
    form, colours = fmt.UNITS[measure.unit], arm_colours(results)
    best = frontier([(s.cost, s.value.mean) for s in spent], measure.better == "lower")
    for number, (arm, cost, value) in enumerate(spent):
        colour, height = colours[arm.summary.arm], value.mean * form.factor
        ends = [value.low * form.factor, value.high * form.factor]
        axis.plot([cost, cost], ends, color=colour, lw=1.2, alpha=0.6)
        axis.plot(cost, height, "o", color=colour, ms=7, mec=look.SURFACE, mew=1)
        name = look.short_name(arm.summary.arm, 20)
        weight = "bold" if number in best else "normal"
        axis.annotate(name, (cost, height), (5, 4), textcoords="offset points", fontsize=8, weight=weight)
    line = sorted((spent[number].cost, spent[number].value.mean * form.factor) for number in best)
    axis.step([c for c, _ in line], [v for _, v in line], where="post", color=look.MUTED, lw=1, zorder=0)
    axis.set_xscale("symlog", linthresh=min((s.cost for s in spent if s.cost > 0), default=1.0))
    axis.margins(x=0.12)
    axis.set_ylabel(fmt.headed(measure.title, form.axis))
    axis.grid(axis="y")


def frontier(points: Sequence[tuple[float, float]], lower_is_better: bool = False) -> set[int]:
    """Numbers of the points (cost, value) that no other one dominates: that costs no more, is no worse, and differs in
    either."""
    sign = -1.0 if lower_is_better else 1.0
    placed = [(cost, -sign * value) for cost, value in points]
    return {
        i
        for i, own in enumerate(placed)
        if not any(other[0] <= own[0] and other[1] <= own[1] and other != own for other in placed)
    }


def _currency(arms: Sequence[Arm]) -> tuple[str, str]:
    """What a cost is called, and its field of `Usage`: money where any was paid, else FLOPs, else seconds. Calls whose
    price is not known are in neither of the first two, and an arm would stand at a cost that it did not have."""
    unpriced = any(_mean(arm, "unpriced_calls") for arm in arms)
    for unit, field in () if unpriced else (("US dollars", "cost_usd"), ("FLOPs", "flops")):
        if any(_mean(arm, field) for arm in arms):
            return unit, field
    return "seconds", "seconds"


def _mean(arm: Arm, field: str) -> float:
    return sum(getattr(run.selection_usage, field) for run in arm.runs) / len(arm.runs)
