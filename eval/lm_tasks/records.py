"""What is kept of a run: its tasks with figures, and a row per question and filter.

    out/requests.jsonl   results of requests, for a run that goes on (`kept.py`); a server's are in its client's cache
    out/samples.jsonl    {"task": "gsm8k", "doc_hash": "6b2f...", "filter": "strict-match", "metrics": {...}, ...}
    out/tasks.json       the model, settings, and each task's version, examples, filters and figures; written last

A question is known by `doc_hash`, lm-eval's hash of its row in the data set, so models are paired by question also
where they were limited otherwise. `prompt_hash` tells whether two models read the same text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from tacos.errors import TacosError, first_line
from tacos.store.files import read_json, read_jsonl, write_json, write_jsonl
from tacos.types import Record

SAMPLES, TASKS, REQUESTS = "samples.jsonl", "tasks.json", "requests.jsonl"
ROLLING = {"word_perplexity": "words", "byte_perplexity": "bytes", "bits_per_byte": "bytes"}
"""Metrics of whole texts, and what is counted: lm-eval keeps (log-probability, count) of each."""


class Figure(Record):
    """What lm-eval makes of a metric over all questions. stderr: None where it gives none."""

    value: float | None
    stderr: float | None = None


class TaskSample(Record):
    """One question after one filter."""

    task: str
    doc_id: int
    doc_hash: str
    prompt_hash: str
    target: str
    filter: str
    responses: list[Any]
    """Of each request, one per repeat: a reply, or [log-probability, greedy]."""
    filtered: list[Any]
    """The same after the filter, which is what the metrics see."""
    metrics: dict[str, Any]
    """Name -> value, as the task computes it: mostly a number."""


class TaskDetails(Record):
    """A task or a group, and its figures: "acc" or, behind a filter, "exact_match,strict-match"."""

    name: str
    version: str
    num_fewshot: int | None = None
    output_type: str = ""
    """Empty of a group."""
    filters: tuple[str, ...] = ()
    questions: int
    """Asked."""
    of: int
    """In the data set."""
    figures: dict[str, Figure]
    higher_is_better: dict[str, bool | None] = Field(default_factory=dict)
    """By metric, without its filter."""
    subtasks: tuple[str, ...] = ()
    """Of a group: the tasks in it."""

    def better(self, metric: str) -> bool:
        """Whether higher is better; so it is where the task does not say."""
        return self.higher_is_better.get(metric.partition(",")[0]) is not False


class TaskRun(Record):
    """One model's run."""

    model: str
    identity: str
    """The model by content."""
    settings: dict[str, Any]
    lm_eval: str
    """Version."""
    roots: tuple[str, ...]
    """Tasks and groups that were asked for, in their order."""
    tasks: tuple[TaskDetails, ...]
    notes: tuple[str, ...] = ()

    def task(self, name: str) -> TaskDetails:
        return next(task for task in self.tasks if task.name == name)


class TaskRecords(Record):
    """A run and its rows."""

    run: TaskRun
    samples: tuple[TaskSample, ...]

    def write(self, out: Path) -> None:
        write_jsonl(out / SAMPLES, self.samples_as_rows())
        write_json(out / TASKS, self.run)

    def samples_as_rows(self) -> Iterable[Mapping[str, Any]]:
        return (sample.model_dump() for sample in self.samples)


def read_records(path: Path) -> TaskRecords:
    """path: a folder of a run, or its samples file. Raises: TacosError when they cannot be read."""
    folder = path if path.is_dir() else path.parent
    samples = path / SAMPLES if path.is_dir() else path
    for needed in (samples, folder / TASKS):
        if not needed.is_file():
            raise TacosError(
                f"no {needed}: give the {SAMPLES} of a finished run, which has {TASKS} beside it"
            )
    try:
        run = TaskRun.model_validate(read_json(folder / TASKS))
        return TaskRecords(run=run, samples=tuple(TaskSample(**row) for row in read_jsonl(samples)))
    except (ValidationError, ValueError, TypeError) as error:
        raise TacosError(
            f"{samples} or {TASKS} beside it is damaged ({first_line(error)}): run again"
        ) from error


def metric_name(metric: str, filter_name: str) -> str:
    """ "acc" of no filter, else "exact_match,strict-match"."""
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def question_value(metric: str, value: Any) -> float | None:
    """One number for a question, where its metric has one.

    A share of what is true (ifeval's instructions) is a number, and of a whole text it is the nats per word or byte.
    Pairs of prediction and label (F1, BLEU) are none.
    """
    if isinstance(value, bool | int | float):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, list | tuple) or not value:
        return None
    if metric in ROLLING and len(value) == 2:
        return -float(value[0]) / value[1] if value[1] else None
    return sum(value) / len(value) if all(isinstance(one, bool) for one in value) else None


def question_values(samples: Iterable[TaskSample]) -> dict[str, dict[str, dict[str, float]]]:
    """Task -> metric -> question -> value; of rows of one question, the second is "HASH#2"."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for sample in samples:
        slot = (sample.task, sample.filter, sample.doc_hash)
        seen[slot] += 1
        question = sample.doc_hash if seen[slot] == 1 else f"{sample.doc_hash}#{seen[slot]}"
        for metric, value in sample.metrics.items():
            known = question_value(metric, value)
            if known is not None:
                name = metric_name(metric, sample.filter)
                found.setdefault(sample.task, {}).setdefault(name, {})[question] = known
    return found


def group_values(
    task: TaskDetails, values: Mapping[str, Mapping[str, Mapping[str, float]]], metric: str
) -> dict[str, float]:
    """Question -> value of a task, or of all tasks of a group: then "SUBTASK/QUESTION"."""
    if not task.subtasks:
        return dict(values.get(task.name, {}).get(metric, {}))
    return {
        f"{name}/{question}": value
        for name in task.subtasks
        for question, value in values.get(name, {}).get(metric, {}).items()
    }


def subtask_of(question: str) -> str:
    """The cluster of a group's question."""
    return question.partition("/")[0]


def main_metric(names: Sequence[str]) -> str:
    """The one that stands for a task: length-normalized accuracy where there is one, else the task's first."""
    return next((name for name in names if name.partition(",")[0] == "acc_norm"), names[0])
