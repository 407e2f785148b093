"""Running an experiment: the work behind `tacos run`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.benchmarks import benchmarks
from eval.results import Failure, Results
from eval.samples import SAMPLES, write_samples
from tacos.allocation.base import check_budget
from tacos.artifacts import ArtifactStore
from tacos.assets import Assets
from tacos.errors import BudgetError, ConfigError, TacosError, first_line
from tacos.models.named import check_embedders
from tacos.pipeline.cluster import work_on_ray
from tacos.pipeline.collect import Collector
from tacos.pipeline.folder import check_run_folder, link_artifacts, write_config
from tacos.pipeline.graph import ArmStages, Experiment
from tacos.pipeline.pool import questions_of
from tacos.pipeline.replay import ReplayStore, replay_tools
from tacos.pipeline.settings import ExperimentSettings
from tacos.pipeline.tools import make_tools, open_store
from tacos.pipeline.tracked import ExperimentRuns
from tacos.stage import Tools
from tacos.usage import Ledger, Usage
from tacos.viewing.run_stages import write_stages

if TYPE_CHECKING:
    from eval.report.experiment import ReportPaths

log = logging.getLogger(__name__)


def run_experiment(
    settings: ExperimentSettings,
    retry_failed: bool = False,
    fail_fast: bool = False,
    assets: Assets | None = None,
    replay: bool = False,
    ray: str | None = None,
    verify: bool = False,
    go_on: bool = False,
) -> tuple[Results, Path]:
    """Run what is not done, then report; returns the results and the run folder.

    retry_failed: ask again for rows that earlier runs got no answer for, or none that can be read.
    fail_fast: stop at the first arm that cannot be finished; else it is named and left out, and the others go on.
    assets: upstream's files, where the experiment has public benchmarks.
    replay: ask nobody and train nothing (`tacos.pipeline.replay`); the run folder is `NAME-replay`.
    verify: read every file of finished stages, to know that it is as it was written.
    go_on: ask again for replies that a damaged cache lost.
    ray: the address of a Ray cluster whose machines do the stages (`tacos.pipeline.cluster`); None does them here.

    Raises: TacosError for what went wrong, with finished stages kept; also where that is the baseline.
    """
    from eval.report.track import track  # matplotlib, which a selection does without

    started, ledger = time.perf_counter(), Ledger()
    experiment = Experiment(settings, assets)
    arms = experiment.arms  # every setting of every arm is checked here, before the first stage works
    refuse_many_processes()
    root = Path(settings.artifacts)
    folder = Path(settings.runs) / (f"{settings.name}-replay" if replay else settings.name)
    check_run_folder(folder, root)
    store = ReplayStore(root, settings.name) if replay else open_store(settings, retry_failed, verify)
    tools = replay_tools(settings, ledger) if replay else make_tools(settings, ledger, retry_failed, go_on)
    store.run(experiment.load, tools)
    check_before_paying(experiment, store)
    if ray is None:  # else the models are looked for where the stages are worked on
        check_embedders(settings.model_dump(), (s for s in experiment.walk() if not store.is_done(s)))
    # From here on the folder is this run's: what is refused before leaves a finished run as it is.
    write_config(folder, settings)
    write_stages(folder, root, ((arm.arm, arm.seed, arm.stages()) for arm in arms))
    with ExperimentRuns(experiment, store, ledger, folder) as runs:
        needed = None if fail_fast or replay else {settings.baseline}
        failures = [] if ray is None else work_on_ray(experiment, store, tools, needed, ray)
        lost = {failure.arm for failure in failures}
        left = [arm for arm in arms if arm.arm not in lost]
        left.sort(key=lambda arm: (settings.seeds.index(arm.seed), arm.arm != settings.baseline))
        failures += work(left, tools, runs, needed)
        if isinstance(store, ReplayStore):
            store.tell(experiment.walk())
        used = ledger.total + Usage(seconds=time.perf_counter() - started)
        collector = Collector(experiment, store, used, failures)
        results = collector.results()
        write_samples(folder / SAMPLES, collector.measured_runs(), collector.questions)
        links = {f"{a.arm}-seed{a.seed}-{n}": s for a in collector.arms for n, s in a.stages().items()}
        link_artifacts(folder, store, links)
        track(runs.whole, results, told(results, folder, settings.page))
    return results, folder


def told(results: Results, folder: Path, samples: int) -> ReportPaths:
    """The report in the run folder, and beside it the page that its numbers lead to. samples: in that page; 0 for
    none."""
    from eval.report.experiment import write_report
    from eval.report.page import PAGE
    from tacos.viewing.bundle import write_bundle
    from tacos.viewing.shelf import Shelf

    written = write_report(results, folder, linked=samples > 0)
    if samples:
        write_bundle(Shelf([folder]), folder / PAGE, samples)
    return written


def work(
    arms: Sequence[ArmStages], tools: Tools, runs: ExperimentRuns, needed: set[str] | None
) -> list[Failure]:
    """All stages of all arms; returns what failed, an arm once.

    needed: arms without which there is no result; None is all.

    Raises: TacosError for what went wrong in one of these, or does not concern an arm alone.
    """
    failures: list[Failure] = []
    for arm in arms:
        if any(failure.arm == arm.arm for failure in failures):
            continue
        at = ""
        try:
            with runs.arm(arm) as working:
                for name, stage in arm.stages().items():
                    at = name
                    if not runs.store.is_done(stage):
                        log.info("%s, seed %d: %s", arm.arm, arm.seed, name)
                    working.work(stage, tools)
        except TacosError as error:
            if needed is None or arm.arm in needed or not concerns_one_arm(error):
                raise
            log.error("%s, seed %d: %s failed: %s; the other arms go on", arm.arm, arm.seed, at, error)
            failures.append(Failure(arm=arm.arm, seed=arm.seed, stage=at, reason=first_line(error)))
    return failures


def concerns_one_arm(error: TacosError) -> bool:
    """Whether the other arms can go on: a budget that the scores of an arm do not fill is that arm's, and what else is
    wrong with the settings is to be mended first."""
    return isinstance(error, BudgetError) or not isinstance(error, ConfigError)


def refuse_many_processes() -> None:
    """Raises: ConfigError under torchrun, where every process would do, and wait for, the same stages."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "`tacos run` is one process, which starts others for training: set train.launch.processes"
        )


def check_before_paying(experiment: Experiment, store: ArtifactStore) -> None:
    """What the settings and the loaded pool already tell: before a call is paid or a step trained.

    Raises: BudgetError for a budget above the pool; ConfigError for a judge that has nothing to judge, or a benchmark
        that reads a stage which no arm has.
    """
    benchmarks(experiment.settings.benchmarks, experiment.settings.baseline)
    settings, loaded = experiment.settings, store.record(experiment.load).outcome
    if any(arm.budgeted for arm in settings.arms.values()):
        largest = max(settings.budget_of(name) for name, arm in settings.arms.items() if arm.budgeted)
        check_budget(largest, loaded.rows_out, "samples in the pool")
    idle = settings.benchmarks.asked and not settings.pool.asks
    if settings.train is None or len(settings.arms) < 2 or idle:
        return
    questions = questions_of(store.folder(experiment.load))
    if not questions:
        raise ConfigError("there is no test question to judge by: set pool.holdout or pool.questions")
    if settings.eval.judge.by == "reference" and not any(q.reference or q.answer for q in questions):
        raise ConfigError(
            f"the reference judge needs references, and none of {len(questions)} test questions has one: "
            "set eval.judge.by=llm, or use pool.holdout"
        )
