"""The load stage: what it leaves behind, test questions from files, and sources that do not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.questions import read_questions
from tacos.artifacts import ArtifactStore
from tacos.errors import PoolError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.pipeline.pool import load_stage
from tacos.pipeline.pool_settings import PoolSettings
from tacos.pipeline.select import select
from tacos.pipeline.settings import SelectSettings
from tacos.store.files import read_jsonl
from tacos.types import Pool
from tests.pipeline.helpers import reply, scripted_tools, write_pool


def questions_file(folder: Path, *rows: Any, name: str = "questions.jsonl") -> Path:
    """One line per row; text goes in as it is."""
    path = folder / name
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def test_scalar_answers_are_text(tmp_path: Path) -> None:
    rows = [{"text": "2 + 2?", "answer": value} for value in (4, 0.5, True, "four", None)]
    read = read_questions(questions_file(tmp_path, *rows))
    assert [q.answer for q in read] == ["4", "0.5", "true", "four", None]
    assert [q.id for q in read] == ["1", "2", "3", "4", "5"]


def test_forms_of_questions(tmp_path: Path) -> None:
    rows = [{"question_id": 7, "turns": ["a", "b"]}, "", {"id": "x", "instruction": "c", "category": "math"}]
    read = read_questions(questions_file(tmp_path, *rows))
    assert [(q.id, q.turns, q.category) for q in read] == [("7", ("a", "b"), ""), ("x", ("c",), "math")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{torn", "is not JSON"),
        (["a", "b"], "holds list, expected an object"),
        ("3", "holds int, expected an object"),
        ({"answer": "4"}, "has no question"),
        ({"text": 4}, "turns"),
        ({"turns": ["a", 5]}, "turns"),
        ({"text": "q", "answer": ["4"]}, "answer"),
        ({"text": "q", "question_id": 1}, r"question id '1' stands in line 1 too"),
    ],
)
def test_a_bad_question_is_named_by_file_and_line(tmp_path: Path, row: Any, message: str) -> None:
    path = questions_file(tmp_path, {"question_id": 1, "text": "fine"}, "", row)
    with pytest.raises(PoolError, match=rf"questions\.jsonl line 3.*{message}"):
        read_questions(path)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(b'{"text": "caf\xe9"}\n')
    with pytest.raises(PoolError, match=r"line 1 holds bytes that are not UTF-8"):
        read_questions(path)


def test_a_source_that_is_no_file_and_no_hub_id_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "alpaca_data.json").write_text("[]")
    with pytest.raises(PoolError, match=r"no file .*alpaca_dat\.json; .* holds alpaca_data\.json"):
        load_stage(PoolSettings(source=str(tmp_path / "alpaca_dat.json")))
    with pytest.raises(PoolError, match=r"no file nowhere/pool\.jsonl; the folder nowhere does not exist"):
        load_stage(PoolSettings(source="nowhere/pool.jsonl"))
    with pytest.raises(PoolError, match="is a folder"):
        load_stage(PoolSettings(source=str(tmp_path)))
    assert load_stage(PoolSettings(source="tatsu-lab/alpaca")).settings["hub"] == "tatsu-lab/alpaca"


def load(settings: PoolSettings, root: Path) -> Path:
    return ArtifactStore(root / "artifacts").run(
        load_stage(settings), scripted_tools(root / "r", ScriptedLLM(reply))
    )


def test_every_row_left_out_stands_in_the_file_with_its_line(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "p.jsonl", 8)
    questions = questions_file(tmp_path, {"question_id": "q7", "text": "tell me about cooking, number 5!"})
    folder = load(PoolSettings(source=str(pool), questions=str(questions)), tmp_path)
    (dropped,) = read_jsonl(folder / "dropped.jsonl")
    assert (dropped["line"], dropped["reason"]) == (6, "contaminated")
    assert dropped["detail"] == "same_words as test question q7: 'tell me about cooking, number 5!'"
    folder = load(PoolSettings(source=str(pool), holdout=3), tmp_path)
    held = list(read_jsonl(folder / "dropped.jsonl"))
    asked = {row["id"] for row in read_jsonl(folder / "questions.jsonl")}
    assert {row["id"] for row in held} == asked and len(asked) == 3
    assert all(row["reason"] == "held_out" and row["line"] >= 1 for row in held)
    assert len(Pool.read(folder / "pool.parquet")) == 5


def test_notes_of_the_reading_are_told_by_every_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"Question": f"What is {i}?", "Answer": f"Number {i}.", "tools": [i]} for i in range(4)]
    pool = questions_file(tmp_path, *rows, name="pool.jsonl")
    for budget in (1, 2):
        caplog.clear()
        settings = SelectSettings(pool=PoolSettings(source=str(pool)), method="longest", budget=budget)
        select(settings, tmp_path / "out.jsonl")
        assert caplog.text.count("not supported and left out: tools (4 of 4 rows)") == 1
        assert caplog.text.count("recognised by their names: prompt=Question, response=Answer") == 1
