"""The known question sets of two-order reviews, and files of answers to them.

Five of Cherry LLM and TACOS: Vicuna 80, Koala 180, WizardLM 218, Self-Instruct 252 and LIMA 300 questions. CaR
judges on Vicuna, Self-Instruct and two more: PandaLM 170 and CoachLM 150. Each file has keys of its own;
`eval.questions` reads them. `read_outputs` takes FastChat's answers, our own, and plain rows of {question_id or
instruction, output} or {prompt, response}.

Rows find their question by its text (white space aside), else by id. Two of WizardLM's questions are
asked twice, so a text may be found as often as the set asks it; after that it is a duplicate:

    questions  1 "Why?"   2 "Why?"   3 "How?"
    answers    "Why?", "why ?", "Why?", "How?", "Why?"   ->  1, unknown, 2, 3, duplicate
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from eval.questions import context_of
from tacos.data.published import published_rows
from tacos.errors import ConfigError, TacosError, nearest
from tacos.types import Question, Record

TEXT_KEYS = ("text", "prompt", "Instruction", "instruction", "question", "conversations")
"""Where a question's text may stand, in the order in which they are looked at."""
OUTPUT_KEYS = ("output", "response", "answer")
ID_KEYS = ("question_id", "id", "idx")


class SetFacts(Record):
    """A known set: its file in `tacos.assets`, its size, how many texts of it are distinct, the file's name of a
    question."""

    file: str
    questions: int
    distinct: int
    key: str


SETS = {
    "vicuna": SetFacts(file="test_sets/vicuna.jsonl", questions=80, distinct=80, key="text"),
    "koala": SetFacts(file="test_sets/koala.jsonl", questions=180, distinct=180, key="prompt"),
    "wizardlm": SetFacts(file="test_sets/wizardlm.jsonl", questions=218, distinct=216, key="Instruction"),
    "sinstruct": SetFacts(file="test_sets/sinstruct.jsonl", questions=252, distinct=252, key="instruction"),
    "lima": SetFacts(file="test_sets/lima.jsonl", questions=300, distinct=300, key="conversations"),
    "pandalm": SetFacts(file="test_sets/pandalm170.json", questions=170, distinct=170, key="instruction"),
    "coachlm": SetFacts(file="test_sets/coachlm150.json", questions=150, distinct=150, key="instruction"),
}


class BadRow(Record):
    """A row left out, and why."""

    line: int
    """1-based line of the file where the row starts."""
    reason: str


class OutputRow(Record):
    """One answer as it stands in a file; it names its question by id, by text, or both."""

    line: int
    question_id: str | None = None
    question: str | None = None
    model: str | None = None
    output: str


class OutputFile(Record):
    """One model's answers, and the rows that are none."""

    source: str
    model: str
    """As the rows say; the file's stem where they do not."""
    rows: list[OutputRow]
    bad: list[BadRow] = Field(default_factory=list)


class Matched(Record):
    """Answers joined with their questions. Empty answers are answers, and counted."""

    outputs: dict[str, str]
    """Question id -> answer, in the order of the questions."""
    missing: list[str]
    """Ids of questions without an answer."""
    duplicate: int
    """Rows whose question has its answer already; the first one stands."""
    unknown: int
    """Rows whose question the set does not ask."""
    empty: int


Fate = Literal["found", "duplicate", "unknown"]


class Taken(NamedTuple):
    """What became of a row: its question where it is found."""

    fate: Fate
    question: Question | None = None


class Matcher:
    """Finds the question of each row, each question once."""

    def __init__(self, questions: Sequence[Question]):
        self._by_id = {question.id: question for question in questions}
        self._by_text: dict[str, list[Question]] = {}
        self._by_opening: dict[str, list[Question]] = {}
        for question in questions:
            self._by_text.setdefault(plain(question.turns[0]), []).append(question)
            for opening in _openings(question.turns[0]):
                self._by_opening.setdefault(opening, []).append(question)
        self._used: set[str] = set()

    def take(self, id_: str | None, text: str | None) -> Taken:
        """By text where the row has one, and by id among questions of the same text."""
        asked = self._asking(text) if text is not None else [q for q in [self._by_id.get(id_ or "")] if q]
        free = [question for question in asked if question.id not in self._used]
        if not free:
            return Taken("duplicate" if asked else "unknown")
        named = [question for question in asked if question.id == id_]
        if named and named[0] not in free:
            return Taken("duplicate")
        question = (named or free)[0]
        self._used.add(question.id)
        return Taken("found", question)

    def _asking(self, text: str) -> list[Question]:
        """Questions of this text, else those it is the first part of: some files leave out the input."""
        return self._by_text.get(plain(text)) or self._by_opening.get(plain(text), [])


