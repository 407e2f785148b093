"""Tasks of lm-eval in a report: models side by side, a table of all metrics, and models against one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from eval.report import format as fmt
from eval.report.comparisons import comparison_tables
from eval.report.score_report import Figures, ScoreReport
from eval.report.table import (
    NOTHING,
    Cell,
    Column,
    Entry,
    Spec,
    Table,
    build,
    counts,
    texts,
    with_interval,
)

if TYPE_CHECKING:  # a table is laid out without the modules that compute its scores
    from eval.lm_tasks.score import MetricScore, ModelTasks, TaskScore, TaskScores


class _Row(NamedTuple):
    task: str
    score: TaskScore
    metric: str
    found: MetricScore


def overview(scores: TaskScores) -> Table:
    """One row per model, one column per task that was asked for."""
    asked = [
        (task, score)
        for model in scores.models.values()
        for task, score in model.tasks.items()
        if _shown(score)
    ]
    heads = {task: f"{task} {score.main.replace(',', ' ')}" for task, score in asked}

    def column(task: str) -> Spec[ModelTasks]:
        return Column(heads[task]), lambda model: _main(model.tasks.get(task))

    entries = [Entry(name, model, arm=name) for name, model in scores.models.items()]
    note = (
        "lm-eval's figure of each task's main metric, with the 95% interval over questions, or over the "
        "subtasks of a group."
    )
    return build("lm_tasks", "Tasks of lm-eval", note, "model", entries, [column(task) for task in heads])


def _shown(score: TaskScore) -> bool:
    return bool(score.main) and not score.within


def _main(score: TaskScore | None) -> Cell:
    if score is None or not score.main:
        return NOTHING
    found = score.metrics[score.main]
    return with_interval(found.value, found.ci, _figure)


def _figure(value: float | None) -> str:
    """Three digits: shares, perplexities and BLEU stand in one table."""
    return f"{value:.4g}" if value is not None and abs(value) >= 10 else fmt.loss(value)


def metric_table(scores: TaskScores) -> Table:
    """One row per model, task and metric; subtasks are in the report alone."""
    entries = [
        Entry(name, _Row(task, score, metric, found), arm=name)
        for name, model in scores.models.items()
        for task, score in model.tasks.items()
        if not score.within
        for metric, found in score.metrics.items()
    ]
    return build("lm_tasks_metrics", "By metric", _NOTE, "model", entries, _SPECS)


def subtask_table(scores: TaskScores) -> list[Table]:
    entries = [
        Entry(name, _Row(task, score, metric, found), arm=name)
        for name, model in scores.models.items()
        for task, score in model.tasks.items()
        if score.within
        for metric, found in score.metrics.items()
    ]
    title = "Subtasks of groups"
    return [build("lm_tasks_subtasks", title, _NOTE, "model", entries, _SPECS)] if entries else []


def _with_error(found: MetricScore) -> Cell:
    """The value and, where there is one, its standard error, with digits for both."""
    if found.value is None:
        return NOTHING
    error = "" if found.stderr is None else f"± {_figure(found.stderr)}"
    more = () if found.stderr is None else (("standard error", found.stderr),)
    return Cell(_figure(found.value), error, raw=found.value, more=more)


_NOTE = "Value and standard error are lm-eval's; examples stand in the prompt."
_SPECS: list[Spec[_Row]] = [
    (Column("task", numeric=False), texts(lambda row: row.task)),
    (Column("metric", numeric=False), texts(lambda row: row.metric)),
    (Column("value"), lambda row: _with_error(row.found)),
    (Column("questions"), counts(lambda row: row.found.n)),
    (Column("examples"), counts(lambda row: row.score.num_fewshot)),
    (Column("version", numeric=False, brief=False), texts(lambda row: row.score.version)),
    (Column("better", numeric=False, brief=False), texts(lambda row: _better(row.found))),
]


def _better(found: MetricScore) -> str:
    return "higher" if found.higher_is_better else "lower"


def tables(scores: TaskScores) -> list[Table]:
    against = [
        table
        for task, compared in scores.comparisons.items()
        for table in comparison_tables(
            f"lm_tasks_{task}",
            f"{task}, value of a question (higher is better)",
            fmt.fine_difference,
            scores.against,
            compared,
        )
    ]
    return [overview(scores), metric_table(scores), *subtask_table(scores), *against]


def problems(scores: TaskScores) -> list[str]:
    return list(scores.problems)


def headline(scores: TaskScores) -> str:
    parts = []
    for name, model in scores.models.items():
        shown = [(task, score) for task, score in model.tasks.items() if _shown(score)]
        figures = fmt.listing(f"{_figure(s.metrics[s.main].value)} on {task}" for task, s in shown)
        parts.append(f"{name} has {figures}." if shown else f"{name} has no figure.")
    return " ".join(parts)


def figures(scores: TaskScores) -> Figures:
    return {
        name: {
            f"lm_eval/{task}/{metric}": found.value
            for task, score in model.tasks.items()
            if not score.within
            for metric, found in score.metrics.items()
        }
        for name, model in scores.models.items()
    }


TASKS: ScoreReport[TaskScores] = ScoreReport("lm_tasks", tables, problems, headline, figures)
