"""The rows that arms share, as a heat map and as a table."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from eval.report import format as fmt
from eval.report.arms import ordered_arms
from eval.report.style import SURFACE, Plot, abridge, literal, name_rows, new_figure
from eval.report.table import Cell, Column, Table, TableRow
from eval.results import Overlap, Results

SHADES = LinearSegmentedColormap.from_list("overlap", ("#eef1f6", "#7fa6cf", "#12406b"))
"""From nothing in common to the same rows; all three keep their ink on a light and on a dark page."""
DARK = 0.5
"""From here on numbers are white."""
OWN = "#c9ccd3"
ROOM = 112.0
"""Points of type across a row: numbers of 8 points for 14 arms, smaller ones for more."""


def overlap_table(results: Results) -> Table | None:
    """A row per pair of arms: the Jaccard index for each seed and its mean; an arm beside itself is over its seeds."""
    found = results.overlap
    if found is None:
        return None
    numbered = [f"seed {seed}" for seed in found.seeds]
    columns = [Column("arm", numeric=False), Column("other", numeric=False), Column("mean")]
    rows = []
    for i, arm in enumerate(found.arms):
        for j, other in enumerate(found.arms[i:], start=i):
            seeds = [matrix[i][j] for matrix in found.by_seed] if i != j else [None] * len(found.seeds)
            mean = found.across_seeds[i] if i == j else found.mean[i][j]
            cells = (Cell(arm, raw=arm), Cell(other, raw=other), *map(_share, (mean, *seeds)))
            rows.append(TableRow(cells, arm))
    return Table((*columns, *map(Column, numbered)), tuple(rows), "overlap", "Rows that selections share")


def _share(value: float | None) -> Cell:
    return Cell(fmt.score(value), raw=value)


def overlap_plot(results: Results) -> Plot | None:
    """Heat map of the mean Jaccard index, arms by arms; on the diagonal an arm with itself, over its seeds."""
    found = results.overlap
    if found is None:
        return None
    place = {arm: number for number, arm in enumerate(found.arms)}
    order = [place[a.summary.arm] for a in ordered_arms(results) if a.summary.arm in place]
    figure, (axis,) = new_figure(1, 1, 1.1 + 0.36 * len(order))
    for row, i in enumerate(order):
        for column, j in enumerate(order):
            value = found.across_seeds[i] if i == j else found.mean[i][j]
            _square(axis, (row, column), value, i == j, min(8.0, ROOM / len(order)))
    names = [abridge(found.arms[i], 20) for i in order]
    name_rows(axis, names)
    axis.set_xlim(-0.5, len(order) - 0.5)
    axis.set_ylim(len(order) - 0.5, -0.5)
    axis.set_xticks([])
    for column, name in enumerate(names):
        axis.text(column - 0.15, -0.65, literal(name), rotation=35, rotation_mode="anchor")
    axis.spines[["bottom"]].set_visible(False)
    return Plot("overlap", "overlap", "Overlap of the selections", _caption(results, found), figure)


def _square(axis: Axes, place: tuple[int, int], value: float | None, own: bool, size: float) -> None:
    """place: row and column; size: of the number, in points."""
    row, column = place
    face = OWN if value is None else SHADES(value)
    axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fc=face, ec=SURFACE, lw=1.5))
    ink = "#ffffff" if value is not None and value >= DARK else "#1d1f24"
    how: dict[str, Any] = {
        "ha": "center",
        "va": "center",
        "color": ink,
        "weight": "bold" if own else "normal",
    }
    axis.text(column, row, fmt.score(value), fontsize=size, **how)


def _caption(results: Results, found: Overlap) -> str:
    many = len(found.seeds) > 1
    mean = ", mean over seeds" if many else ""
    own = (
        "in bold, an arm with itself across seeds"
        if many
        else "an arm by itself has no number: there is one seed"
    )
    caption = (
        "Jaccard index of the rows that two arms selected: those in both over those in either,"
        f" 1 for the same rows{mean}; {own}."
    )
    pool = results.pool_audit.rows
    if 0 < results.budget < pool:
        share = results.budget / pool
        drawn = f"{results.budget:,} of {pool:,} rows"
        caption += f" Two random draws of {drawn} have about {fmt.score(share / (2 - share))}."
    return caption
