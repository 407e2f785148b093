"""What a finished training has to tell: its summary and its history."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacos.models.flops import flops, parameters_at_work
from tacos.tracking.tracker import Artifact
from tacos.types import Trained
from train.checkpoints import RESULT
from train.curve import HISTORY
from train.data import TrainingData

if TYPE_CHECKING:
    from train.trainer import PlannedTrainer

MISCOUNTED = ("train_samples_per_second", "total_flos")
"""Of the trainer, to which a micro-batch is a sample and the whole plan an epoch."""


def history(log: Iterable[dict[str, Any]], data: TrainingData) -> list[dict[str, Any]]:
    """What the trainer logged, with the plan's own tokens and passes over the samples up to each step.

    The trainer counts the tokens of a micro-batch by its mask, which padded rows here do not have.
    """
    tokens = [0, *accumulate(sum(len(data.kept[i].ids) for i in step) for step in data.plan)]
    passes = [0.0, *accumulate(len(step) / data.samples for step in data.plan)]
    rows = []
    for entry in log:
        row = {name: value for name, value in entry.items() if name not in MISCOUNTED}
        if "num_tokens" in row:
            row["num_tokens"] = tokens[row["step"]]
        rows.append(row | {"epoch": passes[row["step"]]})
    return rows


def model_artifact(name: str, out: Path, weights: bool) -> Artifact:
    """A finished training as an artifact. weights: whether they go along; else `trained.json` stands for them."""
    files = [path for path in sorted((out / "model").rglob("*")) if path.is_file()] if weights else []
    kept = {
        path.relative_to(out).as_posix(): path
        for path in [*files, out / RESULT, out / HISTORY]
        if path.is_file()
    }
    return Artifact(name=name, type="model", files=kept, about={"weights": weights})


def summary(
    data: TrainingData, trainer: PlannedTrainer, mean_loss: float, template: str, started: float
) -> Trained:
    """What was taken in; after an early stop, the steps up to it."""
    state = trainer.state
    used = [data.kept[i] for step in data.plan[: state.global_step] for i in step]
    stopped = state.global_step < len(data.plan)
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    tokens = sum(len(e.ids) for e in used)
    parameters = parameters_at_work(trainer.model)
    learned = parameters_at_work(trainer.model, trained=True)
    validation = [e["eval_loss"] for e in state.log_history if "eval_loss" in e and best in (None, e["step"])]
    return Trained(
        samples=data.samples,
        epochs=len(used) / data.samples,
        steps=state.global_step,
        tokens=tokens,
        loss_tokens=sum(e.loss_tokens for e in used),
        parameters=parameters,
        flops=flops(parameters, tokens, tokens, learned),
        final_loss=final_loss(state.log_history, mean_loss),
        seconds=time.perf_counter() - started,
        dropped=data.dropped,
        truncated=data.truncated,
        template_hash=template,
        validation_samples=len(data.validation),
        validation_loss=validation[-1] if validation else None,
        best_step=best,
        stopped_early=stopped,
    )


def final_loss(history: Iterable[dict[str, Any]], mean: float) -> float:
    """The last logged training loss; the mean over the run when none was logged."""
    losses = [entry["loss"] for entry in history if "loss" in entry]
    return float(losses[-1] if losses else mean)
