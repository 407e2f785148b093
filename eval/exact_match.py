"""Exact match: the share of test questions that a model answers exactly, of those with an answer to check by."""

from __future__ import annotations

from eval.measures import Benchmark, Finished, Measure, RunValues, Wording
from tacos.store.files import read_jsonl

EXACT_MATCH = Measure(
    name="exact_match",
    title="exact match",
    counted="questions answered exactly",
    heading="model",
    unit="share",
    scale=(0.0, 1.0),
    difference=True,
    wording=Wording(
        better="{arm}'s model answers better than {baseline}'s",
        worse="{arm}'s model answers worse than {baseline}'s",
    ),
)


def read(finished: Finished) -> RunValues:
    """1.0 or 0.0 per question that can be checked, in question order; no value where none can."""
    rows = read_jsonl(finished.folders["answer"] / "matches.jsonl")
    matches = {row["question_id"]: float(row["exact_match"]) for row in rows}
    return RunValues({EXACT_MATCH.name: matches} if matches else {})


BENCHMARK = Benchmark("exact_match", stage="answer", measures=(EXACT_MATCH,), read=read)
