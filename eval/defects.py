"""Defects: the share of selected rows that are spoiled, for a pool whose truth is known (the builtin one)."""

from __future__ import annotations

from eval.measures import Benchmark, Finished, Measure, RunValues, Wording
from tacos.store.files import read_jsonl

DEFECT_RATE = Measure(
    name="defect_rate",
    metric="select/defect_rate",
    title="defect rate",
    counted="rows with a defect",
    heading="selection",
    about="selection",
    unit="share",
    better="lower",
    scale=(0.0, 1.0),
    items="rows",
    difference=True,
    wording=Wording(
        better="it holds fewer defects than {baseline}",
        worse="it holds more defects than {baseline}",
        unclear="no difference in defects can be claimed",
    ),
)


def read(finished: Finished) -> RunValues:
    """1.0 for a defective row, 0.0 for a good one, in the order of the selection; nothing for a training set that is
    given, of whose rows nothing is known."""
    ids = [row["id"] for row in read_jsonl(finished.folders["select"] / "selection.jsonl")]
    if finished.truth is None or not finished.truth.keys() >= set(ids):
        return RunValues({})
    spoiled = {i: float(finished.truth[i].defect is not None) for i in ids}
    return RunValues({DEFECT_RATE.name: spoiled} if spoiled else {})


BENCHMARK = Benchmark("defects", stage="select", measures=(DEFECT_RATE,), read=read)
