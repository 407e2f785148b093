"""MT-Bench, two models side by side: scoring of stored pair judgments.

Each turn is judged in both orders (https://arxiv.org/abs/2306.05685, section 3.4). A win needs both games to
agree; every other readable row is a tie; a row with a game that names no winner is an error, left out of n and
counted.

    game 1, game 2     model_1, model_1  -> win         model_1, tie      -> tie
                       model_2, model_2  -> lose        model_1, model_2  -> tie
    win_rate_adjusted = (win + tie / 2) / n,  e.g. 48 / 83 / 29 of 160: (48 + 41.5) / 160 = 0.559375

Beside the win rate stand what may explain it: how often both orders say the same (swap_consistency), how often
the answer shown first wins (first_position_rate, 0.5 is no bias), and how often the longer answer does
(longer_wins). Lengths are those of the turn's own answers, found in the stored prompts by way of the prompt
templates, or handed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from eval.interval import Interval
from eval.mt_bench.files import PairJudgment, Problem, ReadBy, read_pairs
from eval.mt_bench.score import (
    Filed,
    Slot,
    check_some,
    file_rows,
    group_rows,
    question_interval,
    slots_of,
)
from eval.rates import longer_wins, rate
from eval.ratings.bradley_terry import Game, Ratings, bradley_terry
from tacos.answering.faults import AnswerFaults
from tacos.errors import TacosError
from tacos.types import Question, Record

Result = Literal["win", "tie", "lose"]
Lengths = Callable[[PairJudgment], tuple[int, int] | None]
"""Characters of model_1's and model_2's answer to a turn; None where they are not known."""
POINTS: Mapping[Result, float] = {"win": 1.0, "tie": 0.5, "lose": 0.0}


class CategoryPairs(Record):
    """One category's turns, from model_1's side."""

    win: int
    tie: int
    lose: int


class ModelPairScore(Record):
    """Two models, from model_1's side. n = win + tie + lose; n + error + missing == expected."""

    model_1: str
    model_2: str
    judge: str
    win: int
    tie: int
    lose: int
    error: int
    """Turns with a row, but no winner in one of its games."""
    n: int
    win_rate: float | None
    win_rate_adjusted: float | None
    ci: Interval | None
    """Of win_rate_adjusted, over questions."""
    expected: int
    missing: int
    duplicate: int
    unknown: int
    coverage: float
    """n / expected."""
    complete: bool
    swap_consistency: Interval | None
    first_position_rate: Interval | None
    longer_wins: Interval | None
    """Share of won or lost turns that went to the longer answer; None where lengths are not known."""
    categories: dict[str, CategoryPairs]


class ModelPairScores(Record):
    """Every pair of models of some files."""

    report: ClassVar[str] = "eval.mt_bench.report_pairs:PAIRS"

    pairs: tuple[ModelPairScore, ...]
    ratings: Ratings | None = None
    """Bradley-Terry over all pairs, a turn a game, where one judge compared three models or more."""
    read: int
    bad_lines: int
    faults: dict[str, AnswerFaults] = Field(default_factory=dict)
    """What is wrong with each model's answers as answers, where they are at hand."""
    problems: tuple[Problem, ...]


def score_pairs(
    files: Sequence[Path],
    questions: Sequence[Question] | None = None,
    read_by: ReadBy = "stored",
    lengths: Lengths | None = None,
) -> ModelPairScores:
    """Scores of every pair of models in `files`, which are read as one.

    Raises: PoolError when a file cannot be read; TacosError when there is no file, or no judgment in any.
    """
    contents = [read_pairs(path, read_by) for path in files]
    rows = [row for content in contents for row in content.rows]
    problems = [problem for content in contents for problem in content.problems]
    bad_lines = len(problems)
    check_some(files, rows, problems)
    groups = group_rows(rows, lambda row: f"{row.model_1} / {row.model_2}")
    slots = slots_of(questions)
    filed = [file_rows(group, slots, _error, problems) for group in groups.values()]
    measure = lengths or (lambda row: None)
    pairs = [_score(group, one, slots, measure) for group, one in zip(groups.values(), filed, strict=True)]
    return ModelPairScores(
        pairs=tuple(pairs),
        ratings=_ratings([row for one in filed for row in one.rows.values()], problems),
        read=len(rows),
        bad_lines=bad_lines,
        problems=tuple(problems),
    )


