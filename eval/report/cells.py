"""Tables over the cells of a matrix: for each measure, arms by cells.

    exact match      alpaca, 500        alpaca, 1000       evol, 500
    tacos            43.2% [38, 48]     45.0% [41, 49]     39.1% [34, 44]
    random           32.6% [28, 37]     ...

Files: `tables/MEASURE.md`, `.csv`, `.tex`, and `cells.md` beside them, which leads to the report of each cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.arm_tables import TABLES, best_text
from eval.report.layout import to_markdown, write_table
from eval.report.table import NOTHING, Cell, Column, Table, TableRow, mean
from eval.results import Results
from tacos.store.files import write_text

Done = tuple[str, Path, Results]
"""A cell's name, its run folder, its results."""


def cell_tables(done: Sequence[Done], brief: bool = False) -> list[Table]:
    """One for each measure, in the order of importance. brief: those that stand in a terminal."""
    measures: dict[str, Measure] = {}
    for _, _, results in done:
        for measure in results.measures:
            if not measure.of_set and (measure.brief or not brief):
                measures.setdefault(measure.name, measure)
    return [_table(measure, done) for measure in measures.values()]


def write_cells(done: Sequence[Done], folder: Path) -> Path:
    """The tables, and a page that leads to every cell's report; returns the folder of the tables."""
    tables = cell_tables(done)
    for table in tables:
        write_table(folder / TABLES, table)
    links = [f"* [{name}]({run.relative_to(folder)}/report.html)" for name, run, _ in done]
    text = "\n\n".join(f"## {table.title}\n\n{to_markdown(table)}\n{table.note}" for table in tables)
    write_text(folder / "cells.md", f"{text}\n\n## Reports\n\n" + "\n".join(links) + "\n")
    return folder / TABLES


def _table(measure: Measure, done: Sequence[Done]) -> Table:
    form = fmt.UNITS[measure.unit]
    arms = dict.fromkeys(arm.arm for _, _, results in done for arm in results.summary)
    columns = []
    for name, _, results in done:
        found = {arm.arm: arm.interval(measure.name) for arm in results.summary}
        cells = [mean(found.get(arm), form.value, form.inside) for arm in arms]
        columns.append((Column(name), _bold(cells, measure)))
    baselines = {results.baseline for _, _, results in done}
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
