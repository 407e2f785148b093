"""An ablation by design: its arms with their levels, what each factor brings, and the same as a drawing."""

from __future__ import annotations

from matplotlib.axes import Axes

from eval.factors import arms_of
from eval.measures import Measure
from eval.report import format as fmt
from eval.report.style import BASELINE_COLOUR, INK, SURFACE, Plot, literal, name_rows, new_figure
from eval.report.table import NOTHING, Cell, Column, Table, TableRow, mean
from eval.results import Effect, Results

PANELS = 3
"""Measures of the drawing, the most important ones."""


def design_table(results: Results) -> Table | None:
    """A row per combination of levels: the arm and its measures. None without a design."""
    measures = _measured(results)
    if not measures:
        return None
    level_of = {
        (factor, arm): level
        for factor, levels in results.factors.items()
        for level, arms in levels.items()
        for arm in arms
    }
    summaries = {summary.arm: summary for summary in results.summary}
    columns = [Column(factor, numeric=False) for factor in results.factors]
    columns += [Column("arm", numeric=False), *(Column(measure.title) for measure in measures)]
    rows = []
    for arm in arms_of(results.factors):
        levels = [Cell(level_of[factor, arm], raw=level_of[factor, arm]) for factor in results.factors]
        found = summaries.get(arm)
        values = [
            mean(found.interval(m.name), fmt.UNITS[m.unit].value, fmt.UNITS[m.unit].inside)
            if found
            else NOTHING
            for m in measures
        ]
        rows.append(TableRow((*levels, Cell(arm, raw=arm), *values), arm, arm == results.baseline))
    note = "One arm for every combination of levels; in brackets 95% intervals."
    return Table(tuple(columns), tuple(rows), "design", "The design", note)


def effects_table(results: Results, units: bool = True) -> Table | None:
    """What each factor brings by each measure. None without a design. units: whether heads name them; those of numbers
    that are not scaled do not."""
    measures = _measured(results)
    if not measures:
        return None
    columns = [Column("factor", numeric=False), Column("effect", numeric=False)]
    columns += [
        Column(fmt.headed(m.title, fmt.UNITS[m.unit].difference_in if units else "")) for m in measures
    ]
    rows = []
    for factor, how in _named(results):
        found = {
            effect.measure: effect
            for effect in results.effects
            if (effect.factor, effect.how) == (factor, how)
        }
        cells = [_cell(found.get(measure.name), measure) for measure in measures]
        rows.append(TableRow((Cell(factor, raw=factor), Cell(how, raw=how), *cells)))
    note = (
        "A main effect is the mean of the arms at one level minus that at another, over all levels of the other"
        " factors; an interaction is what a factor brings at the first level of the other minus what it brings at the"
        " second. Paired by question and seed; in brackets 95% intervals, which support no claim where they cover zero."
    )
    return Table(tuple(columns), tuple(rows), "effects", "What each factor brings", note)


def effects_plot(results: Results) -> Plot | None:
    """Effects with their intervals, a panel per measure."""
    measures = [measure for measure in _measured(results) if measure.brief][:PANELS]
    names = _named(results)
    if not measures or not names:
        return None
    figure, axes = new_figure(1, len(measures), 0.9 + 0.36 * len(names), sharey=True)
    for axis, measure in zip(axes, measures, strict=True):
        _panel(axis, results, measure, names)
    caption = (
        "Differences between means over the arms at two levels, whiskers 95% intervals. One that touches zero supports"
        " no claim."
    )
    return Plot("effects", "model", "What each factor brings", caption, figure)


def _panel(axis: Axes, results: Results, measure: Measure, names: list[tuple[str, str]]) -> None:
    form = fmt.UNITS[measure.unit]
    for row, name in enumerate(names):
        for effect in results.effects:
            if (effect.factor, effect.how) == name and effect.measure == measure.name and effect.interval:
                ends = [effect.interval.low * form.factor, effect.interval.high * form.factor]
                axis.plot(ends, [row, row], color=INK, lw=2.2, solid_capstyle="round")
                axis.plot(effect.interval.mean * form.factor, row, "o", color=INK, ms=7, mec=SURFACE, mew=1)
    axis.axvline(0, color=BASELINE_COLOUR, lw=1, ls=(0, (4, 3)))
    name_rows(axis, [f"{factor}: {how}" for factor, how in names])
    axis.set_title(literal(measure.title))
    axis.set_xlabel(form.difference_axis)
    axis.grid(axis="x")


def factorial_tables(results: Results, units: bool = True) -> list[Table]:
    """Both, where the experiment is an ablation by design."""
    return [table for table in (design_table(results), effects_table(results, units)) if table]


def _measured(results: Results) -> list[Measure]:
    named = {effect.measure for effect in results.effects if effect.interval}
    return [measure for measure in results.measures if measure.name in named]


def _named(results: Results) -> list[tuple[str, str]]:
    return list(dict.fromkeys((effect.factor, effect.how) for effect in results.effects))


def _cell(effect: Effect | None, measure: Measure) -> Cell:
    form = fmt.UNITS[measure.unit]
    return mean(effect.interval, form.difference) if effect and effect.interval else NOTHING
