"""Tasks of lm-eval as measures: a value per question, so that statistics, tables and plots of experiments take them.

    gsm8k    -> lm_gsm8k_exact_match_strict_match, lm_gsm8k_exact_match_flexible_extract
    mmlu     -> lm_mmlu_acc, whose questions are "mmlu_anatomy/DOC_HASH", drawn by subtask

Of what was asked for by name each metric with a number per question is a measure; the tasks in a group are part of the
group's. A group without a figure of its own stands for its tasks. A whole text counts in nats per word or byte. The
mean of these values is lm-eval's figure, but of a perplexity, of ifeval's share of all instructions, and of a group
that counts each subtask alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from eval.lm_tasks.records import (
    ROLLING,
    TaskDetails,
    TaskRecords,
    TaskRun,
    group_values,
    main_metric,
    question_values,
    read_records,
)
from eval.measures import Benchmark, Finished, Measure, RunValues, Unit

STAGE = "lm_tasks"
SHARES = ("acc", "exact_match", "em", "prompt_level", "inst_level", "pass@", "pass_at")
"""How names of metrics begin whose values are shares from 0 to 1."""


def measure_name(task: str, metric: str) -> str:
    """Letters, digits, underscore."""
    return re.sub(r"\W+", "_", f"lm_{task}_{metric}")


def measured_tasks(run: TaskRun) -> Iterator[TaskDetails]:
    """What was asked for; in place of a group without a figure, its tasks."""
    for root in map(run.task, run.roots):
        yield from [root] if root.figures else map(run.task, root.subtasks)


def task_measures(run: TaskRun) -> tuple[Measure, ...]:
    """Each metric of each task; the main one of a task stands in the terminal's table."""
    return tuple(
        _measure(task, metric, brief=metric == main_metric(list(task.figures)))
        for task in measured_tasks(run)
        for metric in task.figures
    )


def _measure(task: TaskDetails, metric: str, brief: bool) -> Measure:
    name = metric.partition(",")[0]
    unit: Unit = "nats" if name in ROLLING else "share" if name.startswith(SHARES) else "score"
    counted = f"nats per {ROLLING[name].removesuffix('s')} of {task.name}" if name in ROLLING else ""
    examples = "" if task.num_fewshot is None else f", {task.num_fewshot} examples in the prompt"
    return Measure(
        name=measure_name(task.name, metric),
        metric=f"lm_eval/{task.name}/{metric}",
        title=f"{task.name} {metric.replace(',', ' ')}",
        counted=counted,
        note=f"lm-eval's task {task.name}, version {task.version or 'unknown'}{examples}.",
        heading="tasks of lm-eval",
        asked=None,
        unit=unit,
        better="lower" if unit == "nats" or not task.better(metric) else "higher",
        scale=(0.0, 1.0) if unit == "share" else (0.0, None) if unit == "nats" else (None, None),
        difference=True,
        clustered=bool(task.subtasks),
        brief=brief,
    )


def task_values(records: TaskRecords) -> RunValues:
    """By measure: question -> value, in the data's order. A metric without a number per question is left out."""
    by_task = question_values(records.samples)
    values, unread = {}, {}
    for task in measured_tasks(records.run):
        for metric in task.figures:
            if found := group_values(task, by_task, metric):
                name = measure_name(task.name, metric)
                values[name] = found
                unread[name] = _asked(records.run, task, metric) - len(found)
    return RunValues(values, unread)


def _asked(run: TaskRun, task: TaskDetails, metric: str) -> int:
    """Questions that should have a value: of a group, those of the tasks that have the metric."""
    having = [part for part in map(run.task, task.subtasks) if metric in part.figures]
    return sum(part.questions for part in having or [task])


def read(finished: Finished) -> RunValues:
    """From the folder that `run_tasks` wrote into."""
    return task_values(read_records(finished.folders[STAGE]))


def task_benchmark(folders: Iterable[Path]) -> Benchmark:
    """The benchmark of an experiment whose arms left these folders: the measures that any of them has."""
    found: dict[str, Measure] = {}
    for folder in folders:
        for measure in task_measures(read_records(folder).run):
            found.setdefault(measure.name, measure)
    return Benchmark(STAGE, stage=STAGE, measures=tuple(found.values()), read=read)
