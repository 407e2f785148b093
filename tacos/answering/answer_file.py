"""Answering into a file, so that a run that is killed goes on where it stopped.

An answer is a whole line, written when its last turn is there, with a fingerprint of what it was made from: the
model by content, the settings that change it, the question's text, and the seed where it is drawn. The next run keeps
the lines whose fingerprint is still right and asks the rest: with 30 of 80 answers there it asks 50. The batch
size, the device and the label of the model may change in between. A line that a kill has cut off is owed again.

Lines of another model, other settings or other questions are never mixed in: the run stops and says how many there
are, or drops them where it is told to `replace`. At the end the lines are put into the questions' order.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tacos.answering.answers import BAD_ROW, StoredAnswer, Style, answer_row, bad_reason, parse_answer
from tacos.answering.asking import Replied, answer, requests_behind
from tacos.answering.candidate import Candidate
from tacos.answering.faults import AnswerFaults, faults_in
from tacos.data.rows import read_rows
from tacos.errors import TacosError
from tacos.store.files import cannot_write, write_jsonl
from tacos.store.fingerprint import fingerprint
from tacos.types import Answer, Question, Record

log = logging.getLogger(__name__)

OTHER_QUESTION = "to a question that is not asked"
OTHER_ORIGIN = "of another model, other settings or another wording"
NO_ANSWER = "that holds no answer"


class AnswerRun(Record):
    """What became of every question: `expected == len(answers) + len(failed)`."""

    answers: tuple[Answer, ...]
    """In the questions' order."""
    expected: int
    kept: int
    """Answers that an earlier run had written."""
    empty: int
    """Answers with a turn in which the model said nothing. They are kept: to say nothing is an answer."""
    faults: AnswerFaults
    """What is wrong with them, turn by turn."""
    failed: dict[str, str]
    """Question id -> why it has no answer; the next run asks it again."""
    torn: int
    """Lines that a kill had cut off, asked again."""
    duplicates: int
    """Second answers to a question in the file, of which the first was kept."""
    dropped: dict[str, int]
    """Why -> lines that did not belong; only where told to replace."""


def answer_file(
    candidate: Candidate,
    questions: Sequence[Question],
    out: Path,
    model_name: str,
    seed: int = 0,
    style: Style = "answers",
    replace: bool = False,
    clock: Callable[[], float] = time.time,
) -> AnswerRun:
    """Answer every question into `out`, going on where an earlier run stopped.

    model_name: the label of all answers. replace: drop lines that do not belong.

    Raises: TacosError when two questions share an id, `out` holds lines that do not belong or cannot be written, or
        nothing can be asked at all; the answers so far are then in `out`.
    """
    owed = what_is_owed(candidate, questions, seed)
    found = find(out, owed)
    if found.other and not replace:
        raise TacosError(_refusal(out, found))
    file = _AnswerFile(out, owed, style, model_name, clock)
    file.keep(found.rows)
    left = [question for question in questions if question.id not in found.rows]
    if found.rows:
        _recall(candidate, [question for question in questions if question.id in found.rows], found, seed)
        log.info("%s holds %d of %d answers, %d are asked", out, len(found.rows), len(owed), len(left))
    failed = _fill(file, candidate, left, seed)
    answers = tuple(row.answer for row in file.in_order())
    return AnswerRun(
        answers=answers,
        expected=len(owed),
        kept=len(found.rows),
        empty=sum(not all(turn.strip() for turn in a.turns) for a in answers),
        faults=faults_in(answers),
        failed=failed,
        torn=found.torn,
        duplicates=found.duplicates,
        dropped=dict(found.other),
    )


class Owed(NamedTuple):
    """The answer that a question needs. fingerprint: what it is made from. turns: replies in it."""

    fingerprint: str
    turns: int


def what_is_owed(candidate: Candidate, questions: Sequence[Question], seed: int) -> dict[str, Owed]:
    """By question id. A greedy answer does not depend on the seed.

    Raises: TacosError when two questions share an id.
    """
    counts = Counter(question.id for question in questions)
    if len(counts) < len(questions):
        twice = next(id_ for id_, count in counts.items() if count > 1)
        raise TacosError(f"question id {twice!r} stands for {counts[twice]} questions; give each its own")
    identity = candidate.identity
    made = {}
    for question in questions:
        temperature = candidate.settings.temperature_of(question.category)
        drawn = [seed, question.id] if temperature > 0 else None
        name = fingerprint([identity, temperature, drawn, question.turns])
        made[question.id] = Owed(name, len(question.turns))
    return made


