"""Seeded sampling whose draws do not depend on the batch a row happens to be in.

`generate` draws a whole batch from one generator, so a resumed run, with other batches, would give
other replies. Here each row brings its own uniform numbers, from a seed that is a hash of the request:

    token_t = F^-1(u_t),   F the cumulative distribution after temperature and top-p
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tacos.llm.base import Sampling

if TYPE_CHECKING:
    import torch


class RowSampler:
    """A logits processor for greedy `generate`: leaves one token per row, drawn from the row's own seed.

    seeds: one per row of the batch. prompt_length: tokens before the first generated one.
    """

    def __init__(self, seeds: Sequence[int], prompt_length: int, limit: int, sampling: Sampling):
        import numpy as np

        draws = [np.random.default_rng(seed).random(limit) for seed in seeds]
        self._uniform = np.stack(draws)  # (n_rows, limit)
        self._start = prompt_length
        self._sampling = sampling

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """scores: (n_rows, vocabulary) logits; returns them with all but the drawn token at -inf."""
        import torch

        step = input_ids.shape[1] - self._start
        column = self._uniform[:, step : step + 1]
        uniform = torch.as_tensor(column, dtype=torch.float32, device=scores.device)
        token = draw(scores.float(), uniform, self._sampling)
        return torch.full_like(scores, float("-inf")).scatter_(1, token, 0.0)


def draw(logits: Any, uniform: Any, sampling: Sampling) -> Any:
    """Tokens (n_rows, 1) by inverse cumulative distribution of `logits` (n_rows, vocabulary).

    Example: probabilities .5, .3, .2 with top_p .7 keep the first two; u = .7 falls at .56 of their
    .8, so the second is drawn.
    """
    import torch

    temperature, top_p = sampling.drawn
    probs, tokens = torch.sort(torch.softmax(logits / temperature, dim=-1), descending=True, dim=-1)
    before = probs.cumsum(-1) - probs
    kept = torch.where(before < top_p, probs, 0.0)
    reached = kept.cumsum(-1)
    place = torch.searchsorted(reached, uniform * reached[:, -1:], right=True)
    last = (kept > 0).sum(-1, keepdim=True) - 1  # rounding must not step past the last kept token
    return tokens.gather(1, torch.minimum(place, last))
