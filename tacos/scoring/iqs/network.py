"""The encoder's network: layers mixed, tokens averaged, a feed-forward head; see `encoder.py`.

Its own module, so that settings and the command line need no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tacos.models.batches import mean_pool


def sparsemax(scores: torch.Tensor) -> torch.Tensor:
    """The nearest point to `scores` (n,) in the simplex: positive weights that sum to 1, some of them 0.

    With z sorted downwards, k = max{j : 1 + j z_j > z_1 + ... + z_j} and tau = (z_1 + ... + z_k - 1) / k,
    the weights are max(0, z - tau).
    """
    z = scores.sort(descending=True).values
    sums = z.cumsum(0)
    j = torch.arange(1, len(z) + 1, device=z.device, dtype=z.dtype)
    k = int((1 + j * z > sums).sum())
    return torch.clamp(scores - (sums[k - 1] - 1) / k, min=0)


DROPPED = -100.0
"""The mixing score of a dropped layer: no weight, unless all are dropped, which then weigh the same."""


class QualityNetwork(nn.Module):
    """Token ids and mask, (batch, tokens), in; one score each, (batch,), out.

    layer_dropout: probability that a whole layer is left out of the mix in a training step.
    """

    def __init__(
        self, encoder: Any, hidden: Sequence[int], dropout: float, mix: str, layer_dropout: float = 0.0
    ):
        super().__init__()
        self.encoder = encoder
        self.mix = mix
        self.layer_dropout = layer_dropout
        self.layers = nn.Parameter(torch.zeros(encoder.config.num_hidden_layers + 1))
        self.gain = nn.Parameter(torch.ones(1))
        blocks: list[nn.Module] = []
        width = encoder.config.hidden_size
        for size in hidden:
            blocks += [nn.Linear(width, size), nn.Tanh(), nn.Dropout(dropout)]
            width = size
        self.head = nn.Sequential(*blocks, nn.Linear(width, 1))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = self.encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        mixed = self.gain * sum(w * state for w, state in zip(self.weights(), states, strict=True))
        return self.head(mean_pool(mixed, mask)).squeeze(-1)

    def weights(self) -> torch.Tensor:
        """(layers,): what each counts in the mix; they sum to 1, also without those dropped."""
        scores: torch.Tensor = self.layers
        if self.training:
            scores = scores.masked_fill(torch.rand_like(scores) < self.layer_dropout, DROPPED)
        return sparsemax(scores) if self.mix == "sparsemax" else scores.softmax(0)

    def freeze(self, encoder: bool, embeddings: bool) -> None:
        """Which parts learn from now on."""
        self.encoder.requires_grad_(not encoder)
        if embeddings:
            part = getattr(self.encoder, "embeddings", None) or self.encoder.get_input_embeddings()
            part.requires_grad_(False)
