"""The plots of what the models learned and what was selected; `draw` makes every plot a run has data for.

A measure with levels is drawn as stacked bars, another of the model that differs from the baseline as dots with
whiskers. Plots about the pool's groups, tags and money are in `plots_pool.py`, the common look in `style.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes

from eval.interval import Interval
from eval.measures import Measure
from eval.report import format as fmt
from eval.report import plots_pool as plots_pool
from eval.report import rounds as rounds
from eval.report import style as look
from eval.report.arms import Arm, ordered_arms
from eval.report.certainty import calibration_plot
from eval.report.effects import effects_plot
from eval.report.frontier import frontier_plot
from eval.report.overlap import overlap_plot
from eval.report.radar import category_radar
from eval.report.stacked import Bar, stacked_bars
from eval.report.style import Plot, arm_colours, name_rows, new_figure, styled
from eval.report.text import leading_arm
from eval.results import Audit, Results

MAX_KINDS = 8


def draw(results: Results) -> Iterator[Plot]:
    """Every plot this run has data for, in the order of the report."""
    with styled():
        for measure in results.measures:
            for draw_one in (measured, category_radar, sets_plot):
                if plot := draw_one(results, measure):
                    yield plot
        for make in (
            effects_plot,
            defects,
            plots_pool.skills,
            plots_pool.lengths,
            calibration_plot,
            overlap_plot,
            frontier_plot,
            plots_pool.cost,
        ):
            if plot := make(results):
                yield plot
        yield from plots_pool.tags(results)
        for number, report in enumerate(results.rounds, start=1):
            yield from rounds.plots_of_rounds(report, f"rounds_{number}_")


def measured(results: Results, measure: Measure) -> Plot | None:
    """None for a measure that no arm has a value of, and for one that has no drawing of its own."""
    if measure.levels:
        return None if measure.of_set else levels(results, measure)
    return dots(results, measure) if measure.about == "model" and measure.difference else None


def _whisker(axis: Axes, row: float, interval: Interval, factor: float, colour: str) -> None:
    ends = [interval.low * factor, interval.high * factor]
    axis.plot(ends, [row, row], color=colour, lw=2.2, solid_capstyle="round")
    axis.plot(interval.mean * factor, row, "o", color=colour, ms=7, mec=look.SURFACE, mew=1)


def dots(results: Results, measure: Measure) -> Plot | None:
    """Dots with whiskers beside the paired difference from the baseline."""
    arms = [arm for arm in ordered_arms(results) if arm.summary.interval(measure.name)]
    if not arms:
        return None
    gains = any(arm.summary.gain(measure.name) and arm.trained for arm in arms)
    options: dict[str, Any] = {"sharey": True, "width_ratios": (1.25, 1)} if gains else {}
    figure, axes = new_figure(1, 2 if gains else 1, 0.85 + 0.34 * len(arms), **options)
    _values(axes[0], results, measure, arms)
    if gains:
        _gains(axes[1], results, measure, arms)
    for axis in axes:
        axis.grid(axis="x")
    seeds = max(len(a.summary.seeds) for a in arms)
    one = "; there is one seed, so they cover questions only"
    faint = "; faint points are single seeds" if seeds > 1 else one
    touching = " A difference whose whisker touches zero supports no claim." if gains else ""
    caption = f"Dots are means, whiskers 95% intervals{faint}.{touching} {measure.note}".strip()
    return Plot(measure.name, "model", f"{_heading(measure)} per arm", caption, figure)


def _heading(measure: Measure) -> str:
    return measure.title[0].upper() + measure.title[1:]


def _values(axis: Axes, results: Results, measure: Measure, arms: list[Arm]) -> None:
    form, colours = fmt.UNITS[measure.unit], arm_colours(results)
    for row, arm in enumerate(arms):
        interval, colour = arm.summary.interval(measure.name), colours[arm.summary.arm]
        assert interval is not None
        _whisker(axis, row, interval, form.factor, colour)
        found = [run.measures[measure.name].value for run in arm.runs if measure.name in run.measures]
        seeds = [value * form.factor for value in found if value is not None]
        if len(seeds) > 1:
            axis.plot(seeds, [row + 0.24] * len(seeds), "o", color=colour, ms=4, mew=0, alpha=0.45)
    name_rows(axis, [a.summary.arm for a in arms])
    axis.set_title(look.literal(_heading(measure)))
    axis.set_xlabel(", ".join(word for word in (measure.counted, form.axis) if word))
    if measure.scale[0] == 0:
        axis.set_xlim(left=0)
    base = next((a.summary.interval(measure.name) for a in arms if a.summary.arm == results.baseline), None)
    if base:
        dashed: dict[str, Any] = {"color": look.BASELINE_COLOUR, "lw": 1, "ls": (0, (4, 3)), "zorder": 0.5}
        axis.axvline(base.mean * form.factor, **dashed)


def _gains(axis: Axes, results: Results, measure: Measure, arms: list[Arm]) -> None:
    """An untrained model has no point: it is so far off that it would flatten the rest."""
    form, colours = fmt.UNITS[measure.unit], arm_colours(results)
    for row, arm in enumerate(arms):
        gain = arm.summary.gain(measure.name)
        if gain and arm.trained:
            _whisker(axis, row, gain, form.factor, colours[arm.summary.arm])
    axis.axvline(0, color=look.BASELINE_COLOUR, lw=1, ls=(0, (4, 3)))
    title = f"Difference from {look.short_name(results.baseline, 20)}"
    axis.set_title(title, loc="right")  # where names are long, it is wider than its panel
    axis.set_xlabel(form.difference_axis)
    axis.spines["left"].set_visible(False)


def levels(results: Results, measure: Measure) -> Plot | None:
    """How many questions went which way, over all seeds, as shares of those that could be read."""
    names = [level.name for level in measure.levels]
    bars = []
    for arm in ordered_arms(results):
        found = [run.measures[measure.name].counts for run in arm.runs if measure.name in run.measures]
        sums = {name: sum(counts[name] for counts in found) for name in names}
        if any(sums.values()):
            bars.append(Bar(arm.summary.arm, sums, _written(measure, arm.summary.interval(measure.name))))
    if not bars:
        return None
    against = f" against {results.baseline}" if measure.neutral is not None else ""
    title = f"{fmt.listing(names).capitalize()}{against}"
    versus = f",{against}" if against else ""
    caption = f"Questions of all seeds{versus}. {measure.note}".strip()
    figure = stacked_bars(bars, measure.title, "questions that could be read")
    return Plot(measure.name, "model", title, caption, figure)


def sets_plot(results: Results, measure: Measure) -> Plot | None:
    """A measure's question sets, and all of their questions, for the arm that the experiment is about."""
    arm = leading_arm(results)
    sets = [m for m in results.measures if m.of_set and m.name == f"{measure.name}_{m.of_set}"]
    if arm is None or not sets or not measure.levels or measure.of_set:
        return None
    runs = [run for run in results.runs if run.arm == arm.arm]
    bars = []
    for each in (*sets, measure):
        found = [run.measures[each.name].counts for run in runs if each.name in run.measures]
        sums = {level.name: sum(counts[level.name] for counts in found) for level in measure.levels}
        if any(sums.values()):
            name = each.of_set or "all questions"
            bars.append(Bar(name, sums, _written(each, arm.interval(each.name)), pooled=each is measure))
    if len(bars) < 2:
        return None
    title = f"{arm.arm} by question set, {measure.title}"
    caption = f"Questions of all seeds. {measure.note}".strip()
    figure = stacked_bars(bars, measure.title, "questions that could be read")
    return Plot(f"{measure.name}_sets", "model", title, caption, figure)


