"""MT-Bench in an experiment: what a judge gives each turn of an arm's answers, 1-10.

    question 81 rated 8 and 5, 82 rated 7 and unread
    ->  turn 1: 8 and 7    turn 2: 5, one unread    average: 6.5, one unread

The average of a question needs all of its turns: second turns are rated lower, so a mean over what could be read would
favour a model whose second turns could not. Beside it stands `all_ratings`, the mean over every rating that was read,
which is the average of `tacos eval mt-bench`; the two are equal where nothing is unread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from eval.measures import Benchmark, Finished, Measure, RunValues, Wording
from eval.mt_bench.files import read_single
from eval.mt_bench.judging import MTBenchJudgeSettings
from eval.mt_bench.score import Slot, file_rows, slots_of
from tacos.answering.candidate import GenerateSettings
from tacos.store.files import read_jsonl
from tacos.types import Question

RATINGS = "ratings.jsonl"
"""A row per question: {"question_id": "81", "turn_1": 8.0, "turn_2": null}, null for a turn without a rating."""
QUESTIONS = 80


class MTBenchSettings(MTBenchJudgeSettings):
    """`benchmarks.mt_bench` of an experiment."""

    judge: str = "judge"
    """Which of the configured `llms` rates."""
    generate: GenerateSettings | None = None
    """How questions are answered; None is FastChat's way, a temperature for each category."""


def _rating(name: str, title: str, said: str, brief: bool = True) -> Measure:
    return Measure(
        name=name,
        metric=f"mt_bench/{name.removeprefix('mt_bench').strip('_') or 'average'}",
        title=title,
        phrase=said,
        counted="rating, 1 to 10",
        note="A question with an unread turn is left out of the average.",
        heading="MT-Bench",
        asked="mt_bench",
        unit="score",
        scale=(1.0, 10.0),
        difference=True,
        brief=brief,
        reasons="judgments.jsonl of its mt_bench folder",
        wording=Wording(
            better="the judge rates {arm}'s model higher than {baseline}'s",
            worse="the judge rates {arm}'s model lower than {baseline}'s",
        ),
    )


AVERAGE = _rating("mt_bench", "MT-Bench", "the MT-Bench average")
TURN_1 = _rating("mt_bench_turn_1", "MT-Bench turn 1", "the MT-Bench rating of first turns", brief=False)
TURN_2 = _rating("mt_bench_turn_2", "MT-Bench turn 2", "the MT-Bench rating of second turns", brief=False)
TURNS = {AVERAGE.name: ("turn_1", "turn_2"), TURN_1.name: ("turn_1",), TURN_2.name: ("turn_2",)}
"""Measure -> the turns whose mean it is."""


def rating_rows(judgments: Path, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """The rows of `RATINGS`, as stored judgments have them; a question has the turns that it asks."""
    filed = file_rows(read_single(judgments).rows, slots_of(questions), lambda row: row.error, [])

    def score(slot: Slot) -> float | None:
        return filed.rows[slot].score if slot in filed.rows else None

    return [
        {"question_id": q.id, "category": q.category}
        | {f"turn_{turn}": score((q.id, turn)) for turn in range(1, len(q.turns) + 1)}
        for q in questions
    ]


def read(finished: Finished) -> RunValues:
    """Per question the rating of a turn, or the mean of its turns; unread where one of them is."""
    rows = list(read_jsonl(finished.folders["mt_bench"] / RATINGS))
    values: dict[str, dict[str, float]] = {}
    unread: dict[str, int] = {}
    for name, turns in TURNS.items():
        asked = {
            f"mt_bench/{row['question_id']}": [row[turn] for turn in turns if turn in row] for row in rows
        }
        asked = {id_: scores for id_, scores in asked.items() if scores}
        values[name] = {id_: fmean(scores) for id_, scores in asked.items() if None not in scores}
        unread[name] = len(asked) - len(values[name])
    beside = {AVERAGE.name: {"all_ratings": finished.metrics["mt_bench"].get("average")}}
    categories = {f"mt_bench/{row['question_id']}": row["category"] for row in rows if row["category"]}
    return RunValues(values, unread, beside, categories)


BENCHMARK = Benchmark("mt_bench", stage="mt_bench", measures=(AVERAGE, TURN_1, TURN_2), read=read)
