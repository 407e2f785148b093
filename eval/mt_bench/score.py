"""MT-Bench: 80 questions of two turns, rated 1-10 by a judge; scoring of stored ratings.

Zheng et al., "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena" (https://arxiv.org/abs/2306.05685),
as FastChat runs it. No key and no model is needed here: the ratings are in files (`files.py`).

    turn_1, turn_2   mean of the ratings of that turn
    average          mean of all ratings, so an unread turn weighs nothing
    coverage         judged / expected; `complete` is coverage 1

    159 ratings that add up to 870.5, and one reply without a rating:
    average 870.5 / 159 = 5.474843, judged 159 of 160, unparsed 1, not complete

FastChat leaves unread rows out without saying so and takes a mean over whatever rows the file holds. Here
a row counts once: of several for one model, question and turn the first that can be read is used, the others
are duplicates. Rows of another question set are unknown. Where a file holds ratings of several judges, each
is scored by itself, under "model [judge]".

The interval is over questions: both turns of one are one item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import ClassVar, Generic, Protocol, TypeVar

from pydantic import Field

from eval.interval import Interval
from eval.mt_bench.files import Problem, ReadBy, SingleJudgment, read_single
from eval.stats import ArmComparison, Lead, clustered_mean, compare_models, lead
from eval.verdicts import HIGH, LOW
from tacos.answering.faults import AnswerFaults
from tacos.errors import TacosError
from tacos.types import Question, Record

CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
"""Ten questions each, in this order, from id 81 to 160."""
FIRST_ID, PER_CATEGORY, TURNS = 81, 10, 2
NEED_REFERENCE = frozenset(("math", "reasoning", "coding"))
"""Categories whose judge sees a reference answer."""

Slot = tuple[str, int]
"""A question id and a turn, from 1."""


class CategoryScore(Record):
    """One category; None where nothing is judged."""

    turn_1: float | None
    turn_2: float | None
    average: float | None
    judged: int
    expected: int


class ModelScore(Record):
    """One model's ratings, 1-10, higher is better; None where nothing is judged.

    judged + unparsed + missing == expected.
    """

    turn_1: float | None
    turn_2: float | None
    average: float | None
    judged: int
    expected: int
    unparsed: int
    """Turns that were judged, but whose verdict cannot be read."""
    missing: int
    """Turns without a row."""
    duplicate: int
    """Further rows for a turn that has one."""
    unknown: int
    """Rows for questions or turns that are not in the set."""
    off_scale: int
    """Ratings outside 1-10 that are counted in all the same: a 0 that stands in the file, as in published
    averages, and whatever FastChat's reader reads."""
    coverage: float
    complete: bool
    judge: str
    ci: Interval | None
    """Of the average, over questions."""
    categories: dict[str, CategoryScore]


class SingleScores(Record):
    """Every model of some files."""

    report: ClassVar[str] = "eval.mt_bench.report:SINGLE"

    models: dict[str, ModelScore]
    against: str | None = None
    """The model that the others are compared with, where one is named."""
    comparisons: dict[str, ArmComparison] = Field(default_factory=dict)
    """Each other model's rating of a question minus its rating, on questions of which both have every turn."""
    lead: Lead | None = None
    """Of the two best, by the ratings of questions; None for one model."""
    read: int
    """Rows that could be used, duplicates and unknown ones among them."""
    bad_lines: int
    faults: dict[str, AnswerFaults] = Field(default_factory=dict)
    """What is wrong with each model's answers as answers, where they are at hand."""
    problems: tuple[Problem, ...]
    """Bad lines, unread verdicts, duplicates and unknown questions, each with its line."""


class _Row(Protocol):
    @property
    def question_id(self) -> str: ...
    @property
    def turn(self) -> int: ...
    @property
    def where(self) -> str: ...


R = TypeVar("R", bound=_Row)


@dataclass
class Filed(Generic[R]):
    """Rows sorted into the turns they are for."""

    rows: dict[Slot, R] = field(default_factory=dict)
    duplicate: int = 0
    unknown: int = 0


def slots_of(questions: Sequence[Question] | None) -> dict[Slot, str]:
    """Every turn to be judged and its category; None is MT-Bench's own 160."""
    if questions is not None:
        return {(q.id, turn): q.category for q in questions for turn in range(1, len(q.turns) + 1)}
    return {
        (str(FIRST_ID + PER_CATEGORY * group + number), turn): category
        for group, category in enumerate(CATEGORIES)
        for number in range(PER_CATEGORY)
        for turn in range(1, TURNS + 1)
    }


