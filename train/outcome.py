"""What a finished training has to tell: its summary and its history."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tacos.types import Trained
from train.data import TrainingData

if TYPE_CHECKING:
    from train.trainer import PlannedTrainer


def summary(
    data: TrainingData, trainer: PlannedTrainer, mean_loss: float, template: str, started: float
) -> Trained:
    """What was taken in; after an early stop, the steps up to it."""
    state = trainer.state
    used = [data.kept[i] for step in data.plan[: state.global_step] for i in step]
    stopped = state.global_step < len(data.plan)
    best = state.best_global_step if trainer.args.load_best_model_at_end else None
    validation = [e["eval_loss"] for e in state.log_history if "eval_loss" in e and best in (None, e["step"])]
    return Trained(
        samples=data.samples,
        epochs=len(used) / data.samples,
        steps=state.global_step,
        tokens=sum(len(e.ids) for e in used),
        loss_tokens=sum(e.loss_tokens for e in used),
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
