"""How a model scores the tokens of a micro-batch: with TRL's head, or with its own.

TRL multiplies the last layer with the output embeddings where a token is supervised, and nowhere else, which is most of
a step's memory. Some models do more between the two: a layer of their own (bert, modernbert-decoder), a cap on the
scores (recurrent-gemma), or their parts have other names (llama4). Those are scored with all their logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head


@contextmanager
def scored(model: Any, own: bool) -> Iterator[None]:
    """A head for a while, before there is a trainer."""
    add_fused_lm_head(model)
    if own:
        put_own_head(model)
    try:
        yield
    finally:
        del model.forward  # back to the class's


def put_own_head(model: Any) -> None:
    """In place of TRL's, called as TRL's is: `model(..., labels=labels, fused_lm_head=True)`.

    model: without an adapter around it.
    """
    original = type(model).forward

    def forward(self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **inputs: Any) -> Any:
        if not fused_lm_head:
            return original(self, *args, **inputs if labels is None else inputs | {"labels": labels})
        out = original(self, *args, **inputs)
        return scores(out.logits[:, :-1].float(), labels[:, 1:], getattr(out, "aux_loss", None))

    model.forward = MethodType(forward, model)


def scores(logits: torch.Tensor, labels: torch.Tensor, aux_loss: torch.Tensor | None) -> FusedCausalLMOutput:
    """logits: (rows, tokens, vocabulary) float32; labels: (rows, tokens), -100 where none counts."""
    mask = labels != -100
    log_probs = torch.log_softmax(logits, -1)
    said = log_probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0] * mask
    with torch.no_grad():
        entropy = -(log_probs.exp() * log_probs).sum(-1) * mask
        top = (logits.argmax(-1) == labels) & mask
    if aux_loss is None:
        aux_loss = logits.new_zeros(())  # of experts that the model itself does not balance
    return FusedCausalLMOutput(
        log_probs=said, entropy=entropy, is_top1=top, label_mask=mask, aux_loss=aux_loss
    )
