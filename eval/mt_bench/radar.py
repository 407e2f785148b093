"""MT-Bench by category: one line per model, a corner per category, ratings 0-10 from the centre.

Every number is one of the scores' own; what is not judged leaves a gap and is named in the legend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from eval.mt_bench.score import CATEGORIES, ModelScore, SingleScores
from eval.report import format as fmt
from eval.report import style as look
from eval.report.style import Plot, model_colours, styled

MOST_LINES = len(look.ARM_COLOURS)
"""Models in one radar; more could not be told apart."""
MOST_FILLED = 3
"""Areas on each other that can still be seen."""
SHORT = 30
"""Letters of a name that leaves room for another beside it in a legend."""


def rated_models(scores: SingleScores) -> dict[str, ModelScore]:
    """Models with an average, the best first, as in the table."""
    rated = [(name, model) for name, model in scores.models.items() if model.average is not None]
    return dict(sorted(rated, key=lambda item: -(item[1].average or 0.0)))


def radar(scores: SingleScores) -> Plot | None:
    """MT-Bench by category; None where fewer than three categories are judged, which span no area."""
    models = dict(list(rated_models(scores).items())[:MOST_LINES])
    judged = {
        name for score in models.values() for name, c in score.categories.items() if c.average is not None
    }
    names = [name for name in _category_order(scores) if name in judged]
    if len(names) < 3:
        return None
    colours, angles = model_colours(list(models)), _angles(len(names))
    with styled():
        columns = 2 if len(models) > 1 and max(map(len, models)) <= SHORT else 1
        rows = math.ceil(len(models) / columns)
        figure = Figure(figsize=(look.WIDTH, 4.75 + 0.2 * rows), layout="constrained")
        axis = figure.add_subplot(projection="polar")
        assert isinstance(axis, PolarAxes)
        _web(axis, names, angles[:-1])
        for model, score in models.items():
            values = _round_values(names, score)
            name, colour = _legend_name(model, score), colours[model]
            axis.plot(angles, values, "o-", color=colour, lw=1.8, ms=4, mew=0, label=name)
            if len(models) <= MOST_FILLED and not any(map(math.isnan, values)):
                axis.fill(angles, values, color=colour, alpha=0.07, lw=0)
        figure.legend(loc="outside lower center", ncols=columns, handlelength=1.4, columnspacing=1.6)
    left_out = len(rated_models(scores)) - len(models)
    more = f" The {len(models)} best of {left_out + len(models)} models are drawn." if left_out else ""
    caption = (
        f"Mean rating, 0 in the centre to 10 at the rim, over both turns of a category's questions.{more}"
        " A category without a rating leaves a gap."
    )
    return Plot("mt_bench_radar", "mt_bench", "MT-Bench by category", caption, figure)


def _category_order(scores: SingleScores) -> list[str]:
    """MT-Bench's own order, then others in order of appearance."""
    seen = dict.fromkeys(name for score in scores.models.values() for name in score.categories)
    return [*(name for name in CATEGORIES if name in seen), *(n for n in seen if n not in CATEGORIES)]


def _angles(corners: int) -> list[float]:
    """Corners of a ring from the top clockwise, the first again at the end."""
    return [*(2 * math.pi * corner / corners for corner in range(corners)), 0.0]


def _web(axis: PolarAxes, names: Sequence[str], angles: Sequence[float]) -> None:
    axis.set_theta_zero_location("N")
    axis.set_theta_direction(-1)
    axis.set_xticks(list(angles), [look.literal(look.shorten(name)) for name in names])
    axis.set_ylim(0, 10)
    axis.set_yticks([2, 4, 6, 8, 10], ["2", "4", "6", "8", "10"], fontsize=7.5, color=look.MUTED)
    axis.set_rlabel_position(math.degrees(angles[1]) / 2)
    axis.tick_params(axis="x", pad=6, labelsize=9, labelcolor=look.INK)
    for label, angle in zip(axis.get_xticklabels(), angles, strict=True):
        side = math.sin(angle)  # beside the web a name starts, or ends, at its corner
        label.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
    axis.spines["polar"].set_color(look.LINE)


def _round_values(names: Sequence[str], score: ModelScore) -> list[float]:
    """A category each, the first again at the end; NaN where there is no rating."""
    found = [score.categories.get(name) for name in names]
    values = [c.average if c is not None and c.average is not None else math.nan for c in found]
    return [*values, values[0]]


def _legend_name(model: str, score: ModelScore) -> str:
    lacks = "" if score.complete else f" ({score.judged} of {score.expected})"
    return look.literal(f"{look.abridge(model, 64)}  {fmt.score(score.average)}{lacks}")