def _ratings(rows: Sequence[PairJudgment], problems: list[Problem]) -> Ratings | None:
    games = [
        Game(question_id=row.question_id, model_1=row.model_1, model_2=row.model_2, result=result)
        for row in rows
        if (result := result_of(row))
    ]
    models = {name for game in games for name in (game.model_1, game.model_2)}
    if len(models) < 3 or len({row.judge for row in rows}) > 1:
        return None
    try:
        return bradley_terry(games)
    except TacosError as error:
        problems.append(Problem(where="ratings over all pairs", reason=str(error)))
        return None


def result_of(row: PairJudgment) -> Result | None:
    """Who wins the turn, from model_1's side; None where a game names no winner."""
    first, second = (game.winner for game in row.games)
    if first is None or second is None:
        return None
    if first != second:
        return "tie"
    return "win" if first == "model_1" else "lose" if first == "model_2" else "tie"


def _score(
    rows: Sequence[PairJudgment],
    filed: Filed[PairJudgment],
    slots: Mapping[Slot, str],
    lengths: Lengths,
) -> ModelPairScore:
    results = {slot: result for slot, row in filed.rows.items() if (result := result_of(row))}
    read = [filed.rows[slot] for slot in results]
    counts, n = Counter(results.values()), len(results)
    points = {slot: POINTS[result] for slot, result in results.items()}
    return ModelPairScore(
        model_1=rows[0].model_1,
        model_2=rows[0].model_2,
        judge=rows[0].judge,
        win=counts["win"],
        tie=counts["tie"],
        lose=counts["lose"],
        error=len(filed.rows) - n,
        n=n,
        win_rate=counts["win"] / n if n else None,
        win_rate_adjusted=sum(points.values()) / n if n else None,
        ci=question_interval(points),
        expected=len(slots),
        missing=len(slots) - len(filed.rows),
        duplicate=filed.duplicate,
        unknown=filed.unknown,
        coverage=n / len(slots) if slots else 0.0,
        complete=n == len(slots),
        swap_consistency=rate((row.question_id, row.games[0].winner == row.games[1].winner) for row in read),
        first_position_rate=_first_position_rate(read),
        longer_wins=_longer_wins(read, results, lengths),
        categories=_categories(results, slots),
    )


def _error(row: PairJudgment) -> str | None:
    errors = [f"game {i}: {game.error}" for i, game in enumerate(row.games, 1) if game.winner is None]
    return "; ".join(errors) or None


def _first_position_rate(rows: Sequence[PairJudgment]) -> Interval | None:
    """Share of games with a winner that the answer shown first won."""
    return rate(
        (row.question_id, game.winner == shown_first)
        for row in rows
        for game, shown_first in zip(row.games, ("model_1", "model_2"), strict=True)
        if game.winner != "tie"
    )


def _longer_wins(
    rows: Sequence[PairJudgment], results: Mapping[Slot, Result], lengths: Lengths
) -> Interval | None:
    decided = ((row, results[row.question_id, row.turn]) for row in rows)
    return longer_wins(
        (row.question_id, result == "win", *known)
        for row, result in decided
        if result != "tie" and (known := lengths(row))
    )


def _categories(results: Mapping[Slot, Result], slots: Mapping[Slot, str]) -> dict[str, CategoryPairs]:
    counts = {name: Counter[Result]() for name in slots.values()}
    for slot, result in results.items():
        counts[slots[slot]][result] += 1
    return {name: CategoryPairs(win=c["win"], tie=c["tie"], lose=c["lose"]) for name, c in counts.items()}
