"""The plots of what a selection is made of: skills, response lengths, tags, and what selecting cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.patches import Patch, Rectangle

from eval.report import format as fmt
from eval.report import style as look
from eval.report.arms import Arm, ordered_arms
from eval.report.style import Plot, abridge, arm_colours, literal, name_rows, new_figure, short_name
from eval.results import Audit, Results, TagReport

MAX_SKILLS, MAX_TAGS = 40, 12
RATIOS = (1 / 3, 0.5, 0.7, 1.4, 2.0, 3.0)
"""Edges of the heat-map's seven colours: share in the selection over share in the pool."""
RATIO_WORDS = ("under ⅓", "⅓ to ½", "½ to 0.7", "as the pool", "1.4 to 2", "2 to 3", "over 3")
UNDER_OVER = LinearSegmentedColormap.from_list("under_over", ("#b35806", "#f1e9dd", "#4a3b8f"))
EMPTY = "#9aa0ab"
Panel = tuple[str, str, list[float], list[str]]
"""Title, unit, one value per arm, and how each is written."""


def _audited(results: Results) -> list[tuple[str, list[Audit]]]:
    """Arms that select something, with the audits of their seeds, best arm first."""
    found = [(a.summary.arm, [r.audit for r in a.runs if r.audit.rows]) for a in ordered_arms(results)]
    return [(name, audits) for name, audits in found if audits]


def _sum(columns: Sequence[Mapping[str, int] | None]) -> Counter[str]:
    total: Counter[str] = Counter()
    for column in columns:
        total.update(column or {})
    return total


def skills(results: Results) -> Plot | None:
    """Heat-map of skills by arms; a colour tells over- or under-selection, a number the rows."""
    pool = results.pool_audit.skills
    arms = [(name, audits) for name, audits in _audited(results) if audits[0].skills is not None]
    if not pool or not arms:
        return None
    names = [skill for skill, _ in Counter(pool).most_common(MAX_SKILLS)]
    figure, (axis,) = new_figure(1, 1, 1.5 + 0.19 * len(names))
    colours = UNDER_OVER(np.linspace(0, 1, len(RATIO_WORDS)))
    norm = BoundaryNorm([0, *RATIOS, 1e9], len(RATIO_WORDS))
    for column, (_, audits) in enumerate(arms):
        counts = _sum([audit.skills for audit in audits])
        _skill_column(
            axis, column, [counts[s] / len(audits) for s in names], _ratios(counts, pool, names), norm
        )
    name_rows(axis, [f"{abridge(s, 26)}  {fmt.count(pool[s])}" for s in names])
    axis.set_xlim(-0.5, len(arms) - 0.5)
    axis.set_ylim(len(names) - 0.5, -0.5)
    for column, (name, _) in enumerate(arms):
        axis.text(column - 0.2, -0.7, short_name(name, 18), rotation=35, rotation_mode="anchor")
    axis.set_xticks(range(len(arms)), [_covered(audits) for _, audits in arms])
    axis.set_xlabel(f"skills covered, of {arms[0][1][0].skills_total or len(pool)}")
    axis.tick_params(axis="y", labelsize=8)
    axis.spines[["bottom"]].set_visible(False)
    handles = [Patch(color=c, label=word) for c, word in zip(colours, RATIO_WORDS, strict=True)]
    handles.append(Patch(color=EMPTY, label="no rows"))
    legend = {"title": "share of the selection / share of the pool", "title_fontsize": 8.5, "handlelength": 1}
    figure.legend(handles=handles, loc="outside lower center", ncols=4, **legend)
    caption = "Rows per skill (mean over seeds); beside each name its rows in the pool."
    if len(pool) > len(names):
        caption += f" The {len(names)} most frequent of {len(pool)} skills are shown."
    return Plot("skills", "selection", "Skill coverage", caption, figure)


def _ratios(counts: Mapping[str, int], pool: Mapping[str, int], names: Sequence[str]) -> list[float]:
    rows, whole = sum(counts.values()) or 1, sum(pool.values())
    return [(counts.get(s, 0) / rows) / (pool[s] / whole) if pool[s] else 0.0 for s in names]


