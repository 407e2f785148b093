"""A training's curve: the rows of `history.jsonl`, and what they are called in Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.types import Trained

HISTORY = "history.jsonl"
NAMES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "epoch": "epoch",
    "mean_token_accuracy": "token_accuracy",
    "eval_loss": "validation_loss",
    "step": "step",
    "loss_tokens": "loss_tokens",
    "tokens_per_second": "tokens_per_second",
    "loss_tokens_per_second": "loss_tokens_per_second",
}
"""What stands in a row, and its name after "train/"; losses in nats per token."""


def curve(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the history under its names in W&B: {"train/loss": 1.92, "train/step": 40, ...}."""
    return {f"train/{name}": row[key] for key, name in NAMES.items() if key in row}


def figures(trained: Trained) -> dict[str, Any]:
    """What a training came to, under names beside those of its curve; what is no figure is left out."""
    return {f"train/{name}": value for name, value in trained if not isinstance(value, str)}
