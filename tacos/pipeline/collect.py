"""From finished folders to `Results`: every number a report shows is computed here, from files on disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import product
from pathlib import Path

from eval.benchmarks import benchmarks
from eval.factors import arms_of, effects
from eval.measures import Benchmark, Finished, Measure, Measured, RunValues
from eval.question_sets import with_sets
from eval.results import (
    ArmMeasure,
    ArmRun,
    ArmSummary,
    Effect,
    Failure,
    Results,
    RoundsReport,
    TagReport,
)
from eval.samples import MeasuredRun
from eval.scorer_card import ScorerCard
from eval.summary import arm_measure, by_category, corrected, run_measure
from tacos.artifacts import ArtifactStore
from tacos.pipeline.audit import audit, training_rows
from tacos.pipeline.certainty import certainty_of
from tacos.pipeline.differences import differences
from tacos.pipeline.graph import ArmStages, Experiment
from tacos.pipeline.overlap import overlap_of
from tacos.pipeline.parts import answering, first_rival, left_out, parts_used, training_budget
from tacos.pipeline.pool import questions_of, truth_of
from tacos.pipeline.rounds import rounds_of
from tacos.pipeline.scorer_card import card_of_selection
from tacos.pipeline.settings import ExperimentSettings
from tacos.pipeline.task_stages import tasks_benchmarks
from tacos.stage import Stage, git_commit, package_versions
from tacos.store import tables
from tacos.types import Pool
from tacos.usage import Usage
from train.sft import read_trained


class Collector:
    """Reads the artifacts of one experiment. failures: arms that could not be finished, and are left out; only: one
    arm with one seed, where no other is looked at."""

    def __init__(
        self,
        experiment: Experiment,
        store: ArtifactStore,
        used: Usage,
        failures: Sequence[Failure] = (),
        only: ArmStages | None = None,
    ):
        lost = {failure.arm for failure in failures}
        self.failures, self.names = list(failures), [n for n in experiment.settings.arms if n not in lost]
        self.arms = [only] if only else [arm for arm in experiment.arms if arm.arm not in lost]
        self.experiment = experiment
        self.settings: ExperimentSettings = experiment.settings
        self.store = store
        self.used = used
        self.load = store.folder(experiment.load)
        self.truth = truth_of(self.load)
        self.questions = {question.id: question for question in questions_of(self.load)}
        sets = {question.id: question.set for question in self.questions.values()}
        self.benchmarks = [
            with_sets(benchmark, sets)
            for benchmark in benchmarks(self.settings.benchmarks, self.settings.baseline)
        ]
        self.benchmarks += tasks_benchmarks([arm.stages() for arm in self.arms], store)
        self._cards: dict[str, ScorerCard | None] = {}

    @cached_property
    def pool(self) -> Pool:
        return Pool.read(self.load / tables.POOL)

    def results(self) -> Results:
        outcome = self.store.record(self.experiment.load).outcome
        summaries = [self.summary(name) for name in self.names]
        used = {name for found in summaries for name in found.measures}
        measures = [m for b in self.benchmarks for m in b.measures if m.name in used]
        summaries = corrected(summaries, measures, self.chosen(summaries, measures))
        return Results(
            name=self.settings.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            baseline=self.settings.baseline,
            focus=self.settings.focus,
            failures=self.failures,
            left_out=left_out(self.settings),
            parts=parts_used(self.experiment),
            pool={
                "source": self.settings.pool.source,
                "read": outcome.rows_in,
                "rows": outcome.rows_out,
                "sources": len({source for source in self.pool.table.column("source").to_pylist() if source}),
                "dropped": outcome.metrics["dropped"],
            },
            pool_audit=audit(dict(zip(self.pool.ids, self.pool.responses, strict=True)), self.truth),
            budget=self.settings.budget,
            training_budget=training_budget(self.settings),
            answering=answering(self.settings),
            questions=outcome.metrics["questions"],
            measures=measures,
            runs=[self.run(arm) for arm in self.arms],
            summary=summaries,
            tags=list(self.tags()),
            rounds=list(self.rounds()),
            factors={
                factor: {level: list(arms) for level, arms in levels.items()}
                for factor, levels in self.settings.factors.items()
            },
            effects=self.effects(),
            overlap=overlap_of(self.arms, self.store),
            total_usage=self.used,
            versions=package_versions(),
            commit=git_commit(),
        )

    def chosen(self, summaries: Sequence[ArmSummary], measures: Sequence[Measure]) -> tuple[str, str] | None:
        """The one comparison that is named beforehand: of the arm in focus, by the first measure that compares it."""
        arm = self.settings.focus or first_rival(self.settings)
        own = next((summary.measures for summary in summaries if summary.arm == arm), {})
        compared = (m.name for m in measures if m.name in own and own[m.name].p_value is not None)
        name = next(compared, None)
        return (arm, name) if arm and name else None

    @cached_property
    def readings(self) -> dict[tuple[str, int, str], RunValues]:
        """By arm, seed and benchmark, what every run was examined by."""
        return {
            (arm.arm, arm.seed, benchmark.name): benchmark.values_of(self.finished(arm), self.questions)
            for arm in self.arms
            for benchmark in self.benchmarks
            if benchmark.stage in arm.stages()
        }

    def measured_runs(self) -> Iterator[MeasuredRun]:
        """Every value per question or row, for `samples.parquet`."""
        for arm, benchmark in product(self.arms, self.benchmarks):
            reading = self.readings.get((arm.arm, arm.seed, benchmark.name))
            base = arm.arm == self.settings.baseline
            for measure in benchmark.measures if reading else ():
                values = reading.values.get(measure.name) if reading else None
                if isinstance(values, Mapping):
                    told = reading.categories if reading else {}
                    yield MeasuredRun(arm.arm, arm.method, base, arm.seed, measure, values, told)

    def finished(self, arm: ArmStages) -> Finished:
        stages = arm.stages()
        return Finished(
            folders={name: self.store.folder(stage) for name, stage in stages.items()},
            metrics={name: self.store.record(stage).outcome.metrics for name, stage in stages.items()},
            truth=self.truth,
        )

    def run(self, arm: ArmStages) -> ArmRun:
        folders = self.finished(arm).folders
        rows = training_rows(self.store.folder(arm.data)) if arm.data else {}
        examined = {
            measure.name: run_measure(measure, reading)
            for benchmark in self.benchmarks
            if (reading := self.readings.get((arm.arm, arm.seed, benchmark.name)))
            for measure in benchmark.measures
        }
        return ArmRun(
            arm=arm.arm,
            method=arm.method,
            seed=arm.seed,
            artifacts={
                name: folder.relative_to(self.store.root).as_posix() for name, folder in folders.items()
            },
            audit=audit(rows, self.truth),
            selection_usage=self.selection_usage(arm.data),
            failed=failed_rows(arm, self.store),
            **certainty_of(arm.select, self.store),
            trained=read_trained(folders["train"]) if arm.train else None,
            scorer=self.scorer(arm),
            measures={name: found for name, found in examined.items() if found},
        )

    def scorer(self, arm: ArmStages) -> ScorerCard | None:
        """Read once for all arms that select by the same scores."""
        scored = arm.select.inputs.get("scores") if arm.select else None
        key = scored.fingerprint if scored else ""
        if key not in self._cards:
            chosen, llms = self.settings.arms[arm.arm].score, self.settings.llms
            self._cards[key] = card_of_selection(chosen, llms, arm.select, self.store)
        return self._cards[key]

    def selection_usage(self, data: Stage | None) -> Usage:
        """What the training set rests on, as first paid; the pool costs every arm the same and is left out."""
        return sum((self.store.record(s).usage.as_first_paid() for s in selecting(data)), Usage())

    def seeds(self, name: str) -> list[ArmStages]:
        return [arm for arm in self.arms if arm.arm == name]

    def summary(self, name: str) -> ArmSummary:
        arms, base = self.seeds(name), self.seeds(self.settings.baseline)
        examined = {
            measure.name: self.examined(
                arms, None if name == self.settings.baseline else base, benchmark, measure
            )
            for benchmark in self.benchmarks
            for measure in benchmark.measures
        }
        return ArmSummary(
            arm=name,
            method=self.settings.arms[name].method,
            seeds=[arm.seed for arm in arms],
            differs=differences(self.settings, name),
            measures={name: found for name, found in examined.items() if found},
        )

    def examined(
        self,
        arms: Sequence[ArmStages],
        base: Sequence[ArmStages] | None,
        benchmark: Benchmark,
        measure: Measure,
    ) -> ArmMeasure | None:
        """Over the seeds of an arm. base: the baseline arm's seeds; None for that arm itself."""
        own = self.measured(arms, benchmark, measure)
        other = self.measured(base, benchmark, measure) if base is not None else None
        readings = [self.readings.get((arm.arm, arm.seed, benchmark.name)) for arm in arms]
        categories = next((dict(reading.categories) for reading in readings if reading), {})
        found = arm_measure(measure, own, other)
        return found and found.model_copy(update={"categories": by_category(own, categories)})

    def measured(
        self, arms: Sequence[ArmStages], benchmark: Benchmark, measure: Measure
    ) -> list[Measured | None]:
        """Per seed. Zero-shot answers are one artifact for all seeds, so a measure over runs has one entry of them:
        three equal ones would make a sure mean."""
        found: dict[str, Measured | None] = {}
        for arm in arms:
            stage = arm.stages().get(benchmark.stage)
            reading = self.readings.get((arm.arm, arm.seed, benchmark.name))
            key = stage.fingerprint if stage and measure.items == "runs" else str(arm.seed)
            found[key] = reading.values.get(measure.name) if reading else None
        return list(found.values())

    def effects(self) -> list[Effect]:
        """What the factors of the design bring, by every measure of which an arm of it has values."""
        found: list[Effect] = []
        arms = arms_of(self.settings.factors)
        for benchmark, measure in ((b, m) for b in self.benchmarks for m in b.measures if not m.of_set):
            values = {arm: self.measured(self.seeds(arm), benchmark, measure) for arm in arms}
            if measure.items != "rows" and any(v is not None for own in values.values() for v in own):
                found += effects(self.settings.factors, measure, values)
        return found

    def tags(self) -> list[TagReport]:
        """Of the first seed of every arm that tags."""
        found = []
        for arm in self.first_seed():
            for stage in arm.select.walk() if arm.select else ():
                if stage.name == "normalize":
                    found.append(tag_report(arm.arm, self.store.folder(stage)))
        return found

    def rounds(self) -> Iterator[RoundsReport]:
        """Of the first seed of every arm that selects in rounds."""
        for arm in self.first_seed():
            if arm.select and (report := rounds_of(arm.select, self.store, arm.arm)):
                yield report

    def first_seed(self) -> list[ArmStages]:
        return [arm for arm in self.arms if arm.seed == self.settings.seeds[0]]


def selecting(data: Stage | None) -> list[Stage]:
    """The stages behind a training set, without the pool that all arms share."""
    return [stage for stage in data.walk() if stage.name != "load"] if data else []


def failed_rows(arm: ArmStages, store: ArtifactStore) -> dict[str, int]:
    """Stage -> rows without an answer; what training drops is told by `Trained`."""
    counts: Counter[str] = Counter()
    for stage in (*selecting(arm.data), arm.answer, *arm.benchmarks.values(), arm.judge):
        if stage is not None:
            counts[stage.name] += store.record(stage).outcome.rows_failed
    return {name: n for name, n in counts.items() if n}


def tag_report(arm: str, folder: Path) -> TagReport:
    data = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    return TagReport(
        arm=arm,
        counts=data["distinct_tags"],
        samples=data["tagged_samples"],
        top_before=data["top_before"],
        top_after=data["top_after"],
    )
