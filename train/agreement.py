"""One loss, whatever way it is computed: by the model itself, padded, packed, and by the folder that was saved.

    alone     a sample by itself through the model's own forward pass, which is what the model means
    padded    samples side by side, as the trainer lays them out; TRL multiplies the last layer with the output
              embeddings, which is not all that every head does
    packed    samples one after the other in one row, which most models close to each other and some do not

Measured 2026-11-26 over 132 architectures of transformers 5.19, small and random, in float32: alone and padded agree
to 7e-6, save for 20 (bert and its kin, modernbert-decoder, recurrent-gemma, llama4, xlm, ...), most of which do with
their own head (`train.heads`). Of the 112, packed agrees as well for 79, and fails or differs by 2e-3 and more for 33:
opt, falcon, biogpt, xglm, bloom, mpt, gpt-oss, afmoe, bart's kin, and all with a state (mamba, mamba2, falcon-h1,
jamba, bamba, rwkv, qwen3-next, nemotron-h, olmo-hybrid, granite's hybrids, minimax, ...).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from tacos.errors import ConfigError
from tacos.models.batches import out_of_memory
from tacos.models.chat import Encoded
from train.heads import scored
from train.model import attention
from train.settings import TrainSettings
from train.trainer import drop_padding_mask, to_evaluation

log = logging.getLogger(__name__)
LENGTHS = (32, 20, 26)
"""Tokens of the samples that are tried: unlike each other, so that one is padded, and within any table of positions."""
ROUNDING_PADDED, ROUNDING_PACKED = 1e-3, 1e-4
"""Nats by which float32 losses of a token may differ: more where a base is refused, less where it is not packed."""
ROUNDING_16 = 0.1
"""Nats by which mean losses may differ where a product is in 16 bits."""

FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


@dataclass(frozen=True)
class Trial:
    """A few samples on which ways to compute a loss are compared."""

    base: str
    """The base's name and type, for messages."""
    rows: list[list[int]]
    pad: int
    exact: bool
    """Whether the model computes in float32 when it is let; else the numbers are those of training."""
    sharded: bool = False
    """Whether ZeRO-3 holds the weights, whose engine takes one way through the model only, the trainer's."""
    again: int = 1
    """How often the samples stand in a packed row: longer than the model's positions, where rows of training may be,
    as a mask of that size (gpt-neo) fails only then."""

    def choose(self, model: Any, packing: bool) -> tuple[bool, bool]:
        """Whether the model scores with its own head, and whether samples are packed, where they are meant to be.

        model: with its weights, on the device that it is trained on.

        Raises: ConfigError where padded samples lose something else than each alone, with either head.
        """
        for own in (False, True):
            with scored(model, own), evaluated(model, half=not self.exact):
                why = self.unlike_alone(model)
                if why is None:
                    return own, packing and self.may_pack(model)
        raise self.refusal(why)

    def check(self, model: Any, packing: bool) -> None:
        """As `choose`, of a model that has TRL's head and is packed as meant.

        Raises: ConfigError also where samples must not be packed.
        """
        with evaluated(model, half=not self.exact):
            if why := self.unlike_alone(model):
                raise self.refusal(why)
            if packing and not self.may_pack(model):
                raise ConfigError(
                    f"samples of the base model {self.base} cannot be packed: set train.packing=off"
                )

    def check_adapters(self, model: Any, target: object) -> None:
        """Some layers, such as the routers of llama4, do not work with an adapter beside them.

        Raises: ConfigError where they do not.
        """
        try:
            with evaluated(model, half=not self.exact):
                joint_losses(model, self.rows, self.pad, packed=False)
        except FAILURES as error:
            if out_of_memory(error):
                raise
            raise ConfigError(
                f"the base model {self.base} does not run with adapters at train.lora.target={target!r}: "
                f"{type(error).__name__}: {error}; name other targets, such as [q_proj, v_proj]"
            ) from error

    def refusal(self, why: str | None) -> ConfigError:
        return ConfigError(
            f"the base model {self.base} cannot be trained here, where later tokens are unseen and a sample loses the "
            f"same alone as beside others: {why}; take another base model"
        )

    def unlike_alone(self, model: Any) -> str | None:
        """What is wrong with padded samples; None when nothing is."""
        try:
            alone = [self.alone(model, row) for row in self.rows]
            if not torch.cat(alone).isfinite().all():
                return f"it loses {mean(alone)} on three samples, as where weights are damaged"
            if not self.sharded:
                row = self.rows[0]
                half = len(row) // 2
                if self.apart([alone[0][:half]], [own_losses(model, row[: half + 1])], ROUNDING_PADDED):
                    return "it sees later tokens"
            padded = joint_losses(model, self.rows, self.pad, packed=False)
        except FAILURES as error:
            if out_of_memory(error):
                raise
            return f"it fails with {type(error).__name__}: {error}"
        if self.apart(alone, padded, ROUNDING_PADDED):
            return f"three samples lose {mean(padded):.4f} in place of {mean(alone):.4f}"
        return None

    def alone(self, model: Any, row: list[int]) -> torch.Tensor:
        if self.sharded:
            return joint_losses(model, [row], self.pad, packed=False)[0]
        return own_losses(model, row)

    def may_pack(self, model: Any) -> bool:
        """Whether packed samples lose what padded ones do; said in the log where they do not."""
        why = self.leak(model, joint_losses(model, self.rows, self.pad, packed=False))
        if why:
            log.warning("packing is off: packed into one row, samples of %s %s", self.base, why)
        return why is None

    def leak(self, model: Any, padded: Sequence[torch.Tensor]) -> str | None:
        """What is wrong with these samples when packed; None when nothing is."""
        try:
            packed = joint_losses(model, self.rows * self.again, self.pad, packed=True)
        except FAILURES as error:
            if out_of_memory(error):
                raise
            return f"fail with {type(error).__name__}: {error}"
        if self.apart([*padded] * self.again, packed, ROUNDING_PACKED):
            return f"see each other or lose their places (loss {mean(packed):.4f}, padded {mean(padded):.4f})"
        return None

    def apart(self, left: Sequence[torch.Tensor], right: Sequence[torch.Tensor], rounding: float) -> bool:
        """Whether losses differ by more than rounding, which is that of float32."""
        pairs = list(zip(left, right, strict=True))
        if self.exact:
            return not all((a - b).abs().max() <= rounding for a, b in pairs)  # nan differs
        return not all((a.mean() - b.mean()).abs() <= ROUNDING_16 for a, b in pairs)


