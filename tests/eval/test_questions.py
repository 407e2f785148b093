"""Question files in the forms they come in; errors are told in tests/pipeline/test_pool.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.questions import read_questions
from tacos.errors import PoolError
from tacos.types import Question


def read(folder: Path, *rows: Any) -> list[Question]:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_questions(path)


@pytest.mark.parametrize(
    ("row", "id_", "turns", "category"),
    [
        ({"question_id": 81, "category": "writing", "turns": ["a", "b"]}, "81", ("a", "b"), "writing"),
        ({"question_id": 0, "text": "a", "category": None}, "0", ("a",), ""),
        ({"id": "koala_0", "prompt": "a"}, "koala_0", ("a",), ""),
        ({"idx": 3, "Instruction": "a", "Skill": "Math", "Difficulty": 1}, "3", ("a",), ""),
        ({"conversations": ["a"], "source": ""}, "1", ("a",), ""),
        ({"conversations": ["a", "reply", "b"]}, "1", ("a", "b"), ""),
        ({"id": "t", "instruction": "a", "instances": [{"input": "b", "output": "c"}]}, "t", ("a\n\nb",), ""),
        ({"instruction": "a", "instances": [{"input": "", "output": "c"}]}, "1", ("a",), ""),
        ({"instruction": "a", "instances": []}, "1", ("a",), ""),
        ({"instruction": "a", "input": " b\n"}, "1", ("a\n\nb",), ""),
        ({"dataset": "d", "instruction": "a", "output": "b", "generator": "g"}, "1", ("a",), ""),
    ],
)
def test_forms(tmp_path: Path, row: Any, id_: str, turns: tuple[str, ...], category: str) -> None:
    assert read(tmp_path, row) == [Question(id=id_, turns=turns, category=category)]


@pytest.mark.parametrize("value", [[{"from": "human", "value": "a"}], [4], {"a": "b"}])
def test_conversations_of_another_form_are_no_questions(tmp_path: Path, value: Any) -> None:
    with pytest.raises(PoolError, match=r"questions.jsonl line 1: turns"):
        read(tmp_path, {"conversations": value})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match=r"no questions file .*nowhere\.jsonl"):
        read_questions(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize(
    ("name", "count", "first", "with_context"),
    [
        ("mt_bench/question.jsonl", 80, "81", 0),
        ("test_sets/vicuna.jsonl", 80, "1", 0),
        ("test_sets/koala.jsonl", 180, "koala_0", 0),
        ("test_sets/wizardlm.jsonl", 218, "1", 0),
        ("test_sets/sinstruct.jsonl", 252, "user_oriented_task_0", 208),
        ("test_sets/lima.jsonl", 300, "1", 0),
        ("test_sets/pandalm170.json", 170, "1", 0),
        ("test_sets/coachlm150.json", 150, "1", 0),
        ("alpaca_eval/gpt4_1106_preview_outputs.json", 805, "1", 0),
    ],
)
def test_the_benchmarks_are_read_whole(
    shared: Path, name: str, count: int, first: str, with_context: int
) -> None:
    path = shared / "assets" / name
    questions = read_questions(path)
    assert (len(questions), questions[0].id) == (count, first)
    assert {len(q.turns) for q in questions} == ({2} if "mt_bench" in name else {1})
    assert all(turn.strip() for q in questions for turn in q.turns)
    if with_context:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert (
            sum(r["instruction"] != q.turns[0] for r, q in zip(rows, questions, strict=True)) == with_context
        )


def test_a_blank_instruction_leaves_its_context_to_be_asked(tmp_path: Path) -> None:
    rows = [{"instruction": " ", "input": "Truthfulness"}, {"instruction": "Why?", "input": " "}]
    assert [question.turns for question in read(tmp_path, *rows)] == [("Truthfulness",), ("Why?",)]


def test_a_reference_stands_under_either_name(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "reference": "b"},
        {"instruction": "c", "reference response": "d"},
        {"prompt": "e"},
    ]
    assert [question.reference for question in read(tmp_path, *rows)] == ["b", "d", None]


def test_coachlm_brings_a_reference_for_each_question_and_pandalm_context(shared: Path) -> None:
    pandalm, coachlm = (
        read_questions(shared / f"assets/test_sets/{name}.json") for name in ("pandalm170", "coachlm150")
    )
    assert all(question.reference for question in coachlm)
    assert not any(question.reference for question in pandalm)
    assert pandalm[1].turns[0].endswith("the given brand.\n\na creative tech startup")
