"""Answers against the baseline arm's, each pair judged in both orders: the winning score of an experiment.

results win, win, tie, lose, unparsed  ->  values 2, 2, 1, 0; unread 1; winning score 5 / 4 = 1.25
"""

from __future__ import annotations

from pathlib import Path

from eval.measures import PREFERENCE, Benchmark, Finished, Measure, NamedValue, RunValues
from eval.pairwise.rules import longer_wins
from tacos.answering.orders import SIGN, Judged
from tacos.store.files import read_jsonl

WINNING_SCORE = Measure(
    name="winning_score",
    title="winning score",
    phrase="the judge's winning score",
    counted="2 for a question won, 1 tied, 0 lost",
    note=(
        "Each pair is judged in both orders. The winning score is (win - lose) / n + 1: 1 is a draw, 2 wins"
        " everything."
    ),
    heading="judged against {baseline}",
    unit="score",
    scale=(0.0, 2.0),
    neutral=1.0,
    levels=tuple(NamedValue(name=name, value=1.0 + sign) for name, sign in SIGN.items()),
    per_set=True,
    reasons="reviews.jsonl of its judge folder",
    wording=PREFERENCE,
)


def read_judged(folder: Path) -> dict[str, Judged]:
    """Question id -> both orders' verdicts and the result, of a finished judge stage."""
    rows = read_jsonl(folder / "reviews.jsonl")
    return {
        row["question_id"]: Judged.model_validate({k: v for k, v in row.items() if k != "question_id"})
        for row in rows
    }


def read(finished: Finished) -> RunValues:
    """Per question whose verdicts could be read: 2 won, 1 tied, 0 lost."""
    judged = read_judged(finished.folders["judge"])
    points = {id_: 1.0 + SIGN[j.result] for id_, j in judged.items() if j.result != "unparsed"}
    return RunValues(
        {WINNING_SCORE.name: points},
        unread={WINNING_SCORE.name: len(judged) - len(points)},
        beside={WINNING_SCORE.name: {"longer_wins": longer_wins(list(judged.values()))}},
    )


BENCHMARK = Benchmark("pairwise", stage="judge", measures=(WINNING_SCORE,), read=read)
