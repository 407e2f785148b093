"""Several question sets in one experiment: each question's set, the score of each set, and that of all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks import benchmarks
from eval.exact_match import BENCHMARK as EXACT_MATCH
from eval.measures import Finished, Measured, RunValues
from eval.pairwise.benchmark import BENCHMARK
from eval.pairwise.five_sets import SETS as FACTS
from eval.question_sets import with_sets
from eval.questions import read_question_sets
from eval.report.text import headline
from eval.results import Results
from tacos.config import parse, read_yaml
from tacos.errors import ConfigError
from tacos.pipeline.pool import load_stage
from tacos.pipeline.pool_settings import PoolSettings
from tacos.store.files import read_jsonl
from tests.eval.test_collect import run_trained
from tests.pipeline.helpers import write_pool

VALUES: dict[str, Measured] = {"winning_score": {"a/1": 2.0, "b/1": 0.0, "b/2": 1.0}}
SETS = {"a/1": "a", "a/2": "a", "b/1": "b", "b/2": "b"}


def questions(folder: Path, **sets: int) -> dict[str, str]:
    """Files of so many questions, numbered alike, each with a reference."""
    for name, count in sets.items():
        rows = [{"prompt": f"{name} asks {i}?", "reference": f"{name} says {i}"} for i in range(count)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {name: str(folder / f"{name}.jsonl") for name in sets}


def read(finished: Finished) -> RunValues:
    return RunValues(VALUES, unread={"winning_score": 1}, beside={"winning_score": {"longer_wins": 0.5}})


def test_a_measure_stands_once_more_for_each_set() -> None:
    made = with_sets(replace(BENCHMARK, read=read), SETS)
    assert [m.name for m in made.measures] == ["winning_score", "winning_score_a", "winning_score_b"]
    assert [m.title for m in made.measures][2] == "winning score on b"
    found = made.read(Finished({}, {}))
    assert found.values == {
        **VALUES,
        "winning_score_a": {"a/1": 2.0},
        "winning_score_b": {"b/1": 0.0, "b/2": 1.0},
    }
    assert found.unread == {"winning_score": 1, "winning_score_a": 1, "winning_score_b": 0}
    assert found.beside == {"winning_score": {"longer_wins": 0.5}}


def test_one_set_by_itself_and_other_measures_stay_as_they_are() -> None:
    assert with_sets(BENCHMARK, {"1": "", "2": ""}) is BENCHMARK
    assert with_sets(BENCHMARK, {"a/1": "a", "a/2": "a"}) is BENCHMARK
    assert with_sets(EXACT_MATCH, SETS) is EXACT_MATCH
    assert [m.name for b in benchmarks() for m in b.measures if m.per_set] == ["winning_score"]


def test_questions_of_several_files_are_told_apart(tmp_path: Path) -> None:
    files = questions(tmp_path, one=2, two=1)
    assert [(q.id, q.set) for q in read_question_sets(files)] == [
        ("one/1", "one"),
        ("one/2", "one"),
        ("two/1", "two"),
    ]
    assert [(q.id, q.set) for q in read_question_sets({"": files["two"]})] == [("1", "")]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "give a file, or files by the name of their set, as in {vicuna: FILE"),
        (["x.jsonl"], "^questions: give a file, or files by the name"),
        ({"a": 3}, "give a file, or files by the name"),
        ({"a b": "x.jsonl"}, "use letters, digits and underscore for the name of a question set, not 'a b'"),
        ({"": "x.jsonl"}, "use letters, digits and underscore"),
    ],
)
def test_sets_without_a_usable_name_are_refused(said: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(PoolSettings, {"source": "p.jsonl", "questions": said})


def test_the_pool_is_made_anew_for_other_sets_and_not_for_other_paths(tmp_path: Path) -> None:
    pool, files = str(write_pool(tmp_path / "pool.jsonl")), questions(tmp_path, one=2, two=1)
    (tmp_path / "moved").mkdir()
    moved = questions(tmp_path / "moved", one=2, two=1)

    def fingerprint(said: Any) -> str:
        return load_stage(parse(PoolSettings, {"source": pool, "questions": said})).fingerprint

    assert fingerprint(files) == fingerprint(moved)
    assert len({fingerprint(said) for said in (files, {"one": files["one"]}, files["one"], None)}) == 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("sets")
    return folder, run_trained(folder, questions=questions(folder, one=3, two=2))


def test_an_experiment_has_the_score_of_each_set_beside_the_pooled_one(
    finished: tuple[Path, Results],
) -> None:
    folder, results = finished
    names = [m.name for m in results.measures]
    assert names == [
        "heldout_loss",
        "winning_score",
        "winning_score_one",
        "winning_score_two",
        "faulty_answers",
    ]
    (run,) = [run for run in results.runs if run.arm == "longest"]
    counts = {name: sum(run.measures[name].counts.values()) for name in names[1:4]}
    assert counts == {"winning_score": 5, "winning_score_one": 3, "winning_score_two": 2}
    pooled, one, two = (run.measures[name].value for name in names[1:4])
    assert pooled == pytest.approx((3 * one + 2 * two) / 5)
    page = (folder / "runs" / "small" / "report.md").read_text()
    assert "one, judged against random" in page and "winning score on two" in page
    assert "longest by question set, winning score" in page
    assert "on two" not in headline(results).paragraph and results.questions == 5
    (reviews,) = (folder / "artifacts" / "judge").glob("*/reviews.jsonl")
    assert [row["question_id"] for row in read_jsonl(reviews)] == [
        "one/1",
        "one/2",
        "one/3",
        "two/1",
        "two/2",
    ]


def test_cars_experiment_asks_the_papers_four_sets(shared: Path) -> None:
    data = read_yaml(Path("configs/experiments/car_table.yaml"))
    files = {name: shared / "assets" / FACTS[name].file for name in data["benchmarks"]["five_sets"]["sets"]}
    asked = read_question_sets(files)
    sizes = {name: sum(q.set == name for q in asked) for name in dict.fromkeys(q.set for q in asked)}
    assert sizes == {"pandalm": 170, "vicuna": 80, "coachlm": 150, "sinstruct": 252}
    assert len({q.id for q in asked}) == 652
