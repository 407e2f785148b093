"""From finished folders to `Results`: every number a report shows is computed here, from files on disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from eval.pairwise.rules import points, summarise
from eval.results import ArmRun, ArmSummary, Audit, Interval, Results, TagReport
from eval.stats import bootstrap_mean, clustered_difference, clustered_mean, crossed_difference, crossed_mean
from tacos.models.embedder import MINILM
from tacos.pipeline.graph import ArmStages, Experiment
from tacos.pipeline.pool import truth_of
from tacos.pipeline.settings import TINY, ExperimentSettings
from tacos.pipeline.stages import reviews_of
from tacos.stage import ArtifactStore, Stage, git_commit, package_versions
from tacos.store.files import read_jsonl
from tacos.tracking import Usage
from tacos.types import Pool, Truth
from train.sft import read_trained

BINS = (0, 5, 10, 20, 40, 80, 160, 320, 640)
"""Lower edges of the response length histogram, in words."""


class Collector:
    """Reads the artifacts of one experiment."""

    def __init__(self, experiment: Experiment, store: ArtifactStore, used: Usage):
        self.experiment = experiment
        self.settings: ExperimentSettings = experiment.settings
        self.store = store
        self.used = used
        self.load = store.folder(experiment.load)
        self.pool = Pool.read(self.load / "pool.parquet")
        self.truth = truth_of(self.load)
        self.ids = {(a.arm, a.seed): self._selected(a) for a in experiment.arms}

    def _selected(self, arm: ArmStages) -> list[str]:
        if arm.select is None:
            return []
        return [row["id"] for row in read_jsonl(self.store.folder(arm.select) / "selection.jsonl")]

    def results(self) -> Results:
        outcome = self.store.record(self.experiment.load).outcome
        return Results(
            name=self.settings.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            baseline=self.settings.baseline,
            parts=parts_used(self.experiment),
            pool={
                "source": self.settings.pool.source,
                "read": outcome.rows_in,
                "rows": outcome.rows_out,
                "dropped": outcome.metrics["dropped"],
            },
            pool_audit=audit(self.pool.ids, self.pool, self.truth),
            budget=self.settings.budget,
            training_budget=training_budget(self.settings),
            questions=outcome.metrics["questions"],
            runs=[self.run(arm) for arm in self.experiment.arms],
            summary=[self.summary(name) for name in self.settings.arms],
            tags=list(self.tags()),
            total_usage=self.used,
            versions=package_versions(),
            commit=git_commit(),
        )

    def run(self, arm: ArmStages) -> ArmRun:
        folders = {name: self.store.folder(stage) for name, stage in arm.stages().items()}
        answered = self.store.record(arm.answer).outcome.metrics if arm.answer else {}
        matches = self.matches(arm)
        return ArmRun(
            arm=arm.arm,
            method=arm.method,
            seed=arm.seed,
            artifacts={
                name: folder.relative_to(self.store.root).as_posix() for name, folder in folders.items()
            },
            audit=audit(self.ids[arm.arm, arm.seed], self.pool, self.truth),
            selection_usage=self.selection_usage(arm.select),
            failed=failed_rows(arm, self.store),
            trained=read_trained(folders["train"]) if arm.train else None,
            heldout_loss=answered.get("heldout_loss"),
            exact_match=bootstrap_mean(matches) if matches else None,
            pairwise=summarise(reviews_of(folders["judge"]), self.settings.baseline) if arm.judge else None,
        )

    def selection_usage(self, select: Stage | None) -> Usage:
        """What the selection rests on, as first paid; the pool itself costs every arm the same and is left out."""
        return sum((self.store.record(s).usage.as_first_paid() for s in selecting(select)), Usage())

    def matches(self, arm: ArmStages) -> list[float]:
        """1.0 or 0.0 per checkable question, in question order."""
        if arm.answer is None:
            return []
        rows = read_jsonl(self.store.folder(arm.answer) / "matches.jsonl")
        return [float(row["exact_match"]) for row in rows]

    def seeds(self, name: str) -> list[ArmStages]:
        return [arm for arm in self.experiment.arms if arm.arm == name]

    def summary(self, name: str) -> ArmSummary:
        arms, base = self.seeds(name), self.seeds(self.settings.baseline)
        matches, base_matches = [[self.matches(a) for a in group] for group in (arms, base)]
        defects, base_defects = self.defects(arms), self.defects(base)
        # Zero-shot answers are one artifact for all seeds: one loss, not three equal ones with a sure mean.
        answered = {a.answer.fingerprint: a.answer for a in arms if a.answer}.values()
        losses = [self.store.record(stage).outcome.metrics["heldout_loss"] for stage in answered]
        other = name != self.settings.baseline
        return ArmSummary(
            arm=name,
            method=self.settings.arms[name].method,
            seeds=[arm.seed for arm in arms],
            defect_rate=clustered_mean(defects) if defects else None,
            exact_match=crossed_mean(matches) if matches[0] else None,
            heldout_loss=bootstrap_mean(losses) if losses and None not in losses else None,
            winning_score=self.winning(arms),
            exact_match_gain=crossed_difference(matches, base_matches).interval
            if other and matches[0]
            else None,
            defect_gain=clustered_difference(defects, base_defects)
            if other and defects and base_defects
            else None,
        )

    def defects(self, arms: Sequence[ArmStages]) -> list[dict[str, float]]:
        """Per seed that selects anything, row id -> 1.0 for a defective row; empty where it is not known."""
        if self.truth is None:
            return []
        selections = [self.ids[arm.arm, arm.seed] for arm in arms]
        return [{i: float(self.truth[i].defect is not None) for i in ids} for ids in selections if ids]

    def winning(self, arms: Sequence[ArmStages]) -> Interval | None:
        """Over the questions that were parsed for every seed."""
        reviews = [reviews_of(self.store.folder(arm.judge)) for arm in arms if arm.judge]
        if not reviews:
            return None
        parsed = [i for i in range(len(reviews[0])) if all(r[i].result != "unparsed" for r in reviews)]
        return crossed_mean([points([r[i] for i in parsed]) for r in reviews]) if parsed else None

    def tags(self) -> list[TagReport]:
        """Of the first seed of every arm that tags."""
        found = []
        for arm in self.experiment.arms:
            if arm.select is None or arm.seed != self.settings.seeds[0]:
                continue
            for stage in arm.select.walk():
                if stage.name == "normalize":
                    found.append(tag_report(arm.arm, self.store.folder(stage)))
        return found


def selecting(select: Stage | None) -> list[Stage]:
    """The stages of a selection, without the pool that all arms share."""
    return [stage for stage in select.walk() if stage.name != "load"] if select else []


def failed_rows(arm: ArmStages, store: ArtifactStore) -> dict[str, int]:
    """Stage -> rows without an answer; what training drops is told by `Trained`."""
    counts: Counter[str] = Counter()
    for stage in (*selecting(arm.select), arm.answer, arm.judge):
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


def audit(ids: Sequence[str], pool: Pool, truth: dict[str, Truth] | None) -> Audit:
    """Length, defects and skills of the rows named by `ids`."""
    words = np.array([len(pool.responses[pool.position[i]].split()) for i in ids])
    edges = [*BINS, np.inf]
    counts, _ = np.histogram(words, bins=edges)
    labels = [f"{low}-{high - 1}" for low, high in pairwise(BINS)] + [f"{BINS[-1]}+"]
    known: dict[str, Any] = {}
    if truth is not None and len(ids):
        rows = [truth[i] for i in ids]
        known = {
            "defect_rate": bootstrap_mean([float(r.defect is not None) for r in rows]),
            "defects": dict(Counter(r.defect for r in rows if r.defect).most_common()),
            "skills": dict(Counter(r.skill for r in rows).most_common()),
            "skills_total": len({t.skill for t in truth.values()}),
        }
    return Audit(
        rows=len(ids),
        mean_words=float(words.mean()) if len(words) else 0.0,
        word_histogram=dict(zip(labels, counts.tolist(), strict=True)),
        **known,
    )


ROLES = {
    "tag": ("tagger", "KeyBERT keyphrases (embedded, no LLM)"),
    "compare": ("comparator", "quality model fitted on the pool (embedded, no LLM)"),
}
"""Stage -> the role it plays, and what plays it where no LLM does."""


def parts_used(experiment: Experiment) -> dict[str, str]:
    """Role -> what plays it, said so that nobody takes an embedded part for an LLM."""
    settings = experiment.settings
    model = settings.embedder.model
    parts = {"embedder": f"{model} (embedded)" if model == MINILM else model}
    for arm in experiment.arms:
        for stage in arm.select.walk() if arm.select else ():
            role, embedded = ROLES.get(stage.name, (stage.name, ""))
            llm = stage.settings.get("llm")
            if llm or embedded:
                parts[f"{role} ({arm.arm})"] = f"LLM {llm['model']}" if llm else embedded
    if settings.train is not None:
        tiny = settings.base.model == TINY
        parts["base model"] = "tiny LLaMA pretrained on the spot (embedded)" if tiny else settings.base.model
        judge = settings.eval.judge
        by_llm = judge.by == "llm"
        parts["judge"] = (
            f"LLM {settings.llms[judge.llm].model}" if by_llm else "reference judge (embedded, no LLM)"
        )
    if settings.pool.source == "builtin":
        parts["pool"] = "generated on the spot, with known defects (embedded)"
    return parts


def training_budget(settings: ExperimentSettings) -> str:
    """In words."""
    t = settings.train
    if t is None:
        return "no training"
    if t.budget == "loss_tokens":
        return f"{t.steps:,} steps of {t.loss_tokens_per_step:,} loss tokens per arm, whatever its size"
    return f"{t.epochs:g} epochs over each arm's samples, {t.batch_size} samples per step"
