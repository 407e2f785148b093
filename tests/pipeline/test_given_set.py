"""Arms whose training set is given, beside arms that select."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import TacosError
from tacos.pipeline.graph import Experiment
from tacos.pipeline.run import run_experiment
from tacos.pipeline.settings import ExperimentSettings
from tacos.pipeline.tools import make_tools
from tacos.store.files import read_jsonl, write_jsonl
from tacos.usage import Ledger
from tests.pipeline.benchmark_files import write_assets
from tests.pipeline.helpers import write_pool

ASSETS = Path(os.environ.get("TACOS_ASSETS", "../shared/assets"))
SHARED = ASSETS / "tacos_data"


def settings(folder: Path, **arms: dict[str, Any]) -> ExperimentSettings:
    data = {
        "name": "given",
        "budget": 6,
        "baseline": "random",
        "controls": [],
        "train": None,
        "pool": {"source": str(write_pool(folder / "pool.jsonl")), "holdout": 3},
        "arms": {"random": {"method": "random"}, **arms},
        "artifacts": str(folder / "artifacts"),
        "runs": str(folder / "runs"),
        "tracking": {"mode": "disabled"},
    }
    return parse(ExperimentSettings, data)


def rows_of(chosen: ExperimentSettings, arm: str) -> list[dict[str, Any]]:
    store = ArtifactStore(Path(chosen.artifacts))
    (found,) = [a for a in Experiment(chosen).arms if a.arm == arm]
    assert found.data is not None
    return list(read_jsonl(store.folder(found.data) / "selection.jsonl"))


def test_a_given_set_stands_in_the_results_beside_a_selection(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs 火.json"
    talk = [{"from": "human", "value": "Say a word"}, {"from": "gpt", "value": "a word or two"}]
    theirs.write_text(json.dumps([{"id": "", "conversations": talk, "score": ""}]), encoding="utf-8")
    chosen = settings(tmp_path, authors={"data": str(theirs)})
    results, _ = run_experiment(chosen)
    random, authors = results.runs
    assert (random.audit.rows, authors.audit.rows, authors.method) == (6, 1, "given")
    assert authors.audit.mean_words == 4
    assert results.parts["selection (authors)"] == "given set theirs 火.json"
    (row,) = rows_of(chosen, "authors")
    assert row["selection"]["reason"] == "given in theirs 火.json" and row["selection"]["score"] is None


def test_rows_that_hold_a_test_question_are_left_out_of_a_given_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings(tmp_path, authors={"data": str(tmp_path / "pool.jsonl")})
    run_experiment(chosen)
    assert len(rows_of(chosen, "authors")) == 24 - 3
    assert "3 of 24 rows hold a test question and are left out" in caplog.text


def test_rows_that_hold_a_benchmarks_question_are_left_out_too(tmp_path: Path) -> None:
    assets = write_assets(tmp_path / "assets")
    asked = [row["turns"][0] for row in read_jsonl(tmp_path / "assets/mt_bench/question.jsonl")]
    theirs = tmp_path / "theirs.jsonl"
    write_jsonl(
        theirs, ({"instruction": text, "output": "an answer"} for text in [*asked, "Nobody asks this"])
    )
    chosen = settings(tmp_path, authors={"data": str(theirs)}).model_dump()
    judge = {"judge": {"model": "m", "endpoint": "http://127.0.0.1:9"}}
    with_it = parse(ExperimentSettings, chosen | {"llms": judge, "benchmarks": {"mt_bench": {}}})
    (given,) = [arm.select for arm in Experiment(with_it, assets).arms if arm.arm == "authors"]
    assert given is not None
    folder = ArtifactStore(tmp_path / "artifacts").run(given, make_tools(with_it, Ledger()))
    (left,) = read_jsonl(folder / "selection.jsonl")
    assert left["messages"][0]["content"] == "Nobody asks this"


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"data": "none.json"}, "no file none.json; "),
        ({"data": "f.json", "method": "tacos"}, "its training set as data: FILE, .* not two of them"),
        ({"data": "f.json", "group": "none"}, "no row is selected by given, so group has no effect"),
        (
            {"method": "zero-shot", "refine": {"llm": "a"}},
            "nothing is trained for zero-shot, so refine has no effect",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arm: dict[str, Any], message: str) -> None:
    with pytest.raises(TacosError, match=message):
        assert Experiment(settings(tmp_path, other=arm)).arms


@pytest.mark.skipif(not SHARED.is_dir(), reason="the authors' sets are not here")
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.json")), ids=lambda path: path.stem)
def test_the_authors_sets_are_read_whole(tmp_path: Path, path: Path) -> None:
    chosen = settings(tmp_path, authors={"data": str(path)})
    (authors,) = [a for a in Experiment(chosen).arms if a.arm == "authors"]
    store = ArtifactStore(tmp_path / "artifacts")
    tools = make_tools(chosen, Ledger())
    store.run(authors.select, tools)
    outcome = store.record(authors.select).outcome
    assert outcome.rows_in == 1000 and outcome.rows_out >= 999
