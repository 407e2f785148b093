"""Held-out loss: how well a model foresees the references of the test questions, in nats per token."""

from __future__ import annotations

from eval.measures import Benchmark, Finished, Measure, RunValues

HELDOUT_LOSS = Measure(
    name="heldout_loss",
    title="held-out loss",
    counted="nats per token of the references",
    heading="model",
    unit="nats",
    better="lower",
    scale=(0.0, None),
    items="runs",
    brief=False,
)


def read(finished: Finished) -> RunValues:
    """One value per run; none where no question has a reference."""
    loss = finished.metrics["answer"].get("heldout_loss")
    return RunValues({} if loss is None else {HELDOUT_LOSS.name: loss})


BENCHMARK = Benchmark("heldout_loss", stage="answer", measures=(HELDOUT_LOSS,), read=read)
