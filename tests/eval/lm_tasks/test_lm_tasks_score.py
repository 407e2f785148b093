"""Stored records as scores, comparisons, measures and reports; no model and no lm-eval is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from eval.interval import Interval
from eval.lm_tasks.measures import read, task_benchmark, task_values
from eval.lm_tasks.records import (
    Figure,
    TaskDetails,
    TaskRecords,
    TaskRun,
    TaskSample,
    main_metric,
    question_value,
    question_values,
)
from eval.lm_tasks.score import score_files, score_records
from eval.measures import Finished
from eval.report.scores import report_of, write_score_report
from eval.summary import arm_measure, run_measure
from tacos.cli.app import app
from tacos.errors import TacosError

SMALL, LARGE = (1.0, 0.0), (1.0, 1.0, 0.0, 1.0)
PER_WORD = 2.0


def sample(task: str, question: int, filter_name: str = "none", **metrics: Any) -> TaskSample:
    return TaskSample(
        task=task,
        doc_id=question,
        doc_hash=f"{task}{question}",
        prompt_hash="p",
        target="t",
        filter=filter_name,
        responses=[["r"]],
        filtered=["r"],
        metrics=metrics,
    )


def details(name: str, n: int, figures: dict[str, float], **more: Any) -> TaskDetails:
    made = {metric: Figure(value=value, stderr=0.1) for metric, value in figures.items()}
    return TaskDetails(**{"name": name, "version": "1", "questions": n, "of": n, "figures": made, **more})


def records(model: str = "m", flipped: bool = False) -> TaskRecords:
    """A group "g" of "small" and "large", a task "text" of whole texts, and "two" behind two filters."""
    turn = (lambda v: 1 - v) if flipped else (lambda v: v)
    small, large = [[turn(v) for v in own] for own in (SMALL, LARGE)]
    rows = [sample("small", i, acc=v) for i, v in enumerate(small)]
    rows += [sample("large", i, acc=v) for i, v in enumerate(large)]
    rows += [sample("text", i, word_perplexity=[-PER_WORD * 3 * (i + 1), 3]) for i in range(2)]
    rows += [
        sample("two", i, name, exact_match=float(i < 2)) for name in ("strict", "loose") for i in range(3)
    ]
    tasks = (
        details("g", 6, {"acc": float(np.mean([*small, *large]))}, subtasks=("small", "large")),
        details("small", 2, {"acc": float(np.mean(small))}),
        details("large", 4, {"acc": float(np.mean(large))}),
        details("text", 2, {"word_perplexity": 9.0}, higher_is_better={"word_perplexity": False}),
        details("two", 3, {"exact_match,strict": 2 / 3, "exact_match,loose": 2 / 3}, of=30, num_fewshot=5),
    )
    run = TaskRun(
        model=model, identity="i", settings={}, lm_eval="0.4.13", roots=("g", "text", "two"), tasks=tasks
    )
    return TaskRecords(run=run, samples=tuple(rows))


def written(folder: Path, model: str, flipped: bool = False) -> Path:
    folder.mkdir()
    records(model, flipped).write(folder)
    return folder / "samples.jsonl"


def test_values_of_a_question() -> None:
    assert question_value("acc", True) == 1.0
    assert question_value("inst_level_strict_acc", [True, False, True, True]) == 0.75
    assert question_value("word_perplexity", [-12.0, 4]) == 3.0
    assert question_value("f1", [1, 0]) is None
    assert question_value("acc", float("nan")) is None and question_value("acc", None) is None
    twice = [sample("t", 0, acc=1.0), sample("t", 0, acc=0.0)]
    assert question_values(twice) == {"t": {"acc": {"t0": 1.0, "t0#2": 0.0}}}
    assert main_metric(["acc", "acc_norm"]) == "acc_norm" and main_metric(["b", "a"]) == "b"


def test_scores_are_lm_evals_with_intervals() -> None:
    scores = score_records([records()])
    tasks = scores.models["m"].tasks
    group = tasks["g"].metrics["acc"]
    assert (group.value, group.stderr, group.n, tasks["g"].subtasks) == (pytest.approx(4 / 6), 0.1, 6, 2)
    assert group.ci is not None and (group.ci.low, group.ci.high) == (
        0.0,
        1.0,
    )  # of two subtasks nothing is known
    assert (tasks["small"].within, tasks["g"].within, tasks["two"].main) == ("g", "", "exact_match,strict")
    assert tasks["text"].metrics["word_perplexity"].ci is None
    assert scores.problems == ("m: 3 of 30 questions of two were asked; the figure is not the task's",)


def test_an_interval_stands_around_the_figure_or_there_is_none() -> None:
    """Subtasks of 20 and 4 questions, 10 and 4 of them right: 14 / 24 of all, and (0.5 + 1) / 2 with each alike."""
    rows = [sample("small", i, acc=1.0, inst=[True, False]) for i in range(4)]
    rows += [sample("large", i, acc=float(i < 10), inst=[True, False, False]) for i in range(20)]

    def interval(**figures: float) -> list[Interval | None]:
        group = details("g", 24, figures, subtasks=("small", "large"))
        run = records().run.model_copy(update={"roots": ("g",), "tasks": (group,)})
        found = score_records([TaskRecords(run=run, samples=tuple(rows))]).models["m"].tasks["g"].metrics
        return [one.ci for one in found.values()]

    (of_all,) = interval(acc=14 / 24)
    (of_parts,) = interval(acc=0.75)
    assert of_all and of_parts and (of_all.n, of_parts.n) == (24, 2)
    assert (of_all.mean, of_parts.mean) == (pytest.approx(14 / 24), 0.75)
    assert interval(inst=24 / 68) == [None]  # of all instructions, which are no questions
    assert interval(acc=0.2) == [None]


def test_models_are_compared_by_question() -> None:
    flipped = records("n", flipped=True)
    scores = score_records([records(), flipped], against="m")
    gap = scores.comparisons["g"]["n"].difference
    assert gap.mean == pytest.approx(-2 / 6) and (gap.low, gap.high) == (
        -1.0,
        1.0,
    )  # as far as shares lie apart
    assert scores.comparisons["text"]["n"].difference.mean == 0.0
    assert scores.comparisons["two"]["n"].unpaired == 0
    worse = [
        s.model_copy(update={"metrics": {"word_perplexity": [-99, 3]}})
        for s in records().samples
        if s.task == "text"
    ]
    more = flipped.model_copy(update={"samples": (*(s for s in flipped.samples if s.task != "text"), *worse)})
    assert score_records([records(), more], "m").comparisons["text"]["n"].difference.mean < 0
    with pytest.raises(TacosError, match="no model 'x'"):
        score_records([records()], against="x")
    with pytest.raises(TacosError, match="m has g twice"):
        score_records([records(), records()])


def test_other_versions_are_named() -> None:
    other = records("n")
    tasks = tuple(
        task.model_copy(update={"num_fewshot": 0}) if task.name == "two" else task for task in other.run.tasks
    )
    changed = other.model_copy(update={"run": other.run.model_copy(update={"tasks": tasks})})
    problems = score_records([records(), changed], "m").problems
    assert "n and m had two with other versions or numbers of examples" in problems


def test_a_task_without_a_shared_question_does_not_take_the_others_along() -> None:
    other = records("n")
    rows = [
        row.model_copy(update={"doc_hash": f"other {row.doc_id}"}) if row.task == "two" else row
        for row in other.samples
    ]
    scores = score_records([records(), other.model_copy(update={"samples": tuple(rows)})], "m")
    assert set(scores.comparisons) == {"g", "text"}
    assert "n and m had no question of two in common" in scores.problems


def test_measures_go_through_statistics(tmp_path: Path) -> None:
    written(tmp_path / "m", "m")
    benchmark = task_benchmark([tmp_path / "m"])
    named = {measure.name: measure for measure in benchmark.measures}
    assert list(named) == [
        "lm_g_acc",
        "lm_text_word_perplexity",
        "lm_two_exact_match_strict",
        "lm_two_exact_match_loose",
    ]
    group, text = named["lm_g_acc"], named["lm_text_word_perplexity"]
    assert (group.clustered, group.unit, group.better, text.unit, text.better) == (
        True,
        "share",
        "higher",
        "nats",
        "lower",
    )
    found = benchmark.read(Finished({benchmark.stage: tmp_path / "m"}, {}))
    assert found == read(Finished({"lm_tasks": tmp_path / "m"}, {})) == task_values(records())
    assert set(found.unread.values()) == {0}
    own = found.values["lm_g_acc"]
    assert isinstance(own, dict) and list(own)[:3] == ["small/small0", "small/small1", "large/large0"]
    one = run_measure(group, found)
    assert one is not None and one.interval is not None
    assert (one.interval.low, one.interval.high, one.interval.n) == (0.0, 1.0, 6)
    base = task_values(records(flipped=True)).values["lm_g_acc"]
    arm = arm_measure(group, [own, own], [base, base])
    assert arm is not None and arm.gain is not None
    assert (arm.gain.mean, arm.gain.low, arm.gain.high) == (pytest.approx(2 / 6), -1.0, 1.0)
    assert isinstance(found.values[text.name], dict)
    assert list(found.values[text.name].values()) == [2.0, 4.0]


def test_unread_are_questions_of_tasks_that_have_the_metric() -> None:
    """Of 2 and 4 questions "acc" is read but for one, and 3 of another task in the group have no "acc"."""
    made = records()
    tasks = [task for task in made.run.tasks if task.name != "g"]
    group = details("g", 9, {"acc": 0.6}, subtasks=("small", "large", "two"))
    run = made.run.model_copy(update={"tasks": (group, *tasks), "roots": ("g",)})
    rows = made.samples[1:]
    assert task_values(TaskRecords(run=run, samples=rows)).unread == {"lm_g_acc": 1}


def test_a_report_shows_tasks_and_subtasks(tmp_path: Path) -> None:
    scores = score_records([records(), records("n", flipped=True)], against="m")
    paths = write_score_report(tmp_path, "Tasks of lm-eval", [scores])
    assert {"lm_tasks", "lm_tasks_metrics", "lm_tasks_subtasks", "lm_tasks_g_against"} <= set(paths.tables)
    table = paths.tables["lm_tasks"][0].read_text()
    assert "g acc" in table and "0.667" in table and "two exact_match strict" in table
    assert "0.667 on g" in report_of(scores).headline(scores)
    assert report_of(scores).figures(scores)["m"]["lm_eval/two/exact_match,loose"] == pytest.approx(2 / 3)


def test_the_command_reads_records(tmp_path: Path) -> None:
    files = [str(written(tmp_path / name, name, name == "n")) for name in ("m", "n")]
    run = CliRunner().invoke(app, ["eval", "lm-eval", "--samples", *files, "--against", "m", "--json"])
    assert run.exit_code == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    metric = found["models"]["m"]["tasks"]["g"]["acc"]
    assert {"value", "stderr", "n"} <= set(metric) and metric["n"] == 6
    assert found["models"]["n"]["about"]["two"]["num_fewshot"] == 5
    assert set(found["comparisons"]) == {"g", "text", "two"}
    shown = CliRunner().invoke(
        app, ["eval", "lm-eval", "--samples", files[0], "--out", str(tmp_path / "out")]
    )
    assert "Tasks of lm-eval" in shown.stdout and (tmp_path / "out" / "report.html").is_file()


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    def said(*words: str, code: int) -> str:
        run = CliRunner().invoke(app, ["eval", "lm-eval", *words])
        assert run.exit_code == code, run.stderr
        return run.stderr

    assert "give one of --model, --samples" in said(code=2)
    assert "give --tasks" in said("--model", "m", code=2)
    assert "did you mean 'limit'" in said("--model", "m", "--tasks", "t", "lm_tasks.limt=1", code=2)
    lone = tmp_path / "samples.jsonl"
    lone.write_text("")
    assert "tasks.json" in said("--samples", str(lone), code=1)
    (tmp_path / "tasks.json").write_text("{}")
    assert "damaged" in said("--samples", str(lone), code=1)
    with pytest.raises(TacosError, match=r"no .*nowhere"):
        score_files([tmp_path / "nowhere"])
