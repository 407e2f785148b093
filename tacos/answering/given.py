"""Answer files that a user gives: whose answers they hold, and what there is to say about them.

a.jsonl of m1, b.jsonl of m2            two models
a.jsonl and b.jsonl, both of m1         one model, where they answer different questions or say the same;
                                        refused where they answer a question differently: that is two models
a second row of m1 for question 81      the first counts, and the note says so
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tacos.answering.answers import read_answers
from tacos.answering.faults import AnswerFaults, faults_in
from tacos.errors import TacosError
from tacos.types import Answer


@dataclass
class GivenAnswers:
    """models: model -> question id -> answer, in order of appearance. notes: file -> what a reader should know."""

    models: dict[str, dict[str, Answer]] = field(default_factory=dict)
    notes: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, AnswerFaults]:
        """By model."""
        return {name: faults_in(answers.values()) for name, answers in self.models.items()}


def read_given(paths: Sequence[Path]) -> GivenAnswers:
    """The answers in some files.

    Raises: TacosError for a file that cannot be read, for files without an answer, and for two files that answer a
        question differently under one model's name.
    """
    given, source = GivenAnswers(), dict[tuple[str, str], Path]()
    for path in paths:
        read = read_answers(path)
        given.notes += [(path, f"{reason}; it is left out") for reason in read.bad]
        if read.duplicates:
            given.notes.append((path, f"{read.duplicates:,} second answers to a question; the first counts"))
        again = Counter[Path]()
        for answer in read.answers:
            own = given.models.setdefault(answer.model, {})
            first = own.setdefault(answer.question_id, answer)
            before = source.setdefault((answer.model, answer.question_id), path)
            if first.turns != answer.turns:
                raise TacosError(
                    f"{before} and {path} both hold answers of {answer.model!r}, and to question {answer.question_id} "
                    "they differ: give each model a name of its own (model_id)"
                )
            again[before] += before != path
        given.notes += [(path, f"{n:,} answers stand in {first} too") for first, n in again.items() if n]
    if not given.models:
        why = f": {given.notes[0][1]}" if given.notes else ""
        raise TacosError(f"no answer in {', '.join(map(str, paths))}{why}")
    return given
