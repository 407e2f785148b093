"""What a run would do and cost: the work behind `tacos plan`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from tacos.artifacts import ArtifactStore
from tacos.assets import Assets
from tacos.data.builtin.build import build
from tacos.data.read import read_pool
from tacos.llm.estimate import batch_cost
from tacos.models.speed import Expected, expected
from tacos.pipeline.caps import Bills, CapCheck, OnBill
from tacos.pipeline.graph import Experiment, selection_stage
from tacos.pipeline.matrix import MatrixCell
from tacos.pipeline.pool import BUILTIN
from tacos.pipeline.settings import ExperimentSettings, SelectSettings
from tacos.pipeline.tools import open_store
from tacos.stage import Stage
from tacos.store import tables
from tacos.types import Pool, Record
from tacos.usage import Usage


class PlannedStage(Record):
    """One stage of a plan; usage is an estimate, and zero for a cached stage. Its `cached_calls` are those that an
    earlier run, or a batch file, has paid for."""

    stage: str
    fingerprint: str
    cached: bool
    estimate: Usage
    arms: tuple[str, ...] = ()
    """Arms with their seeds that rest on it, as "tacos/seed0"; empty in a selection."""
    passes: Expected | None = None
    """What a model of this machine will read, with hours where its speed is known; None where none does, or all is
    done. `estimate` holds the tokens and the FLOPs that are known, too."""
    batch_usd: float | None = None
    """What the calls cost as batch files (`tacos llm export`); None where that is not known."""
    on_bill: OnBill | None = None
    """What is on the bill that its calls go on; None where its LLM has no cap, or it asks none."""
    stopped: str | None = None
    """Why the cap of its LLM would stop a run here; None where nothing is known to."""
    where: str | None = None
    """Under `--executor ray`, "" for a cached stage (`tacos.pipeline.place`); None where that was not asked."""


def plan(
    settings: ExperimentSettings | SelectSettings,
    assets: Assets | None = None,
    known: Mapping[str, PlannedStage] | None = None,
    timed: bool = True,
    bills: Bills | None = None,
) -> list[PlannedStage]:
    """Every stage a run would take, which are done, and what the rest would cost; no work is done.

    LLM stages are estimated from the pool, which is read for it if it was not loaded before, and from what earlier
    replies used; stages of local models from the pool's bytes and a short measurement (`tacos.models.speed`).

    known: fingerprint -> a stage that is planned already, as of another cell, and is not estimated again.
    timed: whether models of this machine are loaded for that measurement; without it they have tokens alone.
    bills: those of these settings, where other cells are planned with them.
    """
    stages = stages_of(settings, assets)
    store = open_store(settings)
    load = next(iter(stages))
    pool = cache(lambda: _peek(settings, store, load))  # read once, and only if a stage has a price
    planned, bills = known or {}, bills or Bills(settings)
    return [
        planned[stage.fingerprint].model_copy(update={"arms": arms})
        if stage.fingerprint in planned
        else planned_stage(stage, arms, store, pool, bills, timed)
        for stage, arms in stages.items()
    ]


def plan_cells(
    cells: Sequence[MatrixCell], assets: Assets | None = None, timed: bool = True
) -> list[PlannedStage]:
    """The stages of all cells, each once; arms are named with their cell where there are several."""
    found: dict[str, PlannedStage] = {}
    bills: Bills | None = None
    for cell in cells:
        bills = Bills(cell.settings, bills)
        for stage in plan(cell.settings, assets, found, timed, bills):
            arms = tuple(f"{cell.name}: {arm}" if cell.where else arm for arm in stage.arms)
            earlier = found[stage.fingerprint].arms if stage.fingerprint in found else ()
            found[stage.fingerprint] = stage.model_copy(update={"arms": earlier + arms})
    return list(found.values())


class GridRow(Record):
    """One arm: stage -> how many of its seeds are done, and how many there are."""

    arm: str
    stages: dict[str, tuple[int, int]]


def grid(settings: ExperimentSettings, assets: Assets | None = None) -> list[GridRow]:
    """What is done of every arm, by the stages that an arm ends in one after the other."""
    store, experiment = open_store(settings), Experiment(settings, assets)
    rows = {name: GridRow(arm=name, stages={}) for name in settings.arms}
    for arm in experiment.arms:
        counts = rows[arm.arm].stages
        for name, stage in arm.stages().items():
            done, total = counts.get(name, (0, 0))
            counts[name] = (done + store.is_done(stage), total + 1)
    return list(rows.values())


def stages_of(
    settings: ExperimentSettings | SelectSettings, assets: Assets | None = None
) -> dict[Stage, tuple[str, ...]]:
    """Every stage of a run once, inputs before what rests on them -> the arms that rest on it (`PlannedStage.arms`).

    assets: upstream's files, where the experiment has public benchmarks.
    """
    if isinstance(settings, SelectSettings):
        return dict.fromkeys(selection_stage(settings).walk(), ())
    experiment = Experiment(settings, assets)
    users = experiment.users()
    return {stage: tuple(users[stage.fingerprint]) for stage in experiment.walk()}


def planned_stage(
    stage: Stage,
    arms: tuple[str, ...],
    store: ArtifactStore,
    pool: Callable[[], Pool],
    bills: Bills,
    timed: bool = True,
) -> PlannedStage:
    """One stage with its estimate. pool: of the rows that it will read, asked for only if it has a price; timed: as of
    `plan`."""
    cached, found, batch_usd = store.is_done(stage), CapCheck(usage=Usage()), None
    if not cached and stage.estimate is not None:
        asked = stage.estimate(pool(), _done_inputs(stage, store))
        found = bills.check(asked)
        batch_usd = batch_cost(found.usage, asked.settings)
    usage = found.usage
    passes = None if cached else _passes(stage, store, pool, timed)
    if passes is not None:
        usage += Usage(
            forward_tokens=passes.forward_tokens,
            backward_tokens=passes.backward_tokens,
            flops=passes.flops or 0.0,
        )
    return PlannedStage(
        stage=stage.name,
        fingerprint=stage.fingerprint,
        cached=cached,
        estimate=usage,
        arms=arms,
        passes=passes,
        batch_usd=batch_usd,
        on_bill=found.on_bill,
        stopped=found.stopped,
    )


def _passes(stage: Stage, store: ArtifactStore, pool: Callable[[], Pool], timed: bool) -> Expected | None:
    if stage.passes is None:
        return None
    return expected(stage.passes(pool(), _done_inputs(stage, store)), timed)


def _done_inputs(stage: Stage, store: ArtifactStore) -> dict[str, Path]:
    return {name: store.folder(s) for name, s in stage.inputs.items() if store.is_done(s)}


def hours(stages: Iterable[PlannedStage]) -> float:
    """Of the passes whose hours are known."""
    return sum(s.passes.hours or 0.0 for s in stages if s.passes)


def without_hours(stages: Iterable[PlannedStage]) -> list[str]:
    """Names of the stages whose passes have none."""
    return [s.stage for s in stages if s.passes and s.passes.hours is None]


def _peek(settings: ExperimentSettings | SelectSettings, store: ArtifactStore, load: Stage) -> Pool:
    """The pool for an estimate, without writing an artifact."""
    if store.is_done(load):
        return Pool.read(store.folder(load) / tables.POOL)
    if settings.pool.source == BUILTIN:
        return build(settings.pool.builtin.model_copy(update={"corpus_size": 0})).pool
    return read_pool(settings.pool.source, settings.pool.read).pool
