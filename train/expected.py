"""What a training is expected to read, before anything is tokenised: for `tacos plan`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tacos.models.expected import Model, Passes, text_tokens
from tacos.types import Pool
from train.plan import held_out
from train.settings import TrainSettings


def training_passes(model: Model, samples: Pool, rows: int, settings: TrainSettings) -> Passes:
    """samples: those trained on, or the pool that they will be taken from. rows: how many there will be."""
    tokens = training_tokens(samples, rows, settings)
    dtype = "bfloat16" if settings.bf16 else "float32"
    read = replace(model, dtype=dtype, device=settings.device)
    return Passes(read, tokens, tokens, adapters=settings.mode != "full")


def training_tokens(samples: Pool, rows: int, settings: TrainSettings) -> float:
    """Likely tokens of a training on so many rows like these, less those held out for validation."""
    answers = text_tokens(samples.responses)
    whole = np.minimum(text_tokens(samples.prompts) + answers, settings.max_length)
    if not len(whole):
        return 0.0
    if settings.budget == "loss_tokens":
        supervised = max(float(np.minimum(answers, whole).sum()), 1.0)
        return settings.steps * settings.loss_tokens_per_step * float(whole.sum()) / supervised
    trained = max(rows - held_out(rows, settings.validation), 0)
    return settings.epochs * trained * float(whole.mean())
