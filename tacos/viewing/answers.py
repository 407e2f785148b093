"""What the models of a run answered, side by side, with what the judge said in both orders.

    answers.jsonl    answer    question_id, turns
    matches.jsonl    answer    question_id, exact_match, where answers can be checked
    reviews.jsonl    judge     question_id, order_1 and order_2 (the arm's answer first, then second), result

A file that is not there leaves its part out.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.types import Record
from tacos.viewing.run_folder import RunFolder


class AnswerQuery(Record):
    """What a page of answers is asked for."""

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


class OrderVerdict(Record):
    """One order of a comparison, told from the arm's side."""

    own: float | None
    """Score of the arm's answer."""
    baseline: float | None
    """Score of the baseline's."""
    error: str | None = None
    raw: str | None = None
    """The judge's reply, where it was kept."""


class ArmAnswer(Record):
    """What one arm answered to one question."""

    arm: str
    seed: int
    turns: list[str]
    exact_match: bool | None = None
    """None where answers cannot be checked."""
    result: str | None = None
    """win, tie or lose against the baseline, or unparsed; None where nothing was judged."""
    orders: list[OrderVerdict] = Field(default_factory=list)
    """The arm's answer shown first, then second."""
    flipped: bool = False
    """Whether the two orders prefer different sides."""


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

    @cached_property
    def stages(self) -> dict[tuple[str, int], dict[str, Path]]:
        """Arm and seed -> its folders by stage; those that answered only."""
        return {
            (arm, seed): own
            for (arm, seed), own in self.run.steps.items()
            if seed is not None and "answer" in own
        }

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(arm for arm, _ in self.stages))

    @cached_property
    def questions(self) -> list[AnsweredQuestion]:
        """In the order of asking."""
        told = {key: _answers(*key, folders) for key, folders in self.stages.items()}
        found = []
        for question in tables.read_tested(self.load):
            own = [answers[question.id] for answers in told.values() if question.id in answers]
            data = {**question.model_dump(), "answers": own}
            if own:
                found.append(AnsweredQuestion.model_validate(data))
        return found

    def page(self, query: AnswerQuery) -> AnswerPage:
        """Of one seed: the asked one, or the arm's first."""
        seed = query.seed if query.seed is not None else self._first_seed(query.arm)
        rows = [
            question.model_copy(update={"answers": [a for a in question.answers if a.seed == seed]})
            for question in self.questions
        ]
        rows = [row for row in rows if row.answers and _asked_for(row, query)]
        shown = rows[query.offset : query.offset + query.limit]
        return AnswerPage(total=len(rows), offset=query.offset, questions=shown)

    def _first_seed(self, arm: str) -> int | None:
        return min((seed for name, seed in self.stages if arm in ("", name)), default=None)


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
    results = {own.result or "tie", other.result or "tie"}
    return "unparsed" not in results and len(results) == 2


def _answers(arm: str, seed: int, folders: dict[str, Path]) -> dict[str, ArmAnswer]:
    """Question id -> answer."""
    matched = {row["question_id"]: row["exact_match"] for row in _lines(folders["answer"] / "matches.jsonl")}
    judge = folders.get("judge")
    reviews = {row["question_id"]: row for row in (_lines(judge / "reviews.jsonl") if judge else [])}
    found = {}
    for row in _lines(folders["answer"] / "answers.jsonl"):
        id_ = row["question_id"]
        found[id_] = ArmAnswer(
            arm=arm,
            seed=seed,
            turns=row["turns"],
            exact_match=matched.get(id_),
            **_judged(reviews.get(id_, {})),
        )
    return found


def _judged(review: dict[str, Any]) -> dict[str, Any]:
    orders = [
        OrderVerdict(own=side[own], baseline=side[other], error=side.get("error"), raw=side.get("raw"))
        for order, own, other in (("order_1", "score_1", "score_2"), ("order_2", "score_2", "score_1"))
        if (side := review.get(order)) and own in side and other in side
    ]
    sides = {_sign(order.own - order.baseline) for order in orders if _read(order)}  # type: ignore[operator]
    return {"result": review.get("result"), "orders": orders, "flipped": sides == {-1, 1}}


def _read(order: OrderVerdict) -> bool:
    return order.own is not None and order.baseline is not None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _lines(path: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(path)) if path.is_file() else []