def _openings(text: str) -> set[str]:
    """What stands before each empty line of a text."""
    parts = text.split("\n\n")
    return {plain("\n\n".join(parts[:end])) for end in range(1, len(parts))} - {""}


def plain(text: str) -> str:
    """Runs of white space as one space."""
    return " ".join(text.split())


def known_set(name: str) -> str:
    """The known set that a word of `name` begins with ("pairwise_reviews_koala_gpt4" -> "koala"), else `name`."""
    written = re.sub("self[-_]?instruct", "sinstruct", name.lower())
    inside = [known for known in SETS if re.search(f"(?<![a-z]){known}", written)]
    return inside[0] if len(inside) == 1 else name


def set_file(name: str) -> str:
    """The asset that holds a known set's questions. Raises: ConfigError for any other set."""
    known = known_set(name)
    if known not in SETS:
        raise ConfigError(
            f"--set {name!r} is not a known question set, so name its file with --questions: {nearest(name, SETS)}"
        )
    return SETS[known].file


def question_text(row: dict[str, Any]) -> str | None:
    """The first question a row asks: its text, and its input after an empty line."""
    value = next((row[key] for key in TEXT_KEYS if row.get(key)), None)
    if isinstance(value, list):
        value = value[0]
    if isinstance(value, dict):
        value = value.get("value") or value.get("content")
    if not isinstance(value, str):
        return None
    return "\n\n".join(part for part in (value, context_of(row)) if part.strip()) or None


def row_id(row: dict[str, Any]) -> str | None:
    value = next((row[key] for key in ID_KEYS if row.get(key) is not None), None)
    return None if value is None else str(value)


def read_outputs(path: Path, model: str | None = None) -> OutputFile:
    """The answers in a file; `model` picks those of one model.

    Raises: TacosError where there is no answer, or several models' and none is picked.
    """
    rows: list[OutputRow] = []
    bad: list[BadRow] = []
    for line, value, error in published_rows(path):
        found = _output(line, value) if error is None else error
        if isinstance(found, OutputRow):
            rows.append(found)
        else:
            bad.append(BadRow(line=line, reason=found))
    if not rows:
        why = f"; line {bad[0].line}: {bad[0].reason}" if bad else ""
        raise TacosError(f"{path} holds no answers{why}")
    name = model or _only_model(path, rows)
    picked = [row for row in rows if row.model in (name, None)]
    if not picked:
        raise TacosError(f"{path} holds no answers of {name!r}; {nearest(name, _models(rows))}")
    return OutputFile(source=str(path), model=name, rows=picked, bad=bad)


def _output(line: int, row: Any) -> OutputRow | str:
    """An answer, or why there is none."""
    if not isinstance(row, dict):
        return f"expected an object, found {type(row).__name__}"
    output, asked = _answer_text(row)
    if not isinstance(output, str):
        return "no answer: expected `choices`, `turns`, `output`, or FastChat's older `text`"
    id_, text = row_id(row), question_text(asked)
    if id_ is None and text is None:
        return "names no question: expected `question_id` or `instruction`"
    model = next((row[key] for key in ("model_id", "model", "generator") if row.get(key)), None)
    return OutputRow(line=line, question_id=id_, question=text, model=model and str(model), output=output)


def _answer_text(row: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The first turn of the answer, and the part of the row that may ask the question."""
    turns = row.get("turns")
    choices = row.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        turns = choices[0].get("turns")
    if turns is not None:
        return (turns[0] if isinstance(turns, list) and turns else turns), row
    given = [row[key] for key in OUTPUT_KEYS if key in row]
    if given:
        return given[0], row
    older = "answer_id" in row or "model_id" in row
    return (row.get("text") if older else None), {k: v for k, v in row.items() if k != "text"}


def _models(rows: Iterable[OutputRow]) -> Counter[str]:
    return Counter(row.model for row in rows if row.model)


def _only_model(path: Path, rows: Sequence[OutputRow]) -> str:
    models = _models(rows)
    if len(models) > 1:
        counts = ", ".join(f"{name} ({count})" for name, count in models.most_common())
        raise TacosError(f"{path} holds answers of {len(models)} models: {counts}; name the one to judge")
    return next(iter(models), path.stem)


def match(questions: Sequence[Question], answers: OutputFile) -> Matched:
    """Each question's answer, and the counts of what could not be joined."""
    matcher, fates, found = Matcher(questions), Counter[Fate](), {}
    for row in answers.rows:
        fate, question = matcher.take(row.question_id, row.question)
        fates[fate] += 1
        if question:
            found[question.id] = row.output
    return Matched(
        outputs={q.id: found[q.id] for q in questions if q.id in found},
        missing=[q.id for q in questions if q.id not in found],
        duplicate=fates["duplicate"],
        unknown=fates["unknown"],
        empty=sum(not output.strip() for output in found.values()),
    )
