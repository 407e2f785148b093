"""MT-Bench in an experiment, two models side by side: each arm's answers against a named arm's, turn by turn.

    benchmarks: {mt_bench_pairs: {judge: judge, against: [random]}}    ->  mt_bench_pairs_random

Every turn is judged in both orders; a win needs both to agree, everything else that can be read is a tie
(`eval.mt_bench.pairs`). A question's value is the mean over its turns of 1 for a win, 1/2 for a tie and 0 for a loss,
so the mean is FastChat's adjusted win rate, (win + tie / 2) / n; a question with an unread turn is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import field_validator

from eval.measures import PREFERENCE, Benchmark, Finished, Measure, RunValues, Wording, slugs
from eval.mt_bench.files import read_pairs
from eval.mt_bench.judging import MTBenchJudgeSettings
from eval.mt_bench.pairs import POINTS, result_of
from tacos.store.files import read_jsonl
from tacos.types import Question

JUDGMENTS = "pair_judgments.jsonl"
POINTS_FILE = "points.jsonl"
"""In the stage's folder: question_id, category and turn_1, turn_2: 1, 1/2 or 0 from the arm's side, null if unread."""


class MTBenchPairsSettings(MTBenchJudgeSettings):
    """`benchmarks.mt_bench_pairs` of an experiment; answers are those of `mt_bench`."""

    judge: str = "judge"
    """Which of the configured `llms` compares."""
    against: tuple[str, ...] = ()
    """Arms whose answers all others are compared with; empty is the baseline."""

    @field_validator("against")
    @classmethod
    def _distinct(cls, against: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(against)) != len(against):
            raise ValueError("give each arm once")
        return against

    def opponents(self, baseline: str) -> tuple[str, ...]:
        """The arms that others are compared with."""
        return self.against or (baseline,)


def stage_of(opponent: str) -> str:
    """What the comparison with an arm is called among the stages of another."""
    return f"mt_bench_pairs-{opponent}"


def point_rows(judgments: Path, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """The rows of `POINTS_FILE`, as stored judgments have them; model_1 is the arm's."""
    results = {(row.question_id, row.turn): result_of(row) for row in read_pairs(judgments).rows}

    def points(question: Question, turn: int) -> float | None:
        result = results.get((question.id, turn))
        return POINTS[result] if result else None

    return [
        {"question_id": q.id, "category": q.category}
        | {f"turn_{turn}": points(q, turn) for turn in range(1, len(q.turns) + 1)}
        for q in questions
    ]


def benchmarks_of(settings: MTBenchPairsSettings, baseline: str) -> list[Benchmark]:
    """One for each arm that the others are compared with."""
    opponents = settings.opponents(baseline)
    return [
        _against(opponent, slug, opponent == baseline)
        for opponent, slug in zip(opponents, slugs(opponents), strict=True)
    ]


def _against(opponent: str, slug: str, is_baseline: bool) -> Benchmark:
    measure = Measure(
        name=f"mt_bench_pairs_{slug}",
        metric=f"mt_bench_pairs/{slug}",
        title="MT-Bench pairs" if is_baseline else f"MT-Bench pairs against {opponent}",
        phrase=f"the adjusted win rate against {opponent} on MT-Bench",
        counted="1 for a turn won, 1/2 tied, 0 lost",
        note="Each turn is judged in both orders; a question with an unread turn is left out.",
        heading="MT-Bench",
        asked="mt_bench",
        unit="share",
        scale=(0.0, 1.0),
        neutral=0.5 if is_baseline else None,
        difference=not is_baseline,
        reasons=f"{JUDGMENTS} of its mt_bench_pairs folder",
        wording=PREFERENCE if is_baseline else Wording(),
    )
    stage = stage_of(opponent)

    def read(finished: Finished) -> RunValues:
        rows = list(read_jsonl(finished.folders[stage] / POINTS_FILE))
        turns = {f"mt_bench/{row['question_id']}": _turns(row) for row in rows}
        values = {id_: fmean(found) for id_, found in turns.items() if None not in found}
        categories = {f"mt_bench/{row['question_id']}": row["category"] for row in rows if row["category"]}
        return RunValues({measure.name: values}, {measure.name: len(turns) - len(values)}, {}, categories)

    return Benchmark(measure.name, stage, (measure,), read)


def _turns(row: Mapping[str, Any]) -> list[Any]:
    return [value for name, value in row.items() if name.startswith("turn_")]
