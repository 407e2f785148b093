"""The page over the cells of a matrix: for each measure a table of arms by cells, then curves and what follows.

    exact match      alpaca, 500        alpaca, 1000       evol, 500
    tacos            43.2% [38, 48]     45.0% [41, 49]     39.1% [34, 44]
    random           32.6% [28, 37]     ...

Files: `report.html`, and `cells.md` with the reports of the cells; `tables/NAME.md`, `.csv`, `.tex`; `plots/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.arm_tables import TABLES, best_text
from eval.report.cells.cell import DoneCell, arms_of, colours_of, measures_of
from eval.report.cells.curves import curves
from eval.report.cells.recipes import recipe_tables
from eval.report.cells.scope import scope
from eval.report.cells.worth import worth_tables
from eval.report.layout import escape_markdown, write_table
from eval.report.score_page import Section, page
from eval.report.style import save_png
from eval.report.table import NOTHING, Cell, Column, Table, TableRow, mean
from tacos.store.files import write_text


def cell_tables(done: Sequence[DoneCell], brief: bool = False) -> list[Table]:
    """One for each measure, in the order of importance. brief: those that stand in a terminal."""
    return [_table(measure, done) for measure in measures_of(done, brief)]


def write_cells(name: str, done: Sequence[DoneCell], folder: Path) -> Path:
    """The page, and the tables and plots that it shows; returns the page."""
    tables = [*recipe_tables(done), *worth_tables(done), *cell_tables(done)]
    for table in tables:
        write_table(folder / TABLES, table)
    drawn = list(curves(done))
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    for plot in drawn:
        save_png(plot, folder / "plots")
    brief = [*cell_tables(done, brief=True), *recipe_tables(done), *worth_tables(done)]
    section = Section(scope(done), brief, drawn, [], colours_of(done))
    links = [f"* [{escape_markdown(cell.name)}]({cell.run.relative_to(folder)}/report.html)" for cell in done]
    write_text(
        folder / "cells.md", f"{page(name, [section], html=False)}\n## Reports\n\n" + "\n".join(links) + "\n"
    )
    write_text(folder / "report.html", page(name, [section], html=True))
    return folder / "report.html"


def _table(measure: Measure, done: Sequence[DoneCell]) -> Table:
    form, arms = fmt.UNITS[measure.unit], arms_of(done)
    columns = []
    for cell in done:
        found = {arm.arm: arm.interval(measure.name) for arm in cell.results.summary}
        cells = [mean(found.get(arm), form.value, form.inside) for arm in arms]
        columns.append((Column(cell.name), _bold(cells, measure)))
    baselines = {cell.results.baseline for cell in done}
    rows = [
        TableRow((Cell(arm, raw=arm), *(cells[i] for _, cells in columns)), arm, arm in baselines)
        for i, arm in enumerate(arms)
    ]
    rows = [row for row in rows if any(cell != NOTHING for cell in row.cells[1:])]
    heads = (Column("arm", numeric=False), *(column for column, _ in columns))
    lower = " Lower is better." if measure.better == "lower" else ""
    note = f"In brackets: 95% intervals. Bold: the best of a column.{lower}"
    return Table(heads, tuple(rows), measure.name, measure.title, note)


def _bold(cells: Sequence[Cell], measure: Measure) -> list[Cell]:
    best = best_text(cells, measure.better == "lower", measure.neutral)
    return [replace(cell, best=best is not None and cell.text == best) for cell in cells]
