"""Running, planning and selecting: the work behind the commands."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from eval.results import Results
from tacos.allocation.base import check_budget
from tacos.data.builtin.build import build
from tacos.data.read import read_pool
from tacos.errors import ConfigError
from tacos.llm.base import LLM
from tacos.llm.cache import ReplyCache
from tacos.llm.client import build_llm
from tacos.llm.estimate import batch_cost, expected_usage
from tacos.models.embedder import Embedder
from tacos.pipeline.collect import Collector
from tacos.pipeline.folder import check_run_folder, link_artifacts, write_config
from tacos.pipeline.graph import Experiment, selection_stage
from tacos.pipeline.pool import BUILTIN, questions_of
from tacos.pipeline.settings import ExperimentSettings, ModelsSettings, SelectSettings
from tacos.stage import ArtifactStore, Stage, Tools
from tacos.store.files import refuse_input_as_output, write_json, write_text
from tacos.store.fingerprint import plain
from tacos.tracking import Ledger, Tracker, Usage
from tacos.types import Pool, Record

log = logging.getLogger(__name__)


def make_tools(settings: ModelsSettings, ledger: Ledger) -> Tools:
    """Collaborators, each made once and when first asked for; replies are cached beside the artifacts."""
    made: dict[str, Any] = {}
    models = cache(settings.models)  # the price table is read when a model is first asked for

    def embedder() -> Embedder:
        if "embedder" not in made:
            made["embedder"] = Embedder(settings.embedder, progress=sys.stderr.isatty())
        return made["embedder"]

    def llm(name: str) -> LLM:
        if name not in made:
            made[name] = build_llm(models()[name], ledger, settings.replies, settings.embedder.device)
        return made[name]

    return Tools(ledger=ledger, embedder=embedder, llm=llm, device=settings.embedder.device)


def run_experiment(settings: ExperimentSettings, retry_failed: bool = False) -> tuple[Results, Path]:
    """Run what is not done, then report; returns the results and the run folder.

    retry_failed: ask again for rows that earlier runs got no answer for.

    Raises: TacosError for what went wrong, with finished stages kept.
    """
    from eval.report.experiment import write_report  # matplotlib, which a selection does without
    from eval.report.track import track

    started, ledger = time.perf_counter(), Ledger()
    experiment = Experiment(settings)
    arms = experiment.arms  # every setting of every arm is checked here, before the first stage works
    refuse_many_processes()
    folder = Path(settings.runs) / settings.name
    check_run_folder(folder, Path(settings.artifacts))
    store = ArtifactStore(Path(settings.artifacts), retry_failed)
    write_config(folder, settings)
    tracker = Tracker(
        settings.tracking.project, settings.name, folder, plain(settings), settings.tracking.mode
    )
    try:
        tools = make_tools(settings, ledger)
        store.run(experiment.load, tools)
        check_before_paying(experiment, store)
        for arm in arms:
            for stage in arm.stages().values():
                store.run(stage, tools)
                done = store.record(stage)
                tracker.log({f"{stage.name}/{arm.arm}/seed{arm.seed}/seconds": done.usage.seconds})
        used = ledger.total + Usage(seconds=time.perf_counter() - started)
        results = Collector(experiment, store, used).results()
        link_artifacts(
            folder, store, {f"{a.arm}-seed{a.seed}-{n}": s for a in arms for n, s in a.stages().items()}
        )
        report = write_report(results, folder)
        track(tracker, results, report.plots)
    finally:
        tracker.finish()
    return results, folder


def refuse_many_processes() -> None:
    """Raises: ConfigError under torchrun, where every process would do, and wait for, the same stages."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "`tacos run` is one process, which starts others for training: set train.launch.processes"
        )


def check_before_paying(experiment: Experiment, store: ArtifactStore) -> None:
    """What the loaded pool already tells: before a call is paid or a step trained.

    Raises: BudgetError for a budget above the pool; ConfigError for a judge that has nothing to judge.
    """
    settings, loaded = experiment.settings, store.record(experiment.load).outcome
    if any(arm.budgeted for arm in settings.arms.values()):
        check_budget(settings.budget, loaded.rows_out, "samples in the pool")
    if settings.train is None or len(settings.arms) < 2:
        return
    questions = questions_of(store.folder(experiment.load))
    if not questions:
        raise ConfigError("there is no test question to judge by: set pool.holdout or pool.questions")
    if settings.eval.judge.by == "reference" and not any(q.reference or q.answer for q in questions):
        raise ConfigError(
            f"the reference judge needs references, and none of {len(questions)} test questions has one: "
            "set eval.judge.by=llm, or use pool.holdout"
        )


