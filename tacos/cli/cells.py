"""What `tacos run` does with a matrix: one experiment after the other, and the tables over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tacos.cli.console import print_json

if TYPE_CHECKING:
    from tacos.pipeline.matrix import MatrixCell


def run_cells(
    data: Mapping[str, Any], found: Sequence[MatrixCell], retry_failed: bool, as_json: bool
) -> None:
    """data: the config with its matrix, kept in the run folder."""
    from rich.console import Console

    from eval.report.cells import Done, cell_tables, write_cells
    from eval.report.console import rich_table
    from tacos.pipeline.folder import check_run_folder, write_config
    from tacos.pipeline.run import run_experiment

    first = found[0].settings
    folder = Path(first.runs)
    check_run_folder(folder, Path(first.artifacts))
    write_config(folder, data)
    done: list[Done] = []
    for number, cell in enumerate(found, start=1):
        typer.echo(f"cell {number} of {len(found)}: {cell.name}", err=True)
        results, run = run_experiment(cell.settings, retry_failed)
        done.append((cell.name, run, results))
    written = write_cells(done, folder)
    if as_json:
        told = [
            {"cell": cell.name, "where": cell.where, "run_dir": str(run), "summary": results.summary}
            for cell, (_, run, results) in zip(found, done, strict=True)
        ]
        print_json({"name": data.get("name"), "run_dir": str(folder), "cells": told})
        return
    for table in cell_tables(done, brief=True):
        rows = [(row.cells, row.marked) for row in table.rows]
        Console().print(rich_table(table.title, table.columns, rows))
    typer.echo(f"reports: {folder}/CELL/report.html\ntables: {written}")
