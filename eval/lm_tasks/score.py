"""Scores of lm-eval's tasks from stored records, without a model: figures, intervals, and models against one of them.

    value, stderr   as lm-eval computed them; a group's is over all questions of its subtasks, or over subtasks, as the
                    group says
    interval        95% over questions; of a group, over its subtasks with all their questions: MMLU's 57
                    subjects are a sample, too; where a group counts each subtask alike, over their means
    against         paired by question (`doc_hash`), the same way

A metric that has no number per question, such as F1 or BLEU, has no interval and is not compared. Nor has one an
interval whose figure is no mean of its numbers: a perplexity, or ifeval's share of all instructions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isclose
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from pydantic import Field

from eval.interval import Interval
from eval.lm_tasks.records import (
    TaskDetails,
    TaskRecords,
    group_values,
    main_metric,
    question_values,
    read_records,
    subtask_of,
)
from eval.spread import OPEN, Scale
from eval.stats import ArmComparison, compare_models, crossed_mean, mean_interval
from tacos.errors import TacosError
from tacos.types import Record

ALIKE = 1e-6
"""Share by which a figure of lm-eval may differ from the mean that it is, for rounding's sake."""
QuestionsBy = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Task -> metric -> question -> value."""


class MetricScore(Record):
    """One metric of a task."""

    value: float | None
    stderr: float | None
    n: int
    """Questions."""
    higher_is_better: bool = True
    ci: Interval | None = None
    """Around `value`; None without a number per question, and where `value` is no mean of these numbers."""


class TaskScore(Record):
    """One task or group."""

    version: str
    num_fewshot: int | None
    questions: int
    of: int
    subtasks: int
    """0 of a task."""
    within: str = ""
    """The group that was asked for in which it stands; "" of what was asked for itself."""
    main: str
    """The metric that stands for it; "" where it has none, such as a group whose tasks have nothing in common."""
    metrics: dict[str, MetricScore]


class ModelTasks(Record):
    """One model."""

    tasks: dict[str, TaskScore]
    lm_eval: str
    settings: dict[str, Any]


class TaskScores(Record):
    """Every model of some records."""

    report: ClassVar[str] = "eval.lm_tasks.report:TASKS"

    models: dict[str, ModelTasks]
    against: str | None = None
    comparisons: dict[str, dict[str, ArmComparison]] = Field(default_factory=dict)
    """Task -> each other model minus `against`, by the task's main metric; above 0 is better."""
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """`{"models": {NAME: {"tasks": {TASK: {METRIC: {value, stderr, n, ...}}}, "about": {TASK: ...}}}}`."""
        models = {}
        for name, model in self.models.items():
            tasks = {task: score.model_dump()["metrics"] for task, score in model.tasks.items()}
            about = {task: score.model_dump(exclude={"metrics"}) for task, score in model.tasks.items()}
            models[name] = {"tasks": tasks, "about": about, "lm_eval": model.lm_eval}
        rest = self.model_dump(include={"against", "comparisons", "problems"})
        return {"models": models, **rest}


def score_files(files: Sequence[Path], against: str | None = None) -> TaskScores:
    """Scores of stored runs. files: as `read_records`.

    Raises: TacosError for a file that cannot be read, one model with one task twice, or no model `against`.
    """
    return score_records([read_records(path) for path in files], against)


def score_records(records: Sequence[TaskRecords], against: str | None = None) -> TaskScores:
    """As `score_files`, of runs at hand."""
    models: dict[str, ModelTasks] = {}
    values: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    problems: list[str] = []
    for one in records:
        name, known = one.run.model, models.get(one.run.model)
        tasks, by_task = _scores(one)
        if known and (twice := known.tasks.keys() & tasks.keys()):
            raise TacosError(
                f"{name} has {sorted(twice)[0]} twice: give each run a name of its own by --name"
            )
        both = {**(known.tasks if known else {}), **tasks}
        models[name] = ModelTasks(tasks=both, lm_eval=one.run.lm_eval, settings=one.run.settings)
        values.setdefault(name, {}).update(by_task)
        problems += _problems(one)
    if against is not None and against not in models:
        raise TacosError(f"no model {against!r} to compare with: there are {', '.join(models)}")
    compared, unlike = _compared(models, values, against)
    return TaskScores(models=models, against=against, comparisons=compared, problems=(*problems, *unlike))