@dataclass
class Found:
    """What an answer file holds for some questions. other: why -> lines that do not belong."""

    rows: dict[str, StoredAnswer] = field(default_factory=dict)
    torn: int = 0
    duplicates: int = 0
    other: Counter[str] = field(default_factory=Counter)
    first: str = ""
    """The first line that does not belong, for the error message."""

    def refuse(self, line: int, why: str, detail: str = "") -> None:
        """Count a line that does not belong."""
        self.other[why] += 1
        self.first = self.first or f"line {line} is one {why}{detail}"


def find(out: Path, owed: Mapping[str, Owed]) -> Found:
    """The answers in `out` that are owed, by question id.

    Raises: PoolError when the file cannot be read as a whole.
    """
    found = Found()
    if not out.exists():
        return found
    rows, cut_off = list(read_rows(out)), _ends_in_mid_line(out)
    for row in rows:
        try:
            stored = parse_answer(row)
        except BAD_ROW as error:
            if row is rows[-1] and cut_off:
                found.torn += 1
            else:
                found.refuse(row.line, NO_ANSWER, f" ({bad_reason(error)})")
            continue
        id_ = stored.answer.question_id
        if id_ not in owed:
            found.refuse(row.line, OTHER_QUESTION, f" ({id_!r})")
        elif (stored.fingerprint, len(stored.answer.turns)) != owed[id_]:
            found.refuse(row.line, OTHER_ORIGIN, f" (question {id_!r})")
        elif id_ in found.rows:
            found.duplicates += 1
        else:
            found.rows[id_] = stored
    return found


def _ends_in_mid_line(path: Path) -> bool:
    """Whether the last line is the beginning of a row of ours; a file of something else is not ours to mend."""
    last = path.read_bytes().rpartition(b"\n")[2]
    return last.startswith(b"{")


def _refusal(out: Path, found: Found) -> str:
    counts = ", ".join(f"{count} {why}" for why, count in found.other.items())
    return (
        f"{out} holds {found.other.total()} lines that do not belong here ({counts}; {found.first}), beside "
        f"{len(found.rows)} that do: choose another file, or replace what it holds"
    )


class _AnswerFile:
    """The answers of a run in their file."""

    def __init__(
        self, out: Path, owed: Mapping[str, Owed], style: Style, model: str, clock: Callable[[], float]
    ):
        self.out = out
        self.owed = owed
        self.style = style
        self.model = model
        self.clock = clock
        self.rows: dict[str, StoredAnswer] = {}

    def keep(self, rows: Mapping[str, StoredAnswer]) -> None:
        """Begin with the answers of an earlier run, under this run's label."""
        for id_, row in rows.items():
            named = row.answer.model_copy(update={"model": self.model})
            when = self.clock() if row.tstamp is None else row.tstamp
            self.rows[id_] = row.model_copy(update={"answer": named, "tstamp": when})
        self.rewrite()  # a file that cannot be written is found out before a model is loaded

    def add(self, id_: str, replied: Replied) -> None:
        """Raises: TacosError when the file cannot be written."""
        made = replied.answer(id_, self.model)
        self.rows[id_] = StoredAnswer(
            answer=made, fingerprint=self.owed[id_].fingerprint, tstamp=self.clock()
        )
        line = json.dumps(answer_row(self.rows[id_], self.style), ensure_ascii=False)
        try:
            with self.out.open("a", encoding="utf-8") as file:  # closed: the system has it, whatever kills us
                file.write(line + "\n")
        except OSError as error:
            raise cannot_write(self.out, error) from error

    def in_order(self) -> list[StoredAnswer]:
        """The answers so far, in the questions' order."""
        return [self.rows[id_] for id_ in self.owed if id_ in self.rows]

    def rewrite(self) -> None:
        """The whole file, in the questions' order; written beside it first, so that a kill leaves the old one."""
        write_jsonl(self.out, (answer_row(row, self.style) for row in self.in_order()))


def _recall(candidate: Candidate, kept: Sequence[Question], found: Found, seed: int) -> None:
    """A cap holds for all answers of a run, those it finds done too."""
    answered = [(question, found.rows[question.id].answer.turns) for question in kept]
    requests = [requests_behind(candidate, question, turns, seed) for question, turns in answered]
    candidate.count_again([request for behind in requests for request in behind])


def _fill(file: _AnswerFile, candidate: Candidate, left: Sequence[Question], seed: int) -> dict[str, str]:
    """Ask what is left; returns question id -> why there is no answer."""
    failed: dict[str, str] = {}
    for replied in answer(candidate, left, seed):
        id_ = left[replied.index].id
        if replied.error is None:
            file.add(id_, replied)
        else:
            failed[id_] = replied.error
    file.rewrite()
    if failed:
        id_, why = next(iter(failed.items()))
        log.warning("%d of %d questions have no answer, the first %s: %s", len(failed), len(left), id_, why)
    return failed
