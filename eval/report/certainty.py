"""How sure selections are of their rows, how much they hang on quotas, and whether standard errors are right.

A table of the arms whose scores know their errors, or whose groups had places; and a plot of nominal against observed
coverage, where samples were scored often enough to tell.
"""

from __future__ import annotations

from collections.abc import Callable

from eval.report import format as fmt
from eval.report import style as look
from eval.report.arms import Arm, arm_table, ordered_arms
from eval.report.style import Plot, arm_colours, new_figure
from eval.report.table import Cell, Column, Spec, Table, over_seeds
from eval.results import ArmRun, Results
from tacos.selection import Calibration

APART = 0.9
"""Share of rows in common below which equal places and one cut are told to differ."""
LEVEL = 0.2
"""Spread of the groups' mean scores, over that of all scores, from which groups are told not to be level."""


def certainty_tables(results: Results) -> list[Table]:
    """One, or none where no selection could tell."""
    arms = [arm for arm in ordered_arms(results) if any(run.certainty or run.quota_gap for run in arm.runs)]
    if not arms:
        return []
    near, quota = "near the cut", "equal places beside one cut"
    specs: list[Spec[Arm]] = [
        (Column("standard error", "of a score"), _of("certainty", "std_error", fmt.score)),
        (Column("spread of scores", "of a score"), _of("certainty", "score_sd", fmt.score)),
        (Column("within noise", near), _of("certainty", "within_noise", fmt.percent)),
        (Column("expected above", near), _of("certainty", "expected_above", fmt.percent)),
        (Column("rows in common", quota), _of("quota_gap", "shared", fmt.percent)),
        (Column("largest group of one cut", quota), _of("quota_gap", "largest_group", fmt.percent)),
        (Column("groups apart", quota), _of("quota_gap", "group_sd", fmt.score)),
    ]
    note = (
        "Within noise: selected rows whose 95% interval holds the cut. Expected above: share of the selection that is"
        " likely to be truly above it. Rows in common: of an equal number of places for every group and of one cut"
        " over all, at the same scores and budget. Groups apart: standard deviation of the groups' mean scores, over"
        f" that of all scores.{_why(results)}"
    )
    return [arm_table(results, "certainty", "How sure the selections are", note, specs, arms)]


def _of(record: str, name: str, form: Callable[[float | None], str]) -> Callable[[Arm], Cell]:
    def cell(arm: Arm) -> Cell:
        found = [getattr(run, record) for run in arm.runs]
        return over_seeds([getattr(one, name) if one else None for one in found], form)

    return cell


def _why(results: Results) -> str:
    """Arms that hang on quotas, and on what."""
    words = [found for arm in ordered_arms(results) for run in arm.runs[:1] if (found := _apart(run))]
    return f" {' '.join(words)}" if words else ""


def _apart(run: ArmRun) -> str:
    gap = run.quota_gap
    if gap is None or gap.shared >= APART:
        return ""
    cause = (
        "the groups' scores are of different height; with calls across groups (score.design.bridges) that is a"
        " difference in quality, without them it may be the judge's scale"
        if gap.group_sd >= LEVEL
        else "groups are of unequal size, and the best rows are not spread evenly over them"
    )
    return f"{run.arm}: quotas and one cut share {fmt.percent(gap.shared)} of rows, since {cause}."


def calibration_plot(results: Results) -> Plot | None:
    """Coverage against its nominal level; on the diagonal errors are right, below it they are too small."""
    found = [
        (arm.summary.arm, run.calibration)
        for arm in ordered_arms(results)
        for run in arm.runs
        if run.calibration
    ]
    if not found:
        return None
    first: dict[str, Calibration] = {}
    for name, one in found:
        first.setdefault(name, one)
    figure, (axis,) = new_figure(1, 1, 3.2)
    colours = arm_colours(results)
    axis.plot([0.4, 1], [0.4, 1], color=look.BASELINE_COLOUR, lw=1, ls=(0, (4, 3)))
    for name, one in first.items():
        levels = sorted((float(level), share) for level, share in one.coverage.items())
        label = f"{look.short_name(name, 26)} (n = {one.n:,}, spread {one.z_sd:.2f})"
        axis.plot(*zip(*levels, strict=True), "o-", color=colours[name], label=label, ms=5)
    axis.set_xlabel("level of the interval")
    axis.set_ylabel("share of scores inside")
    axis.set_xlim(0.45, 1)
    axis.grid()
    figure.legend(loc="outside lower center", ncols=2, handlelength=1.4)
    caption = (
        "Scores of one half of the calls inside the intervals that the other half foretells, first seed. Below the"
        " dashed line standard errors are too small. Spread: of the misses in their own standard deviations, 1 where"
        " errors are right."
    )
    return Plot("calibration", "selection", "Are the scores' standard errors right?", caption, figure)