def _written(measure: Measure, interval: Interval | None) -> str:
    form = fmt.UNITS[measure.unit]
    return f"{form.value(interval.mean)} {fmt.bracket(interval, form.inside)}" if interval else ""


def defects(results: Results) -> Plot | None:
    """Shares of each kind of defect, the pool on top."""
    found = [(arm.summary.arm, _kinds([run.audit for run in arm.runs])) for arm in ordered_arms(results)]
    bars = [("pool", _kinds([results.pool_audit])), *found]
    present = [(name, shares) for name, shares in bars if shares is not None]
    if len(present) < 2:
        return None
    totals: Counter[str] = Counter()
    for _, shares in present:
        totals.update(shares)
    kinds = [kind for kind, _ in totals.most_common(MAX_KINDS if len(totals) <= MAX_KINDS else MAX_KINDS - 1)]
    figure, (axis,) = new_figure(1, 1, 1.35 + 0.34 * len(present))
    for row, (_, shares) in enumerate(present):
        _defect_row(axis, row, shares, kinds)
    name_rows(axis, [name for name, _ in present])
    axis.set_xlim(0, max(sum(shares.values()) for _, shares in present) * 1.12 or 1)
    axis.set_xlabel("rows with a defect, %")
    axis.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=4, handlelength=1, columnspacing=1.4)
    caption = (
        "Known defects by kind, as a share of all rows, over all seeds. Selectors never see these labels."
    )
    return Plot("defects", "selection", "Defects per arm, beside the pool", caption, figure)


def _kinds(audits: list[Audit]) -> dict[str, float] | None:
    """Defect kind -> percent of rows, over all audits; None where defects are not known."""
    told = [audit for audit in audits if audit.defects is not None and audit.rows]
    counts: Counter[str] = Counter()
    for audit in told:
        counts.update(audit.defects or {})
    rows = sum(audit.rows for audit in told)
    return {kind: 100 * n / rows for kind, n in counts.items()} if told else None


def _defect_row(axis: Axes, row: int, shares: dict[str, float], kinds: list[str]) -> None:
    rest = sum(share for kind, share in shares.items() if kind not in kinds)
    parts = [(kind, shares.get(kind, 0.0), look.KIND_COLOURS[i]) for i, kind in enumerate(kinds)]
    left = 0.0
    for kind, share, colour in [*parts, *([("other", rest, look.REST_COLOUR)] if rest else [])]:
        label = look.literal(kind) if row == 0 else None
        axis.barh(row, share, left=left, height=0.66, color=colour, ec=look.SURFACE, lw=0.8, label=label)
        left += share
    axis.text(left, row, f"  {left:.1f}%", va="center", fontsize=8.5)
