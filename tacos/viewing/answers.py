"""What the models of a run answered, side by side, with what judges said (`tacos.viewing.verdicts`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field

from eval.pairwise.five_sets import SETS
from tacos.store import tables
from tacos.types import Question, Record
from tacos.viewing.run_folder import RunFolder
from tacos.viewing.verdicts import OWN, ArmAnswer, answers_of, sets_of

PUBLIC = ("mt_bench", "alpaca_eval", *SETS)


class AnswerQuery(Record):
    """What a page of answers is asked for."""

    of: str = ""
    """The question set: "" for the run's own, else such as mt_bench, alpaca_eval, vicuna."""
    arm: str = ""
    seed: int | None = None
    """The first of the arm when unset."""
    other: str = ""
    filter: Literal["all", "disagree", "flipped"] = "all"
    """disagree: `arm` and `other` came out differently; flipped: a verdict that changed with the order."""
    q: str = Field(default="", max_length=500)
    """Words that stand together in a question or an answer."""
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=25, ge=1, le=200)


class AnsweredQuestion(Record):
    """A question with every arm's answer."""

    id: str
    turns: list[str]
    set: str = ""
    category: str = ""
    answer: str | None = None
    """The short one that is checked for."""
    reference: str | None = None
    answers: list[ArmAnswer]


class AnswerPage(Record):
    """Some questions, and how many there are."""

    total: int
    offset: int
    questions: list[AnsweredQuestion]


class AnswerBook:
    """The answers of one run."""

    def __init__(self, run: RunFolder, load: Path):
        """load: the folder of the stage that holds the questions."""
        self.run, self.load = run, load
        self._read: dict[str, list[AnsweredQuestion]] = {}

    @cached_property
    def steps(self) -> dict[tuple[str, int], Mapping[str, Path]]:
        """Of arms and seeds that answered."""
        return {
            (arm, seed): own
            for (arm, seed), own in self.run.steps.items()
            if seed is not None and sets_of(own)
        }

    @property
    def sets(self) -> list[str]:
        """Names of the question sets, the run's own first."""
        found = dict.fromkeys(name for own in self.steps.values() for name in sets_of(own))
        return sorted(found, key=lambda name: name != OWN)

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(arm for arm, _ in self.steps))

    def questions(self, of: str) -> list[AnsweredQuestion]:
        """Of a set, in the order of asking. Raises: KeyError for one that is not there."""
        if of not in self._read:
            if of not in self.sets:
                raise KeyError(of)
            self._read[of] = self._read_set(of)
        return self._read[of]

    def _read_set(self, of: str) -> list[AnsweredQuestion]:
        own = [question for question in tables.read_tested(self.load) if _is_of(question, of)]
        asked = {question.id.removeprefix(f"{of}/") if of else question.id: question for question in own}
        told = [answers_of(of, *key, steps, asked) for key, steps in self.steps.items()]
        found = []
        for id_, question in asked.items():
            answers = [each[id_] for each in told if id_ in each]
            if answers:
                data = {**question.model_dump(), "id": id_, "answers": answers}
                found.append(AnsweredQuestion.model_validate(data))
        return found

    def page(self, query: AnswerQuery) -> AnswerPage:
        """Of one seed: the asked one, or the arm's first. Raises: KeyError as `questions`."""
        seed = query.seed if query.seed is not None else self._first_seed(query.arm)
        rows = [
            question.model_copy(update={"answers": [a for a in question.answers if a.seed == seed]})
            for question in self.questions(query.of)
        ]
        rows = [row for row in rows if row.answers and _asked_for(row, query)]
        shown = rows[query.offset : query.offset + query.limit]
        return AnswerPage(total=len(rows), offset=query.offset, questions=shown)

    def _first_seed(self, arm: str) -> int | None:
        return min((seed for name, seed in self.steps if arm in ("", name)), default=None)


def _is_of(question: Question, of: str) -> bool:
    """Those of public benchmarks are named NAME/ID, which no question of a run's own may be."""
    return question.id.startswith(f"{of}/") if of else question.id.partition("/")[0] not in PUBLIC


def _asked_for(row: AnsweredQuestion, query: AnswerQuery) -> bool:
    own = next((a for a in row.answers if a.arm == query.arm), None)
    other = next((a for a in row.answers if a.arm == query.other), None)
    if query.filter == "flipped":
        asked = [own, other] if query.arm else row.answers
        if not any(a.flipped for a in asked if a):
            return False
    if query.filter == "disagree" and not (own and other and _differ(own, other)):
        return False
    text = query.q.strip().lower()
    said = [*row.turns, *(turn for answer in row.answers for turn in answer.turns)]
    return not text or any(text in turn.lower() for turn in said)


def _differ(own: ArmAnswer, other: ArmAnswer) -> bool:
    """Whether two answers came out differently. The baseline is never judged, since it ties with itself."""
    if own.exact_match is not None and other.exact_match is not None and own.exact_match != other.exact_match:
        return True
    if own.value is not None and other.value is not None and own.value != other.value:
        return True
    results = {own.result or "tie", other.result or "tie"}
    return "unparsed" not in results and len(results) == 2
