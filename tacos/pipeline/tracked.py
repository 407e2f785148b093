"""The Weights & Biases runs of an experiment: one for each arm and seed, and one for the whole, in one group.

    group quickstart:  quickstart (experiment)   tacos/seed0 (arm)   random/seed0 (arm)   ...

Ids are fingerprints of what is run, so that a run that was stopped goes on as the same one. All arms have the same
names for their figures; which arm it is stands in the config and the tags.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval.report.track import run_figures
from tacos.artifacts import ArtifactStore
from tacos.pipeline.collect import Collector
from tacos.pipeline.graph import ArmStages, Experiment
from tacos.pipeline.settings import ExperimentSettings, ModelsSettings
from tacos.pipeline.stage_run import StageRun
from tacos.pipeline.text_tables import answer_rows, judgment_tables, selection_rows
from tacos.stage import Stage, made_with
from tacos.store.fingerprint import fingerprint, plain
from tacos.tracking.tracker import TrackedRun, Tracker
from tacos.usage import Ledger, Usage
from train.curve import figures


def pool_name(settings: ModelsSettings) -> str:
    """For tags: the file's or the data set's name."""
    source = str(getattr(getattr(settings, "pool", None), "source", ""))
    return Path(source).name if source.startswith(("/", ".")) else source


class ExperimentRuns:
    """Opens the runs; `whole` is that of the experiment, and ends with the context."""

    def __init__(self, experiment: Experiment, store: ArtifactStore, ledger: Ledger, folder: Path):
        self.experiment, self.store, self.ledger, self.folder = experiment, store, ledger, folder
        self.settings: ExperimentSettings = experiment.settings
        self.group = self.settings.tracking.group or self.settings.name
        self.cell = "" if self.group == self.settings.name else f"{self.settings.name}/"
        """Before the names of arms, where a group holds several experiments, such as the cells of a matrix."""
        self.total, self.done, self._began = len(experiment.arms), 0, time.monotonic()
        prints = [arm_prints(arm) for arm in experiment.arms]
        shown = TrackedRun(
            id=f"experiment-{fingerprint([folder.name, prints])}",
            name=self.settings.tracking.name or self.settings.name,
            group=self.group,
            job="experiment",
            tags=(f"pool:{pool_name(self.settings)}",),
        )
        self.whole = Tracker(self.settings.tracking, folder, shown, {**plain(self.settings), **made_with()})

    def __enter__(self) -> ExperimentRuns:
        return self

    def __exit__(self, *error: Any) -> None:
        self.whole.__exit__(*error)

    @contextmanager
    def arm(self, arm: ArmStages) -> Iterator[StageRun]:
        """The run of one arm with one seed, to work on its stages; what they came to is told at the end."""
        shown, own = self._shown(arm), own_stages(arm)
        with (
            Tracker(self.settings.tracking, self.folder, shown, self._config(arm)) as tracker,
            StageRun(tracker, self.store, self.ledger, own, arm.train) as working,
        ):
            yield working
            if tracker.run is not None:
                self._tell(tracker, arm, own.values())
        self.done += 1
        self.whole.log(
            {
                "time_s": time.monotonic() - self._began,
                "progress/arms_done": self.done,
                "progress/arms_total": self.total,
            }
        )

    def _shown(self, arm: ArmStages) -> TrackedRun:
        base = Path(self.settings.base_of(arm.arm).model).name
        return TrackedRun(
            id=f"arm-{fingerprint([self.folder.name, arm.arm, arm.seed, arm_prints(arm)])}",
            name=f"{self.cell}{arm.arm}/seed{arm.seed}",
            group=self.group,
            job="arm",
            tags=(f"arm:{arm.arm}", arm.method, f"base:{base}", f"pool:{pool_name(self.settings)}"),
        )

    def _config(self, arm: ArmStages) -> dict[str, Any]:
        """What this arm is, as it was resolved: its own training and base where it has some."""
        settings = self.settings
        return {
            "experiment": settings.name,
            "arm": arm.arm,
            "method": arm.method,
            "seed": arm.seed,
            "baseline": settings.baseline,
            "budget": settings.budget_of(arm.arm),
            "recipe": plain(settings.arms[arm.arm]),
            "train": plain(settings.train_of(arm.arm)),
            "base": plain(settings.base_of(arm.arm)),
            "pool": plain(settings.pool),
            "eval": plain(settings.eval),
            "benchmarks": plain(settings.benchmarks),
            "embedder": plain(settings.embedder),
            "llms": plain(settings.llms),
            "fingerprints": arm_prints(arm),
            **made_with(),
        }

    def _tell(self, tracker: Tracker, arm: ArmStages, own: Iterable[Stage]) -> None:
        collector = Collector(self.experiment, self.store, Usage(), only=arm)
        run = collector.run(arm)
        measures = [measure for benchmark in collector.benchmarks for measure in benchmark.measures]
        tracker.summary(run_figures(measures, run))
        paid = (
            self.store.record(stage).usage for stage in own if stage.name != "load"
        )  # which all arms share
        used = sum((usage.as_first_paid() for usage in paid), Usage())
        tracker.summary({f"usage/{name}": value for name, value in used})
        if run.trained:
            tracker.summary(figures(run.trained))
        if arm.data:
            tracker.table("select/selection", selection_rows(self.store.folder(arm.data)))
        if arm.judge:
            tracker.table("judge/answers", answer_rows(arm.judge, self.store))
        for name, stage in arm.benchmarks.items():
            for table, rows in judgment_tables(self.store.folder(stage)).items():
                tracker.table(f"{name}/{table}", rows)


def arm_prints(arm: ArmStages) -> dict[str, str]:
    """Stage -> its fingerprint."""
    return {name: stage.fingerprint for name, stage in arm.stages().items()}


def own_stages(arm: ArmStages) -> dict[str, Stage]:
    """By fingerprint, what the arm rests on and what it is judged by, without what made the answers that its own are
    compared with."""
    found: dict[str, Stage] = {}
    for name, target in arm.stages().items():
        alone = name == "judge" or (name in arm.benchmarks and not name.startswith("answer"))
        for stage in [target] if alone else target.walk():
            found[stage.fingerprint] = stage
    return found
