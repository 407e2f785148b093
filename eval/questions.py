"""Question files: FastChat's, the known test sets', AlpacaEval's, and rows of a like form.

    {"question_id": 81, "category": "writing", "turns": ["Write ...", "Shorten it."]}    FastChat
    {"id": "koala_0", "prompt": "List ..."}                                             Koala
    {"idx": 1, "Instruction": "If a car ...", "Skill": "Math"}                          WizardLM
    {"id": "task_0", "instruction": "Shorten", "instances": [{"input": "A text"}]}      Self-Instruct
    {"conversations": ["A question"], "source": "..."}                                  LIMA
    {"instruction": "Shorten", "input": "A text", "reference response": "..."}          CoachLM; PandaLM

A question without an id is named by its number, from 1. Context that stands in a column of its own (`input`) is
part of what is asked, after a blank line, as in training: the fourth row asks "Shorten", a blank line, "A text". One
of PandaLM's rows has a blank instruction; its context alone is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tacos.data.published import published_rows
from tacos.data.rows import Row
from tacos.errors import PoolError
from tacos.types import Question

ASKED = ("turns", "text", "instruction", "Instruction", "prompt", "conversations")
"""Keys that may hold a question; the first that is not empty is asked."""
LOST = "\ufffd"
"""What stands for a character that could not be read; nobody means to ask it."""
REFERENCES = ("reference", "reference response")
NAMED = ("question_id", "id", "idx")


def read_questions(path: Path) -> list[Question]:
    """Questions in any of the forms above, from JSONL or a JSON array.

    Raises: PoolError when there is no such file, or with the path and the line of the first row that is no
        question, or whose id an earlier row has (answers and verdicts are matched by it).
    """
    questions: list[Question] = []
    lines: dict[str, int] = {}
    for row in published_rows(existing(path)):
        where = f"{path} line {row.line}"
        question = _question(row, len(questions) + 1, where)
        if question.id in lines:
            raise PoolError(
                f"{where}: question id {question.id!r} stands in line {lines[question.id]} too; "
                "give each question its own"
            )
        lines[question.id] = row.line
        questions.append(question)
    return questions


def read_question_sets(files: Mapping[str, str]) -> list[Question]:
    """The questions of every file, each with its set. files: set -> file; a set without a name stays as it is.

    Ids get the name of their set, since files number their questions alike: "vicuna/1". Raises: PoolError.
    """
    return [
        question.model_copy(update={"id": f"{name}/{question.id}", "set": name}) if name else question
        for name, path in files.items()
        for question in read_questions(Path(path))
    ]


def existing(path: Path) -> Path:
    """The path itself. Raises: PoolError when it is no file."""
    if not path.is_file():
        raise PoolError(f"no questions file {path}: check its path")
    return path


def _question(row: Row, number: int, where: str) -> Question:
    """number: the id of a question that has none."""
    value = row.value
    if row.error is not None:
        raise PoolError(f"{where} is not JSON: {row.error}")
    if not isinstance(value, dict):
        raise PoolError(f"{where} holds {type(value).__name__}, expected an object with a question")
    if LOST in json.dumps(value, ensure_ascii=False):
        raise PoolError(
            f"{where} holds bytes that are not UTF-8, or half a character: save the file as UTF-8"
        )
    key = next((key for key in ASKED if value.get(key)), None)
    if key is None:
        raise PoolError(f"{where} has no question: give turns, text, instruction or prompt")
    try:
        return Question(
            id=str(next((value[key] for key in NAMED if value.get(key) is not None), number)),
            turns=_turns(value, key),
            category=str(value.get("category") or ""),
            reference=next((value[key] for key in REFERENCES if isinstance(value.get(key), str)), None),
            answer=_scalar_text(value.get("answer")),
        )
    except ValidationError as error:
        problem = error.errors()[0]
        raise PoolError(
            f"{where}: {problem['loc'][0]} is {str(problem['input'])[:80]!r}: {problem['msg']}"
        ) from error


def _turns(value: Mapping[str, Any], key: str) -> Any:
    """What the user says, turn by turn; what is no text stays, to be refused."""
    asked = value[key]
    if key == "conversations" and isinstance(asked, list):
        return asked[::2]  # bare texts, the user's and the assistant's in turn
    if not isinstance(asked, str):
        return asked
    parts = [part for part in (asked, context_of(value)) if part.strip()]
    return ("\n\n".join(parts) or asked,)


def context_of(value: Mapping[str, Any]) -> str:
    """What a row keeps apart from its instruction, "" for nothing; Self-Instruct's stands in its first instance."""
    instances = value.get("instances")
    held = instances[0] if isinstance(instances, list) and instances else value
    context = held.get("input") if isinstance(held, Mapping) else None
    return context.strip() if isinstance(context, str) else ""


def _scalar_text(value: Any) -> Any:
    """`"answer": 4` means the text 4; what is no scalar stays, to be refused as no text."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value
