"""From samples to planned micro-batches of token ids."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tacos.errors import PoolError
from tacos.models.chat import Encoded, encode_samples
from tacos.models.rendering import control_marks
from tacos.types import Pool
from train.plan import accumulation, fill, held_out, plan_batches, plan_epochs, split
from train.settings import TrainSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)
IGNORED = -100
"""The label of a token that is not supervised."""


@dataclass(frozen=True)
class TrainingData:
    """Samples as token ids, and which of them each step sees."""

    kept: list[Encoded]
    """Samples with a supervised token."""
    rows: list[int]
    """The row of each in the pool."""
    dropped: int
    validation: list[int]
    """Rows of `kept` held out of training."""
    plan: list[list[int]]
    """Rows of `kept` in each optimiser step."""

    @property
    def samples(self) -> int:
        """That are trained on."""
        return len(self.kept) - len(self.validation)

    @property
    def truncated(self) -> int:
        return sum(e.truncated for e in self.kept)


def prepare(
    tokenizer: PreTrainedTokenizerBase, pool: Pool, settings: TrainSettings, seed: int
) -> TrainingData:
    """Raises: PoolError when no sample has a supervised token, or too few to hold some out; ConfigError naming a
    sample that the template refuses."""
    encoded = encode_samples(tokenizer, pool, settings.max_length)
    say_marks(tokenizer, pool)
    in_pool = [i for i, e in enumerate(encoded) if e.loss_tokens]
    kept = [encoded[i] for i in in_pool]
    if not kept:
        raise PoolError(
            f"none of {len(encoded)} samples has an assistant token within max_length={settings.max_length}: "
            "raise train.max_length, or check that the rows have responses"
        )
    validation = hold_out(len(kept), settings.validation, seed)
    held = set(validation)
    rows = [i for i in range(len(kept)) if i not in held]
    steps = make_plan([kept[i] for i in rows], settings, seed)
    plan = [[rows[i] for i in step] for step in steps]
    data = TrainingData(kept, in_pool, len(encoded) - len(kept), validation, plan)
    if data.truncated or data.dropped:
        log.warning(
            "max_length=%d: %d of %d samples are cut short, and %d more have no assistant token left and are dropped",
            settings.max_length,
            data.truncated,
            len(encoded),
            data.dropped,
        )
    return data


def say_marks(tokenizer: PreTrainedTokenizerBase, pool: Pool) -> None:
    """Tell in the log that messages name special tokens, which are encoded as the text that they are."""
    marks = control_marks(tokenizer)
    found = [marks.search(message.content) for sample in pool for message in sample.messages] if marks else []
    if named := [match[0] for match in found if match]:
        log.info(
            "special tokens named in messages, such as %r, are encoded as text: %d messages",
            named[0],
            len(named),
        )


def hold_out(n: int, share: float, seed: int) -> list[int]:
    """Rows below n for validation (`held_out` of them), at random by the seed.

    Raises: PoolError when none would be left to train on.
    """
    held = held_out(n, share)
    if held and held >= n:
        raise PoolError(
            f"validation={share} of {n} samples leaves none to train on: set train.validation lower"
        )
    return sorted(random.Random(f"validation {seed}").sample(range(n), held))


def make_plan(kept: Sequence[Encoded], settings: TrainSettings, seed: int) -> list[list[int]]:
    """One list of rows per optimiser step."""
    if settings.budget == "samples":
        return plan_epochs(len(kept), settings.epochs, settings.batch_size, seed)
    return plan_batches([e.loss_tokens for e in kept], settings.steps, settings.loss_tokens_per_step, seed)


def micro_batches(
    data: TrainingData, settings: TrainSettings, devices: int, packed: bool
) -> tuple[list[list[int]], int]:
    """Every step's micro-batches one after the other, and how many of them a device takes in a step."""
    lengths, empty = [len(e.ids) for e in data.kept], len(data.kept)
    parts = accumulation(data.plan, lengths, devices, settings.micro_batch_tokens, packed)
    made = [split(step, lengths, parts * devices, packed, empty) for step in data.plan]
    return [part for step in made for part in step], parts


def validation_batches(
    data: TrainingData, settings: TrainSettings, devices: int, packed: bool
) -> list[list[int]]:
    """Micro-batches of the held-out rows, as many for each device."""
    if not data.validation:
        return []
    lengths = [len(e.ids) for e in data.kept]
    filled = fill(data.validation, lengths, settings.micro_batch_tokens, packed)
    return filled + [[len(data.kept)]] * (-len(filled) % devices)


def training_rows(kept: Sequence[Encoded]) -> list[dict[str, list[int]]]:
    """ids and labels of each sample; after them one row without a supervised token, for `train.plan.split`."""
    return [*map(labelled, kept), {"input_ids": kept[0].ids[:2], "labels": [IGNORED] * 2}]


def labelled(e: Encoded) -> dict[str, list[int]]:
    return {"input_ids": e.ids, "labels": [t if m else IGNORED for t, m in zip(e.ids, e.mask, strict=True)]}
