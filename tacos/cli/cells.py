"""What `tacos run` does: one experiment, or those of a matrix one after the other with the tables over all of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from tacos.cli.console import assets, dollars, print_json
from tacos.errors import ConfigError, TacosError

if TYPE_CHECKING:
    from eval.report.cells.cell import DoneCell
    from eval.results import Results
    from tacos.pipeline.matrix import MatrixCell

log = logging.getLogger(__name__)


class How(NamedTuple):
    """The options of `tacos run`. max_cost: USD; ray: the address of a cluster that does the stages."""

    retry_failed: bool
    fail_fast: bool
    max_cost: float | None
    as_json: bool
    replay: bool = False
    ray: str | None = None
    verify: bool = False
    go_on: bool = False


def run_all(data: Mapping[str, Any], found: Sequence[MatrixCell], how: How) -> None:
    """data: the config, whose matrix is kept in the run folder. Exits with 1 where an arm or a cell has no result."""
    from tacos.pipeline.controls import added_line

    if how.max_cost is not None:
        check_cost(found, how.max_cost)
    if line := added_line(data):
        log.info(line)
    whole = run_cells(data, found, how) if found[0].where else run_one(found[0], how)
    if not whole:
        raise typer.Exit(1)


def check_cost(found: Sequence[MatrixCell], most: float) -> None:
    """Raises: TacosError where the calls that are planned cost more, or nobody knows what."""
    from tacos.pipeline.plan import plan_cells
    from tacos.usage import Usage

    planned = sum((stage.estimate for stage in plan_cells(found, assets(), timed=False)), Usage())
    if planned.unpriced_calls:
        raise TacosError(
            f"the price of {planned.unpriced_calls:,} planned calls is not known, so --max-cost cannot be kept: set "
            "price_per_million_input and price_per_million_output of the model in llms"
        )
    if planned.cost_usd > most:
        raise TacosError(
            f"the plan's calls cost about {dollars(planned.cost_usd)}, above --max-cost {dollars(most)}: "
            "`tacos plan` says which"
        )


def run_one(cell: MatrixCell, how: How) -> bool:
    """Whether every arm has a result."""
    from eval.report.console import show
    from eval.report.experiment import console_table
    from eval.report.scorers import card_lines

    results, folder = _run(cell, how)
    if how.as_json:
        said = {"name": results.name, "run_dir": str(folder), "summary": results.summary}
        print_json(said | _failures(results))
    else:
        show(console_table(results))
        typer.echo(_pool_line(results.pool))
        for line in card_lines(results):
            typer.echo(line)
        typer.echo(f"report: {folder / 'report.html'}\nnumbers: {folder / 'results.json'}")
        typer.echo(f"rows and answers: tacos view {folder}")
    return not _told(results)


def _pool_line(pool: Mapping[str, Any]) -> str:
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in pool["dropped"].items())
    return f"pool: {pool['rows']:,} of {pool['read']:,} rows" + (f"; dropped: {dropped}" if dropped else "")


def _run(cell: MatrixCell, how: How) -> tuple[Results, Path]:
    from tacos.pipeline.run import run_experiment

    return run_experiment(
        cell.settings,
        how.retry_failed,
        how.fail_fast,
        assets(),
        how.replay,
        how.ray,
        how.verify,
        how.go_on,
    )


def run_cells(data: Mapping[str, Any], found: Sequence[MatrixCell], how: How) -> bool:
    """Whether every arm of every cell has a result."""
    from eval.report.cells.cell import DoneCell
    from eval.report.cells.page import write_cells
    from tacos.pipeline.folder import check_run_folder, write_config
    from tacos.viewing.run_stages import CellPlace, list_cells

    first = found[0].settings
    folder = Path(first.runs)
    check_run_folder(folder, Path(first.artifacts))
    write_config(folder, data)
    places = [CellPlace(name=cell.name, where=cell.where, folder=cell.settings.name) for cell in found]
    list_cells(folder, places)
    done: list[DoneCell] = []
    lost: list[str] = []
    for number, cell in enumerate(found, start=1):
        log.info("cell %d of %d: %s", number, len(found), cell.name)
        try:
            results, run = _run(cell, how)
            done.append(DoneCell(cell.name, cell.where, run, results))
        except ConfigError:
            raise
        except TacosError as error:
            if how.fail_fast:
                raise
            log.error("cell %s has no result: %s; the other cells go on", cell.name, error)
            lost.append(cell.name)
    if not done:
        raise TacosError(f"no cell of {len(found)} has a result: the log says why")
    write_cells(str(data.get("name")), done, folder)
    _tell(data, folder, found, done, lost, how)
    return not any([*lost, *(_told(cell.results) for cell in done)])


def _tell(
    data: Mapping[str, Any],
    folder: Path,
    found: Sequence[MatrixCell],
    done: Sequence[DoneCell],
    lost: Sequence[str],
    how: How,
) -> None:
    from eval.report.arm_tables import TABLES
    from eval.report.cells.page import cell_tables
    from eval.report.cells.scope import scope
    from eval.report.console import rich_table, show

    if how.as_json:
        told = [
            {"cell": c.name, "where": c.where, "run_dir": str(c.run), "summary": c.results.summary}
            | _failures(c.results)
            for c in done
        ]
        print_json({"name": data.get("name"), "run_dir": str(folder), "cells": told, "missing": list(lost)})
        return
    for table in cell_tables(done, brief=True):
        rows = [(row.cells, row.marked) for row in table.rows]
        show(rich_table(table.title, table.columns, rows))
    typer.echo(scope(done))
    typer.echo(
        f"report: {folder}/report.html, of each cell {folder}/CELL/report.html\ntables: {folder / TABLES}"
    )


def _failures(results: Results) -> dict[str, Any]:
    return {"failures": results.failures} if results.failures else {}


def _told(results: Results) -> bool:
    """Whether an arm has no result, which is said."""
    for failure in results.failures:
        typer.echo(
            f"{failure.arm} has no result: {failure.stage}, seed {failure.seed}: {failure.reason}", err=True
        )
    return bool(results.failures)
