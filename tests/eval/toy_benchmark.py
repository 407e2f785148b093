"""A benchmark as somebody may add one: how many characters a model answers with."""

from __future__ import annotations

from eval.measures import Benchmark, Finished, Measure, RunValues
from tacos.store.files import read_jsonl

LENGTH = Measure(
    name="characters",
    title="characters",
    phrase="the length of the answers",
    heading="answers",
    unit="count",
    better="lower",
    scale=(0.0, None),
    difference=True,
)


def read(finished: Finished) -> RunValues:
    rows = read_jsonl(finished.folders["answer"] / "answers.jsonl")
    return RunValues({"characters": {row["question_id"]: float(len(row["turns"][-1])) for row in rows}})


BENCHMARK = Benchmark("characters", stage="answer", measures=(LENGTH,), read=read)