def make_trial(
    base: str, model: Any, pad: int, kept: Sequence[Encoded], settings: TrainSettings, sharded: bool = False
) -> Trial:
    """The first samples, cut; the same one again where there are too few."""
    rows = [list(kept[i % len(kept)].ids[:length]) for i, length in enumerate(LENGTHS)]
    whole = settings.mode == "full" and not sharded and "flash" not in attention(model)
    exact = whole or not settings.bf16  # autocast can be left out, where the weights are float32
    config = model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None) or settings.micro_batch_tokens
    longer = settings.micro_batch_tokens > positions
    again = positions // sum(map(len, rows)) + 1 if longer else 1
    return Trial(f"{base!r} ({model.config.model_type})", rows, pad, exact, sharded, again)


def mean(losses: Sequence[torch.Tensor]) -> float:
    return float(torch.cat(list(losses)).mean())


def own_losses(model: Any, row: Sequence[int]) -> torch.Tensor:
    """Losses of one sample through the model's own forward pass, (n_tokens - 1,) float32 on the CPU."""
    ids = torch.tensor([list(row)], device=model.device)
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, :-1].float()
    return cross_entropy(logits, ids[0, 1:], reduction="none").cpu()


def joint_losses(model: Any, rows: Sequence[Sequence[int]], pad: int, packed: bool) -> list[torch.Tensor]:
    """Losses of samples laid out together as in training, each as `own_losses`. model: with TRL's head."""
    collate = DataCollatorForLanguageModeling(pad_token_id=pad, padding_free=packed)
    batch = collate([{"input_ids": list(row)} for row in rows])
    drop_padding_mask(batch)
    given = {name: v.to(model.device) if torch.is_tensor(v) else v for name, v in batch.items()}
    found = -model(**given, use_cache=False, fused_lm_head=True).log_probs.float().cpu()
    starts = batch["cu_seq_lens_q"].tolist()[:-1] if packed else [0] * len(rows)
    places = [0] * len(rows) if packed else range(len(rows))
    return [found[i, s : s + len(r) - 1] for i, s, r in zip(places, starts, rows, strict=True)]


@contextmanager
def evaluated(model: Any, half: bool) -> Iterator[None]:
    """Without dropout and gradients. half: products in 16 bits, as in training."""
    was = model.training
    to_evaluation(model)
    try:
        with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=half):
            yield
    finally:
        model.train(was)
