"""A run at a glance: its arms with state, cost and measures, as the report has them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from eval.interval import Interval
from eval.report.arms import main_table, ordered_arms
from eval.report.style import ARM_COLOURS, BASELINE_COLOUR, REST_COLOUR, arm_colours
from eval.report.table import Table
from eval.report.text import headline
from eval.results import RESULTS, ArmRun, Results, load_results
from tacos.types import Record
from tacos.usage import Usage
from tacos.viewing.progress import NOTHING, RunProgress
from tacos.viewing.run_folder import RunFolder

FINISHED = "finished"


class RunCard(Record):
    """A run in the list of runs, or a cell that has not begun."""

    name: str
    created: str = ""
    """When its results were written; "" of a selection alone."""
    arms: list[str] = Field(default_factory=list)
    measures: list[str] = Field(default_factory=list)
    """Titles."""
    verdict: str = ""
    """The headline in one line; "" without results."""
    experiment: str = ""
    """Whose matrix it is a cell of; "" where it stands alone."""
    cell: str = ""
    """As the matrix names it."""
    progress: RunProgress = NOTHING


class SeedRun(Record):
    """What one seed of an arm paid for its selection, as first paid."""

    seed: int
    rows: int
    usage: Usage


class ArmCard(Record):
    """An arm of the run."""

    arm: str
    colour: str
    """As in the report: #rrggbb."""
    baseline: bool = False
    selects: bool
    """Whether there is a selection to look at."""
    seeds: list[int | None]
    """Of its selections; None of one without a seed."""
    state: str
    """ "finished", or what failed."""
    differs: list[str] = Field(default_factory=list)
    """In what it is not treated like the others."""
    runs: list[SeedRun] = Field(default_factory=list)
    measures: dict[str, Interval | None] = Field(default_factory=dict)


class SeededArm(Record):
    """One selection."""

    arm: str
    seed: int | None


class RunContents(Record):
    """What of a run can be looked at."""

    pool: int = 0
    """Rows after cleaning."""
    answered: list[str] = Field(default_factory=list)
    """Arms whose answers there are."""
    sets: list[str] = Field(default_factory=list)
    """The question sets that they answered; "" is the run's own."""
    plots: list[str] = Field(default_factory=list)
    """Names of the report's pictures."""
    mapped: bool = False
    """Whether there are embeddings of the pool's rows, so that it can be shown as a map."""
    report: bool = False
    """Whether there is a report."""


class RunOverview(RunContents):
    """A run, its arms best first."""

    name: str
    created: str
    verdict: str
    """The headline in one line; "" of a selection alone."""
    tone: str
    """better, worse or unclear: what the verdict says of the arm in focus."""
    paragraph: str
    baseline: str
    arms: list[ArmCard]
    table: dict[str, Any] | None
    """Of the report: columns, rows of cells as written; None of a selection alone."""
    questions: int
    """That models answered; 0 where none did."""
    selections: list[SeededArm]
    """In the order that `SampleRow.taken` counts in."""
    progress: RunProgress


def results_of(run: RunFolder) -> Results | None:
    """None for a selection alone. Raises: TacosError where the results cannot be read."""
    path = run.path / RESULTS
    return load_results(path) if path.is_file() else None


def card(
    name: str, run: RunFolder, results: Results | None, progress: RunProgress, experiment: str, cell: str
) -> RunCard:
    found = RunCard(name=name, arms=run.planned, experiment=experiment, cell=cell, progress=progress)
    if results is None:
        return found
    told = {
        "created": results.created,
        "arms": [arm.arm for arm in results.summary],
        "measures": [measure.title for measure in results.measures],
        "verdict": headline(results).verdict,
    }
    return found.model_copy(update=told)


def overview(
    name: str, run: RunFolder, results: Results | None, progress: RunProgress, shown: RunContents
) -> RunOverview:
    said = headline(results) if results else None
    return RunOverview(
        name=name,
        created=results.created if results else "",
        verdict=said.verdict if said else "",
        tone=said.tone if said else "unclear",
        paragraph=said.paragraph if said else "",
        baseline=results.baseline if results else "",
        arms=_finished(run, results) + _others(run, results) if results else _selected(run),
        table=_written(main_table(results)) if results else None,
        questions=results.questions if results else 0,
        selections=[SeededArm(arm=one.arm, seed=one.seed) for one in run.arms],
        progress=progress,
        **dict(shown),
    )


def _finished(run: RunFolder, results: Results) -> list[ArmCard]:
    colours = arm_colours(results)
    return [
        ArmCard(
            arm=arm.summary.arm,
            colour=colours[arm.summary.arm],
            baseline=arm.summary.arm == results.baseline,
            selects=bool(seeds := _seeds(run, arm.summary.arm)),
            seeds=seeds or list(arm.summary.seeds),
            state=FINISHED,
            differs=arm.summary.differs,
            runs=[_seed_run(one) for one in arm.runs],
            measures={m.name: arm.summary.interval(m.name) for m in results.measures},
        )
        for arm in ordered_arms(results)
    ]


def _others(run: RunFolder, results: Results) -> list[ArmCard]:
    """Arms that stand in no table: those that failed, and those that came into the config after the results."""
    known = {summary.arm for summary in results.summary}
    failed = {f.arm: f"{f.stage} failed (seed {f.seed}): {f.reason}" for f in results.failures}
    names = [name for name in dict.fromkeys([*failed, *run.planned]) if name not in known]
    return [_bare(run, name, REST_COLOUR, failed.get(name, "selected; not in the results")) for name in names]


def _selected(run: RunFolder) -> list[ArmCard]:
    """Of a run without results: of `tacos select`, or one that has not come to its end."""
    names = run.planned
    colours = ARM_COLOURS if len(names) > 1 else [BASELINE_COLOUR]
    return [_bare(run, n, colours[i % len(colours)], "selected") for i, n in enumerate(names)]


def _bare(run: RunFolder, arm: str, colour: str, state: str) -> ArmCard:
    """state: of an arm that has selected."""
    seeds = _seeds(run, arm)
    return ArmCard(
        arm=arm,
        colour=colour,
        selects=bool(seeds),
        seeds=seeds,
        state="nothing selected" if state.startswith("selected") and not seeds else state,
    )


def _seeds(run: RunFolder, name: str) -> list[int | None]:
    return [arm.seed for arm in run.arms if arm.arm == name]


def _seed_run(run: ArmRun) -> SeedRun:
    return SeedRun(seed=run.seed, rows=run.audit.rows, usage=run.selection_usage)


def _written(table: Table) -> dict[str, Any]:
    """Columns and cells as they are read."""
    rows = [
        {"arm": row.arm, "cells": [{"text": c.text, "sub": c.sub, "tone": c.tone} for c in row.cells]}
        for row in table.rows
    ]
    return {"columns": [asdict(column) for column in table.columns], "rows": rows, "note": table.note}
