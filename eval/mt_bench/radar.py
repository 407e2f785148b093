"""MT-Bench by category: one line per model, a corner per category, ratings 0-10 from the centre.

Every number is one of the scores' own; what is not judged leaves a gap and is named in the legend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from eval.mt_bench.score import CATEGORIES, ModelScore, SingleScores
from eval.report import format as fmt
from eval.report import style as look
from eval.report.radar import MOST_FILLED, MOST_LINES, draw_line, web
from eval.report.style import Plot, model_colours, styled

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
    colours = model_colours(list(models))
    with styled():
        columns = 2 if len(models) > 1 and max(map(len, models)) <= SHORT else 1
        figure, axis = web(4.75 + 0.2 * math.ceil(len(models) / columns), names, 0, 10)
        for model, score in models.items():
            filled = len(models) <= MOST_FILLED
            draw_line(axis, _values(names, score), colours[model], _legend_name(model, score), filled)
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


def _values(names: Sequence[str], score: ModelScore) -> list[float]:
    """A category each; NaN where there is no rating."""
    found = [score.categories.get(name) for name in names]
    return [c.average if c is not None and c.average is not None else math.nan for c in found]


def _legend_name(model: str, score: ModelScore) -> str:
    lacks = "" if score.complete else f" ({score.judged} of {score.expected})"
    return look.literal(f"{look.abridge(model, 64)}  {fmt.score(score.average)}{lacks}")
