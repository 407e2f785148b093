"""What is watched while a model trains: loss, rates, tokens; into `history.jsonl` and to Weights & Biases."""

from __future__ import annotations

import time
from itertools import accumulate
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from tacos.progress import Count
from tacos.store.files import read_jsonl, write_jsonl
from tacos.tracking.tracker import Tracker
from train.curve import HISTORY, curve
from train.data import TrainingData
from train.outcome import history


class History(TrainerCallback):
    """Keeps the history as it goes, so that whoever reads the file sees the training live; a run that goes on from a
    checkpoint goes on with the rows up to it.

    Each row is what the trainer logged, with supervised tokens so far, and tokens per second since the last row.
    tracker: is told every row.
    """

    def __init__(self, out: Path, data: TrainingData, tracker: Tracker | None):
        self.path, self.data, self.tracker = out / HISTORY, data, tracker
        per_step = [[data.kept[i] for i in step] for step in data.plan]
        self.tokens = [0, *accumulate(sum(len(e.ids) for e in step) for step in per_step)]
        self.loss_tokens = [0, *accumulate(sum(e.loss_tokens for e in step) for step in per_step)]
        self.rows: list[dict[str, Any]] = []
        self.last = (0, time.perf_counter())

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.last = (state.global_step, time.perf_counter())
        known = read_jsonl(self.path) if state.global_step and self.path.is_file() else ()
        self.rows = [row for row in known if row["step"] <= state.global_step]
        if not self.rows:
            self.rows = history(state.log_history, self.data)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        (row,) = history(state.log_history[-1:], self.data)
        row |= {"loss_tokens": self.loss_tokens[state.global_step], **self.speed(state.global_step)}
        self.rows.append(row)
        write_jsonl(self.path, self.rows)
        if self.tracker:
            self.tracker.log(curve(row))

    def speed(self, step: int) -> dict[str, float]:
        """Tokens per second since the last log; none when no step was taken since."""
        before, then = self.last
        if step == before:
            return {}
        self.last = (step, time.perf_counter())
        seconds = self.last[1] - then
        return {
            "tokens_per_second": (self.tokens[step] - self.tokens[before]) / seconds,
            "loss_tokens_per_second": (self.loss_tokens[step] - self.loss_tokens[before]) / seconds,
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