def score_single(
    files: Sequence[Path],
    questions: Sequence[Question] | None = None,
    read_by: ReadBy = "stored",
    against: str | None = None,
) -> SingleScores:
    """Scores of every model in `files`, which are read as one.

    questions: the question set; None is MT-Bench's.
    read_by: "stored" takes the scores in the files; "last" and "fastchat" read the replies anew.
    against: a model in the files that all others are compared with, paired by question.

    Raises: PoolError when a file cannot be read; TacosError when there is no file, no judgment in any, or no model
        `against`.
    """
    contents = [read_single(path, read_by) for path in files]
    rows = [row for content in contents for row in content.rows]
    problems = [problem for content in contents for problem in content.problems]
    bad_lines = len(problems)
    check_some(files, rows, problems)
    by_name = group_rows(rows, lambda row: row.model)
    slots = slots_of(questions)
    filed = {name: file_rows(own, slots, lambda row: row.error, problems) for name, own in by_name.items()}
    models = {name: _score(own, filed[name], slots) for name, own in by_name.items()}
    by_question = {name: _by_question(one, slots) for name, one in filed.items()}
    return SingleScores(
        models=models,
        against=against,
        comparisons=compare_models(by_question, against),
        lead=lead(by_question),
        read=len(rows),
        bad_lines=bad_lines,
        problems=tuple(problems),
    )


def _by_question(filed: Filed[SingleJudgment], slots: Mapping[Slot, str]) -> dict[str, float]:
    """Mean rating of each question of which every turn is rated."""
    turns: dict[str, list[float | None]] = defaultdict(list)
    for slot in slots:
        turns[slot[0]].append(filed.rows[slot].score if slot in filed.rows else None)
    rated = {question: [s for s in scores if s is not None] for question, scores in turns.items()}
    return {question: fmean(s) for question, s in rated.items() if len(s) == len(turns[question])}


def check_some(files: Sequence[Path], rows: Sequence[object], problems: Sequence[Problem]) -> None:
    """Raises: TacosError when no row can be used."""
    if not rows:
        names = ", ".join(map(str, files)) or "no file"
        first = f"; first problem: {problems[0]}" if problems else ""
        raise TacosError(f"no judgment in {names}{first}; give files in FastChat's format")


class _Judged(Protocol):
    @property
    def judge(self) -> str: ...


J = TypeVar("J", bound=_Judged)


def group_rows(rows: Iterable[J], name: Callable[[J], str]) -> dict[str, list[J]]:
    """Rows by name, and by judge where a name has several, in order of appearance."""
    by_name: dict[str, dict[str, list[J]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_name[name(row)][row.judge].append(row)
    return {
        f"{own} [{judge}]" if len(by_judge) > 1 else own: group
        for own, by_judge in by_name.items()
        for judge, group in by_judge.items()
    }


def file_rows(
    rows: Iterable[R],
    slots: Mapping[Slot, str],
    error: Callable[[R], str | None],
    problems: list[Problem],
) -> Filed[R]:
    """One row for each turn: the first without an error, else the first. Adds to `problems`."""
    filed: Filed[R] = Filed()
    for row in rows:
        slot = (row.question_id, row.turn)
        named = f"question {row.question_id} turn {row.turn}"
        if slot not in slots:
            filed.unknown += 1
            problems.append(Problem(where=row.where, reason=f"{named} is not in the question set"))
        elif slot in filed.rows:
            filed.duplicate += 1
            used = filed.rows[slot]
            if error(used) and not error(row):
                filed.rows[slot], used, row = row, row, used
            problems.append(Problem(where=row.where, reason=f"duplicate: {named} is taken from {used.where}"))
        else:
            filed.rows[slot] = row
    for row in filed.rows.values():
        if why := error(row):
            problems.append(Problem(where=row.where, reason=f"unread: {why}"))
    return filed


def _score(
    rows: Sequence[SingleJudgment], filed: Filed[SingleJudgment], slots: Mapping[Slot, str]
) -> ModelScore:
    scores = {slot: row.score for slot, row in filed.rows.items() if row.score is not None}
    whole = category_score(scores, slots)
    return ModelScore(
        **whole.model_dump(),
        unparsed=len(filed.rows) - len(scores),
        missing=len(slots) - len(filed.rows),
        duplicate=filed.duplicate,
        unknown=filed.unknown,
        off_scale=sum(not LOW <= score <= HIGH for score in scores.values()),
        coverage=len(scores) / len(slots) if slots else 0.0,
        complete=len(scores) == len(slots),
        judge=rows[0].judge,
        ci=question_interval(scores),
        categories={
            name: category_score(scores, {slot: own for slot, own in slots.items() if own == name})
            for name in dict.fromkeys(slots.values())
        },
    )


def category_score(scores: Mapping[Slot, float], slots: Mapping[Slot, str]) -> CategoryScore:
    """The means over those of `slots` that have a score."""
    here = {slot: scores[slot] for slot in slots if slot in scores}
    turns = [[score for (_, turn), score in here.items() if turn == wanted] for wanted in (1, 2)]
    return CategoryScore(
        turn_1=_mean(turns[0]),
        turn_2=_mean(turns[1]),
        average=_mean(list(here.values())),
        judged=len(here),
        expected=len(slots),
    )


def question_interval(values: Mapping[Slot, float]) -> Interval | None:
    """The mean of `values` and its interval over questions, turns of a question drawn together."""
    by_turn: dict[int, dict[str, float]] = defaultdict(dict)
    for (question, turn), value in values.items():
        by_turn[turn][question] = value
    return clustered_mean(list(by_turn.values())) if values else None


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
