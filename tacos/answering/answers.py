"""Answer files, in FastChat's form and our own; both are read wherever answers are.

    {"question_id": "81", "model": "tiny", "turns": ["...", "..."], "fingerprint": "9f..."}         ours
    {"question_id": 81, "answer_id": "9f...", "model_id": "tiny",
     "choices": [{"index": 0, "turns": ["...", "..."]}], "tstamp": 1720000000.0}                   FastChat's

The fingerprint names what an answer was made from (`tacos.answering.answer_file`). FastChat gives every answer a random
`answer_id`; here it is the fingerprint. Of several choices the first is read, as FastChat's judge does. Where an answer
was cut off or lost a reasoning block, `finish_reasons` and `reasoned` say so in either form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tacos.data.clean import is_finite
from tacos.data.published import published_rows
from tacos.data.rows import Row
from tacos.types import Answer, Record

Style = Literal["answers", "fastchat"]
BAD_ROW = (KeyError, TypeError, ValueError, IndexError)
"""What `parse_answer` raises for a row that is no answer."""


class StoredAnswer(Record):
    """One line of an answer file."""

    answer: Answer
    fingerprint: str = ""
    """What it was made from; "" where the file does not say."""
    tstamp: float | None = None
    """When it was made, in seconds since 1970, where the file says."""


class AnswersRead(Record):
    """An answer file. Of two answers of a model to one question the first counts."""

    answers: tuple[Answer, ...]
    bad: tuple[str, ...]
    """Lines that hold no answer, each with its number and reason."""
    duplicates: int
    """Further answers of a model to a question, which are left out."""

    @property
    def models(self) -> list[str]:
        """In order of appearance; more than one where files were mixed."""
        return list(dict.fromkeys(answer.model for answer in self.answers))


def read_answers(path: Path) -> AnswersRead:
    """Answers in either form, from JSONL or a JSON array.

    Raises: PoolError when the file cannot be read as a whole.
    """
    answers: dict[tuple[str, str], Answer] = {}
    bad: list[str] = []
    duplicates = 0
    for row in published_rows(path):
        try:
            answer = parse_answer(row).answer
        except BAD_ROW as error:
            bad.append(f"line {row.line}: {bad_reason(error)}")
            continue
        key = (answer.model, answer.question_id)
        duplicates += key in answers
        answers.setdefault(key, answer)
    return AnswersRead(answers=tuple(answers.values()), bad=tuple(bad), duplicates=duplicates)


def parse_answer(row: Row) -> StoredAnswer:
    """Raises: one of BAD_ROW for a row that is no answer."""
    value = row.value
    if row.error is not None:
        raise ValueError(f"no JSON: {row.error}")
    if not isinstance(value, Mapping):
        raise TypeError(f"{type(value).__name__}, expected an object")
    if "choices" in value:
        turns, model, made = value["choices"][0]["turns"], value["model_id"], value.get("answer_id")
    else:
        turns, model, made = value["turns"], value["model"], value.get("fingerprint")
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in [*turns, model]):
        raise TypeError("turns must be a list of texts, and the model a text")
    return StoredAnswer(
        answer=Answer(
            question_id=_id(value["question_id"]),
            model=model,
            turns=tuple(turns),
            finish_reasons=_finish_reasons(value.get("finish_reasons")),
            reasoned=value["reasoned"] if isinstance(value.get("reasoned"), int) else 0,
        ),
        fingerprint=made if isinstance(made, str) else "",
        tstamp=_seconds(value.get("tstamp")),
    )


def _finish_reasons(value: Any) -> tuple[str | None, ...]:
    """() for what is none of ours."""
    listed = isinstance(value, list) and all(isinstance(item, str | None) for item in value)
    return tuple(value) if listed else ()


def _id(value: Any) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"question_id is {value!r}, expected a text or a whole number")


def _seconds(value: Any) -> float | None:
    return float(value) if is_finite(value) else None


def bad_reason(error: Exception) -> str:
    """Why a row is no answer, of what `parse_answer` raised."""
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def answer_row(stored: StoredAnswer, style: Style) -> dict[str, Any]:
    """The line of an answer."""
    answer = stored.answer
    if style == "answers":
        return {**answer.model_dump(mode="json", exclude_defaults=True), "fingerprint": stored.fingerprint}
    return {
        "question_id": fastchat_id(answer.question_id),
        "answer_id": stored.fingerprint,
        "model_id": answer.model,
        "choices": [{"index": 0, "turns": list(answer.turns)}],
        "tstamp": stored.tstamp,
        **({"finish_reasons": list(answer.finish_reasons)} if answer.finish_reasons else {}),
        **({"reasoned": answer.reasoned} if answer.reasoned else {}),
    }


def fastchat_id(question_id: str) -> str | int:
    """FastChat's ids are numbers, which its tools sort by; "007" and "koala_0" stay as they are."""
    plain = question_id.isascii() and question_id.isdecimal() and not question_id.startswith("0")
    return int(question_id) if plain or question_id == "0" else question_id
