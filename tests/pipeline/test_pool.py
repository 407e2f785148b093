"""The load stage: test questions from files and from held-out rows, and sources that do not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacos.errors import PoolError
from tacos.pipeline.pool import hold_out, load_stage, read_questions
from tacos.pipeline.settings import PoolSettings
from tacos.types import Message, Pool, Sample


def questions_file(folder: Path, *rows: Any, name: str = "questions.jsonl") -> Path:
    """One line per row; text goes in as it is."""
    path = folder / name
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def chat(id: str, *contents: str, system: str | None = None) -> Sample:
    turns = [
        Message(role="assistant" if i % 2 else "user", content=content) for i, content in enumerate(contents)
    ]
    head = [Message(role="system", content=system)] if system else []
    return Sample(id=id, messages=(*head, *turns))


def test_held_out_conversations_pair_the_first_turn_with_its_own_reply() -> None:
    samples = [chat("a", "One?", "First.", "Two?", "Second.", system="Be brief."), chat("b", "Q?", "A.")]
    pool, questions = hold_out(Pool.from_samples([*samples, chat("c", "x", "y")]), 2, seed=1)
    asked = {q.id: (q.turns, q.reference) for q in questions}
    everything = {
        "a": (("One?",), "First."),
        "b": (("Q?",), "A."),
        "c": (("x",), "y"),
    }
    assert len(pool) == 1 and asked == {id_: everything[id_] for id_ in asked}
    _, both = hold_out(Pool.from_samples([*samples, chat("c", "x", "y")]), 2, seed=1)
    assert both == questions and "a" in asked


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
        ("{torn", "is no JSON"),
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
    with pytest.raises(PoolError, match=r"line 1 is no JSON: not UTF-8"):
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
