"""A web with a corner per category and a line per model or arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from eval.measures import Measure
from eval.report import format as fmt
from eval.report import style as look
from eval.report.arms import ordered_arms
from eval.report.style import Plot, arm_colours
from eval.results import ArmMeasure, Results

CORNERS = range(3, 13)
"""Categories that make a web: fewer span no area, more cannot be read."""
MOST_LINES = len(look.ARM_COLOURS)
"""Lines of one web; more could not be told apart."""
MOST_FILLED = 3
"""Areas on each other that can still be seen."""
TICKS = 5


def web(
    height: float, names: Sequence[str], low: float, high: float, factor: float = 1.0
) -> tuple[Figure, PolarAxes]:
    """A figure with an empty web. low, high: at the centre and at the rim; factor: of the written numbers."""
    figure = Figure(figsize=(look.WIDTH, height), layout="constrained")
    axis = figure.add_subplot(projection="polar")
    assert isinstance(axis, PolarAxes)
    corners = angles(len(names))[:-1]
    axis.set_theta_zero_location("N")
    axis.set_theta_direction(-1)
    axis.set_xticks(corners, [look.short_name(name, 26) for name in names])
    axis.set_ylim(low, high)
    ticks = [low + (high - low) * step / TICKS for step in range(1, TICKS + 1)]
    axis.set_yticks(ticks, [f"{factor * tick:g}" for tick in ticks], fontsize=7.5, color=look.MUTED)
    axis.set_rlabel_position(math.degrees(corners[1]) / 2)
    axis.tick_params(axis="x", pad=6, labelsize=9, labelcolor=look.INK)
    for label, angle in zip(axis.get_xticklabels(), corners, strict=True):
        side = math.sin(angle)  # beside the web a name starts, or ends, at its corner
        label.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
    axis.spines["polar"].set_color(look.LINE)
    return figure, axis


def angles(corners: int) -> list[float]:
    """Corners of a ring from the top clockwise, the first again at the end."""
    return [*(2 * math.pi * corner / corners for corner in range(corners)), 0.0]


def draw_line(axis: PolarAxes, values: Sequence[float], colour: str, name: str, filled: bool) -> None:
    """values: one a corner, NaN where there is none."""
    ring, around = [*values, values[0]], angles(len(values))
    axis.plot(around, ring, "o-", color=colour, lw=1.8, ms=4, mew=0, label=name)
    if filled and not any(map(math.isnan, ring)):
        axis.fill(around, ring, color=colour, alpha=0.07, lw=0)


def category_radar(results: Results, measure: Measure) -> Plot | None:
    """An arm a line, a category of the measure's questions a corner; None where there are too few or too many, and
    for measures beside the main ones."""
    arms = [arm for arm in ordered_arms(results) if _of(arm.summary.measures, measure)]
    names = list(dict.fromkeys(name for arm in arms for name in _of(arm.summary.measures, measure)))
    if len(names) not in CORNERS or not arms or not measure.brief:
        return None
    form, shown = fmt.UNITS[measure.unit], arms[:MOST_LINES]
    found = [_of(arm.summary.measures, measure) for arm in shown]
    top = measure.scale[1] if measure.scale[1] is not None else max(max(values.values()) for values in found)
    figure, axis = web(4.75 + 0.2 * math.ceil(len(shown) / 2), names, 0.0, top, form.factor)
    for arm, values in zip(shown, found, strict=True):
        corners = [values.get(name, math.nan) for name in names]
        label = look.short_name(arm.summary.arm, 40)
        draw_line(axis, corners, arm_colours(results)[arm.summary.arm], label, len(shown) <= MOST_FILLED)
    figure.legend(loc="outside lower center", ncols=2, handlelength=1.4, columnspacing=1.6)
    left_out = len(arms) - len(shown)
    more = f" The {len(shown)} best of {len(arms)} arms are drawn." if left_out else ""
    caption = f"Means over the questions of a category and over seeds, without intervals.{more}"
    title = f"{measure.title[0].upper()}{measure.title[1:]} by category"
    return Plot(f"{measure.name}_radar", "model", title, caption, figure)


def _of(measures: Mapping[str, ArmMeasure], measure: Measure) -> dict[str, float]:
    found = measures.get(measure.name)
    return found.categories if found else {}
