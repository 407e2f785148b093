"""Each measure over a dimension that is a number: the size of a selection, or a setting that was swept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.cells.cell import BUDGETS, DoneCell, apart, arms_of, colours_of, measures_of
from eval.report.style import Plot, literal, new_figure, short_name, styled

WIDE = 4.0
"""Largest over smallest place from which on the axis is logarithmic."""
PANELS = 4


def numeric_dimensions(done: Sequence[DoneCell]) -> list[str]:
    """Those with at least two places, all of them numbers."""
    found = []
    for dimension in dict.fromkeys(name for cell in done for name in cell.where):
        places = [cell.place(dimension) for cell in done]
        if None not in places and len(set(places)) > 1:
            found.append(dimension)
    return found


def curves(done: Sequence[DoneCell]) -> Iterator[Plot]:
    """A plot for each brief measure and numeric dimension, with a panel for what else differs."""
    with styled():
        for dimension in numeric_dimensions(done):
            for measure in measures_of(done, brief=True):
                if plot := _curve(done, dimension, measure):
                    yield plot


def _curve(done: Sequence[DoneCell], dimension: str, measure: Measure) -> Plot | None:
    groups = [(name, cells) for name, cells in apart(done, [dimension]) if len(cells) > 1]
    arms = [arm for arm in arms_of(done) if any(cell.value(arm, measure.name) is not None for cell in done)]
    if not groups or not arms:
        return None
    shown, colours = groups[:PANELS], colours_of(done)
    figure, axes = new_figure(1, len(shown), 3.4, sharey=True)
    for axis, (name, cells) in zip(axes, shown, strict=True):
        _panel(axis, cells, dimension, measure, {arm: colours[arm] for arm in arms})
        axis.set_title(short_name(name, 40))
    axes[0].set_ylabel(fmt.headed(measure.title, fmt.UNITS[measure.unit].axis))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    what = "rows selected" if dimension in BUDGETS else dimension
    title = f"{measure.title[0].upper()}{measure.title[1:]} by {what}"
    caption = "Points are means, bands 95% intervals of each arm by itself; the grey arm is the baseline."
    if len(groups) > PANELS:
        caption += f" The first {PANELS} of {len(groups)} panels are drawn; the tables have the rest."
    name = f"{measure.name}_by_{dimension.replace('.', '_')}"
    return Plot(name, "curves", title, caption, figure)


def _panel(
    axis: Axes, cells: Sequence[DoneCell], dimension: str, measure: Measure, colours: Mapping[str, str]
) -> None:
    """colours: of each arm; one that has no value in these cells stands in the legend alone."""
    factor = fmt.UNITS[measure.unit].factor
    ordered = sorted(cells, key=lambda cell: cell.place(dimension) or 0.0)
    for arm, colour in colours.items():
        found = [
            (cell.place(dimension), summary.interval(measure.name))
            for cell in ordered
            if (summary := cell.arm(arm))
        ]
        known = [(place, interval) for place, interval in found if place is not None and interval]
        places = [place for place, _ in known]
        axis.plot(
            places,
            [i.mean * factor for _, i in known],
            "o-",
            color=colour,
            ms=4,
            lw=1.5,
            label=short_name(arm, 26),
        )
        lows, highs = ([getattr(i, end) * factor for _, i in known] for end in ("low", "high"))
        axis.fill_between(places, lows, highs, color=colour, alpha=0.12, lw=0)
    all_places = [cell.place(dimension) or 0.0 for cell in ordered]
    if min(all_places) > 0 and max(all_places) / min(all_places) >= WIDE:
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(all_places, [f"{place:g}" for place in all_places])
    axis.set_xlabel("rows" if dimension in BUDGETS else literal(dimension))
    axis.grid(axis="y")
