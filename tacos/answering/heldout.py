"""The loss of a model on held-out samples, in nats per assistant token."""

from __future__ import annotations

from tacos.errors import TacosError
from tacos.models.batches import BUDGET, Supervised, token_losses
from tacos.models.chat import encode_samples
from tacos.models.local import load_lm
from tacos.types import Pool


def heldout_loss(
    model_dir: str,
    samples: Pool,
    max_length: int,
    budget: int = BUDGET,
    device: str = "auto",
    template: str = "auto",
) -> float:
    """Mean cross-entropy, in nats, over every assistant token of the samples (each token counts once).

    budget: tokens of a batch; not part of the answer.

    Raises: TacosError when the model cannot be loaded, or no sample has an assistant token to score.
    """
    lm = load_lm(model_dir, template=template, device=device)
    encoded = encode_samples(lm.tokenizer, samples, max_length)
    rows = [Supervised(e.ids, e.mask) for e in encoded if e.loss_tokens]
    if not rows:
        raise TacosError(
            f"none of {len(samples)} samples has an assistant token in its first {max_length} tokens: "
            "raise max_length, or give other references"
        )
    losses = [loss for _, loss in token_losses(lm, rows, budget, "held-out loss")]
    return sum(float(loss.sum(dtype="float64")) for loss in losses) / sum(map(len, losses))
