"""The loss of a model on held-out samples, in nats per assistant token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eval.generate.backends import batches, load, pad_id
from tacos.errors import TacosError
from tacos.models.chat import encode
from tacos.progress import track
from tacos.types import Pool

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def heldout_loss(
    model_dir: str,
    samples: Pool,
    max_length: int,
    batch_size: int = 64,
    device: str = "auto",
    template: str = "auto",
) -> float:
    """Mean cross-entropy, in nats, over every assistant token of the samples (each token counts once).

    Raises: TacosError when the model cannot be loaded, or no sample has an assistant token to score.
    """
    model, tokenizer = load(model_dir, "auto", template, device)
    encoded = [encode(tokenizer, sample.messages, max_length) for sample in samples]
    rows = [(e.ids, e.mask) for e in encoded if e.loss_tokens]
    if not rows:
        raise TacosError(
            f"none of {len(samples)} samples has an assistant token in its first {max_length} tokens"
        )
    rows.sort(key=lambda row: -len(row[0]))
    sums = [
        batch_loss(model, batch, pad_id(tokenizer))
        for batch in track(batches(rows, batch_size), "held-out loss")
    ]
    return sum(loss for loss, _ in sums) / sum(count for _, count in sums)


def batch_loss(
    model: PreTrainedModel, rows: Sequence[tuple[list[int], list[int]]], pad: int
) -> tuple[float, int]:
    """Summed loss and number of supervised tokens."""
    import torch

    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows]).to(model.device)
    seen = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows]).to(model.device)
    mask = torch.tensor([mask + [0] * (width - len(mask)) for _, mask in rows]).to(model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=seen).logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    kept = mask[:, 1:].bool()
    return float(loss[kept].sum()), int(kept.sum())