def _covered(audits: Sequence[Audit]) -> str:
    """Skills with at least one row: 29, or 27-30 where seeds differ."""
    return fmt.spread([sum(n > 0 for n in (a.skills or {}).values()) for a in audits], fmt.count).replace(
        " to ", "-"
    )


def _skill_column(
    axis: Axes, column: int, rows: list[float], ratios: list[float], norm: BoundaryNorm
) -> None:
    colours = UNDER_OVER(np.linspace(0, 1, len(RATIO_WORDS)))
    for row, (number, ratio) in enumerate(zip(rows, ratios, strict=True)):
        level = int(norm(ratio))
        face = EMPTY if not number else colours[level]
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fc=face, ec=look.SURFACE, lw=0.8))
        ink = "#ffffff" if level in (0, 1, 5, 6) and number else "#1d1f24"
        text = fmt.count(number) if number >= 1 or not number else "<1"
        axis.text(column, row, text, ha="center", va="center", fontsize=7.5, color=ink)


def lengths(results: Results) -> Plot | None:
    """Small multiples: each arm's response lengths over the pool's."""
    arms = [(name, audits) for name, audits in _audited(results) if sum(audits[0].word_histogram.values())]
    pool = results.pool_audit.word_histogram
    if not arms or not pool:
        return None
    columns = min(3, len(arms))
    grid = -(-len(arms) // columns)
    figure, axes = new_figure(grid, columns, 0.7 + 1.2 * grid, sharex=True, sharey=True)
    bins, colours = sorted(pool, key=_bin_start), arm_colours(results)
    for number, (axis, (name, audits)) in enumerate(zip(axes, arms, strict=False)):
        counts = _sum([audit.word_histogram for audit in audits])
        axis.bar(range(len(bins)), _percents(pool, bins), width=0.92, color=look.LINE)
        axis.step(*_outline(_percents(counts, bins)), where="post", color=colours[name], lw=2)
        words = fmt.spread([a.mean_words for a in audits], fmt.count)
        axis.set_title(short_name(name, 20), pad=14)
        axis.text(0, 1.03, f"mean {words} words", transform=axis.transAxes, color=look.MUTED, fontsize=8)
        step = -(-len(bins) // 5)  # a panel has room for five numbers
        starts = [label.split("-")[0] for label in bins[::step]]
        axis.set_xticks([i - 0.5 for i in range(0, len(bins), step)], starts, fontsize=7)
        axis.tick_params(labelbottom=number + columns >= len(arms))
        axis.tick_params(axis="y", labelsize=8, labelcolor=look.MUTED)
        axis.grid(axis="y")
    for axis in axes[len(arms) :]:
        axis.set_visible(False)
    figure.supxlabel("words in the response", fontsize=9, color=look.MUTED)
    figure.supylabel("rows, %", fontsize=9, color=look.MUTED)
    caption = (
        "Outline: the arm's rows over all seeds. Grey bars: the pool. A shift to the right favours length."
    )
    return Plot("lengths", "selection", "Response lengths, arms over the pool", caption, figure)


def _bin_start(label: str) -> int:
    """The low end of a "low-high" bin; anything else keeps to the end."""
    digits = label.split("-")[0].strip().rstrip("+")
    return int(digits) if digits.isdigit() else 10**9


def _percents(counts: Mapping[str, int], bins: Sequence[str]) -> list[float]:
    total = sum(counts.values()) or 1
    return [100 * counts.get(label, 0) / total for label in bins]


def _outline(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """x and y of a step line around bars of width 1 centred on 0, 1, 2..."""
    edges = [-0.5, *(i - 0.5 for i in range(len(values))), len(values) - 0.5, len(values) - 0.5]
    return edges, [0, *values, values[-1], 0]


def cost(results: Results) -> Plot | None:
    """Seconds, calls and money per arm; a panel that would hold only zeros is left out."""
    arms = [arm for arm in ordered_arms(results) if any(run.audit.rows for run in arm.runs)]

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values) if values else 0.0

    def used(arm: Arm, name: str) -> float:
        return mean([getattr(run.selection_usage, name) for run in arm.runs])

    dollars = [used(a, "cost_usd") for a in arms]
    paid = [fmt.paid([d], bool(used(a, "unpriced_calls"))) for a, d in zip(arms, dollars, strict=True)]
    panels = [
        _panel("Selecting", "seconds", [used(a, "seconds") for a in arms], fmt.seconds),
        _panel("LLM calls", "paid calls", [used(a, "calls") for a in arms], fmt.count),
        ("Money", "US dollars", dollars, paid),
        _panel("Training", "seconds", [mean([t.seconds for t in a.trained]) for a in arms], fmt.seconds),
    ]
    shown = [panel for panel in panels if any(panel[2])]
    if not shown:
        return None
    figure, axes = new_figure(1, len(shown), 0.8 + 0.3 * len(arms), sharey=True)
    colours = [arm_colours(results)[arm.summary.arm] for arm in arms]
    for axis, (title, unit, values, labels) in zip(axes, shown, strict=True):
        _labelled_bars(axis, values, labels, colours)
        axis.set_title(title)
        axis.set_xlabel(unit)
    name_rows(axes[0], [arm.summary.arm for arm in arms])
    caption = (
        "Mean over seeds. Selecting counts every stage it rests on in full, as first paid, shared or not."
    )
    if any(used(a, "unpriced_calls") for a in arms):
        caption += " Money leaves out calls to an LLM whose price is unknown."
    return Plot("cost", "cost", "What each arm cost", caption, figure)


def _panel(title: str, unit: str, values: list[float], form: fmt.Format) -> Panel:
    return title, unit, values, [form(v) for v in values]


def _labelled_bars(
    axis: Axes, values: Sequence[float], labels: Sequence[str], colours: Sequence[str] | str
) -> None:
    """Bars from zero with their values at the end, so no axis has to be read."""
    axis.barh(range(len(values)), values, height=0.66, color=colours)
    for row, (value, label) in enumerate(zip(values, labels, strict=True)):
        axis.text(value, row, f" {literal(label)}", va="center", fontsize=8)
    axis.set_xlim(0, (max(values, default=0) or 1) * 1.45)
    axis.set_xticks([])
    axis.spines[["left", "bottom"]].set_visible(False)


def tags(results: Results) -> Iterator[Plot]:
    """One plot per distinct tagging; arms that share their tags share the plot."""
    shared: dict[str, list[TagReport]] = {}
    for report in results.tags:
        key = report.model_dump_json(exclude={"arm"})
        shared.setdefault(key, []).append(report)
    for number, reports in enumerate(shared.values(), start=1):
        arms = fmt.listing(dict.fromkeys(report.arm for report in reports))
        yield _tag_plot(reports[0], f"tags_{number}", f"Tags of {arms}")


def _tag_plot(report: TagReport, name: str, title: str) -> Plot:
    tops = [("Top tags before", report.top_before), ("Top tags after", report.top_after)]
    funnel = [("Distinct tags", report.counts), ("Samples with a tag", report.samples)]
    rows = max(1, *(min(MAX_TAGS, len(top)) for _, top in tops))
    steps = max(1, *(len(column) for _, column in funnel))
    figure, axes = new_figure(2, 2, 1.1 + 0.2 * (rows + steps), height_ratios=(rows + 1, steps + 1))
    for axis, (heading, column) in zip(axes, [*tops, *funnel], strict=True):
        top = (
            list(column.items())
            if column in (report.counts, report.samples)
            else Counter(column).most_common(MAX_TAGS)
        )
        colour = "#6f7fd6" if (heading, column) in tops else "#44aa99"
        _labelled_bars(axis, [n for _, n in top], [fmt.count(n) for _, n in top], colour)
        name_rows(axis, [abridge(tag, 22) for tag, _ in top])
        axis.tick_params(axis="y", labelsize=8.5)
        axis.set_title(heading)
    caption = (
        "Above: samples that carry each tag, before and after normalization. Below: what each step leaves."
    )
    return Plot(name, "tags", title, caption, figure)