def _scores(records: TaskRecords) -> tuple[dict[str, TaskScore], dict[str, dict[str, dict[str, float]]]]:
    """The scores of each task and group, and their values by question."""
    by_task = question_values(records.samples)
    holders = [root for root in map(records.run.task, records.run.roots) if root.figures]
    inside = {part: root.name for root in holders for part in root.subtasks}
    scores, values = {}, {}
    for task in records.run.tasks:
        own = {metric: group_values(task, by_task, metric) for metric in task.figures}
        metrics = {metric: _metric(task, metric, own[metric]) for metric in task.figures}
        scores[task.name] = TaskScore(
            version=task.version,
            num_fewshot=task.num_fewshot,
            questions=task.questions,
            of=task.of,
            subtasks=len(task.subtasks),
            within="" if task.name in records.run.roots else inside.get(task.name) or _holder(holders, task),
            main=main_metric(list(metrics)) if metrics else "",
            metrics=metrics,
        )
        values[task.name] = own
    return scores, values


def _holder(groups: Sequence[TaskDetails], task: TaskDetails) -> str:
    """The group, of those asked for that have a figure, in which another group stands: one that has all its tasks."""
    own = set(task.subtasks)
    return next((group.name for group in groups if own and own <= set(group.subtasks)), "")


def _metric(task: TaskDetails, metric: str, values: Mapping[str, float]) -> MetricScore:
    figure = task.figures[metric]
    return MetricScore(
        value=figure.value,
        stderr=figure.stderr,
        n=len(values) or task.questions,
        higher_is_better=task.better(metric),
        ci=_interval(task, values, figure.value) if values and figure.value is not None else None,
    )


def _interval(task: TaskDetails, values: Mapping[str, float], figure: float) -> Interval | None:
    """That of the mean that the figure is: over questions, or over the means of a group's subtasks; else None."""
    numbers, ends = list(values.values()), _ends(list(values.values()))
    subtasks = [subtask_of(question) for question in values] if task.subtasks else None
    found = [crossed_mean([numbers], subtasks, ends)]
    if subtasks:
        parts: dict[str, list[float]] = {}
        for subtask, number in zip(subtasks, numbers, strict=True):
            parts.setdefault(subtask, []).append(number)
        found.append(mean_interval([fmean(own) for own in parts.values()], ends))
    return next((interval for interval in found if isclose(interval.mean, figure, rel_tol=ALIKE)), None)


def _ends(values: Sequence[float]) -> Scale:
    """A metric of shares stays between 0 and 1."""
    return (0.0, 1.0) if min(values) >= 0 and max(values) <= 1 else OPEN


def _problems(records: TaskRecords) -> list[str]:
    name, run = records.run.model, records.run
    cut = [task for task in map(run.task, run.roots) if task.questions < task.of]
    said = [
        f"{name}: {task.questions:,} of {task.of:,} questions of {task.name} were asked; the figure is not the task's"
        for task in cut
    ]
    return [*said, *(f"{name}: {note}" for note in run.notes)]


def _compared(
    models: Mapping[str, ModelTasks], values: Mapping[str, QuestionsBy], against: str | None
) -> tuple[dict[str, dict[str, ArmComparison]], list[str]]:
    """Each task that was asked for and that `against` and another model have, less where less is better, so that a
    positive difference is one for the better; and what is not comparable, and why."""
    found: dict[str, dict[str, ArmComparison]] = {}
    unlike: list[str] = []
    for task, own in models[against].tasks.items() if against is not None else ():
        base = values[str(against)][task].get(own.main, {})
        if own.within or not base:
            continue
        sides = {}
        sign = 1 if own.metrics[own.main].higher_is_better else -1
        for name, model in models.items():
            other, mine = model.tasks.get(task), values[name].get(task, {}).get(own.main)
            if other is None or not mine:
                continue
            if not mine.keys() & base.keys():
                unlike.append(f"{name} and {against} had no question of {task} in common")
                continue
            sides[name] = {question: sign * v for question, v in mine.items()}
            if (other.version, other.num_fewshot) != (own.version, own.num_fewshot):
                unlike.append(f"{name} and {against} had {task} with other versions or numbers of examples")
        if len(sides) > 1:
            shares = all(_ends(list(map(abs, side.values()))) != OPEN for side in sides.values())
            ends = (-1.0, 1.0) if shares else OPEN
            found[task] = compare_models(sides, against, subtask_of if own.subtasks else None, ends)
    return found, unlike