class PlannedStage(Record):
    """One stage of a plan; usage is an estimate, and zero for a cached stage. Its `cached_calls` are those that an
    earlier run, or a batch file, has paid for."""

    stage: str
    fingerprint: str
    cached: bool
    estimate: Usage
    batch_usd: float | None = None
    """What the calls cost as batch files (`tacos llm export`); None where that is not known."""


def plan(settings: ExperimentSettings | SelectSettings) -> list[PlannedStage]:
    """Every stage a run would take, which are done, and what the rest would cost; no work is done.

    LLM stages are estimated from the pool, which is read for it if it was not loaded before, and from what earlier
    replies used.
    """
    stages = stages_of(settings)
    store = ArtifactStore(Path(settings.artifacts))
    pool = cache(lambda: _peek(settings, store, stages[0]))  # read once, and only if a stage has a price
    replies = ReplyCache(settings.replies) if settings.replies.is_file() else None
    return [_planned(stage, store, pool, replies) for stage in stages]


def stages_of(settings: ExperimentSettings | SelectSettings) -> list[Stage]:
    """Every stage of a run once, inputs before what rests on them."""
    if isinstance(settings, SelectSettings):
        return list(selection_stage(settings).walk())
    return Experiment(settings).walk()


def _planned(
    stage: Stage, store: ArtifactStore, pool: Callable[[], Pool], replies: ReplyCache | None
) -> PlannedStage:
    cached, usage, batch_usd = store.is_done(stage), Usage(), None
    if not cached and stage.estimate is not None:
        done = {name: store.folder(s) for name, s in stage.inputs.items() if store.is_done(s)}
        asked = stage.estimate(pool(), done)
        usage = expected_usage(asked, replies)
        batch_usd = batch_cost(usage, asked.settings)
    return PlannedStage(
        stage=stage.name, fingerprint=stage.fingerprint, cached=cached, estimate=usage, batch_usd=batch_usd
    )


def _peek(settings: ExperimentSettings | SelectSettings, store: ArtifactStore, load: Stage) -> Pool:
    """The pool for an estimate, without writing an artifact."""
    if store.is_done(load):
        return Pool.read(store.folder(load) / "pool.parquet")
    if settings.pool.source == BUILTIN:
        return build(settings.pool.builtin).pool
    return read_pool(settings.pool.source, settings.pool.read).pool


def link_name(stage: Stage) -> str:
    """The stage's name; embeddings say of which text."""
    return f"embed-{stage.settings.get('text', 'given')}" if stage.name == "embed" else stage.name


class SelectReport(Record):
    """What `tacos select` answers; the keys of its `--json`."""

    pool: int
    selected: int
    dropped: int
    method: str
    budget: int
    seconds: float
    out: str
    run_dir: str


def select(settings: SelectSettings, out: Path, retry_failed: bool = False) -> SelectReport:
    """Select, and copy the selection to `out`.

    retry_failed: ask again for rows that earlier runs got no answer for.

    Raises: TacosError when `out` cannot be written; what was worked out stays in the artifacts.
    """
    started, store = time.perf_counter(), ArtifactStore(Path(settings.artifacts), retry_failed)
    if out.is_dir():
        raise ConfigError(f"{out} is a folder: --out takes the name of a file")
    refuse_input_as_output(out, [settings.pool.source, settings.pool.questions, settings.prices])
    stage, tools = selection_stage(settings), make_tools(settings, Ledger())
    run = Path(settings.runs) / f"select-{settings.method}-{stage.fingerprint[:8]}"
    check_run_folder(run, Path(settings.artifacts))
    loading = next(iter(stage.walk()))
    store.run(loading, tools)
    if settings.budgeted:
        check_budget(settings.budget, store.record(loading).outcome.rows_out, "samples in the pool")
    folder = store.run(stage, tools)
    write_text(out, (folder / "selection.jsonl").read_text(encoding="utf-8"))
    write_config(run, settings)
    link_artifacts(run, store, {link_name(s): s for s in stage.walk()})
    load, done = store.record(loading).outcome, store.record(stage).outcome
    report = SelectReport(
        pool=load.rows_in,
        selected=done.rows_out,
        dropped=load.rows_failed,
        method=settings.method,
        budget=settings.budget,
        seconds=round(time.perf_counter() - started, 2),
        out=str(out),
        run_dir=str(run),
    )
    write_json(run / "select.json", report)
    return report
