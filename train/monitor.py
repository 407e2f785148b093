"""What is watched while a model trains: loss, rates, tokens; to Weights & Biases."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from transformers import TrainerCallback

from tacos.progress import Count
from tacos.tracking import Tracker

WATCHED = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "epoch": "epoch",
    "mean_token_accuracy": "token_accuracy",
    "eval_loss": "validation_loss",
}
"""What the trainer logs, and our name for it."""


class Monitor(TrainerCallback):
    """Sends each log of the trainer on, with supervised tokens so far and tokens per second since the last.

    loss_tokens, tokens: of each optimiser step, over all devices. `epoch` is passes over the samples, which
    the trainer, whose one epoch is the plan, does not know.
    """

    def __init__(
        self, tracker: Tracker, loss_tokens: Sequence[int], tokens: Sequence[int], samples: Sequence[float]
    ):
        self.tracker = tracker
        self.loss_tokens, self.tokens = [[0, *accumulate(n)] for n in (loss_tokens, tokens)]
        self.passes = [0.0, *accumulate(samples)]
        self.last = (0, time.perf_counter())

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.last = (state.global_step, time.perf_counter())

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        known = {f"train/{WATCHED[key]}": value for key, value in kwargs["logs"].items() if key in WATCHED}
        self.tracker.log(
            {
                **known,
                "train/step": step,
                "train/epoch": self.passes[step],
                "train/loss_tokens": self.loss_tokens[step],
                **self.speed(step),
            }
        )

    def speed(self, step: int) -> dict[str, float]:
        """Tokens per second since the last log; none when no step was taken since."""
        before, then = self.last
        if step == before:
            return {}
        self.last = (step, time.perf_counter())
        seconds = self.last[1] - then
        return {
            "train/tokens_per_second": (self.tokens[step] - self.tokens[before]) / seconds,
            "train/loss_tokens_per_second": (self.loss_tokens[step] - self.loss_tokens[before]) / seconds,
        }


class StepLog(TrainerCallback):
    """Steps done, rate and time left in the log, where nobody watches a bar."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.count = Count("training", state.max_steps - state.global_step)
        self.count.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.count.add(1)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.count.__exit__()
