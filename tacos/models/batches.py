"""A model over many rows of token ids: losses, logits, hidden states, in batches that change nothing.

Rows of like length share a batch, the longest first, and a batch holds `budget` tokens with its padding:

    lengths 900, 850, 30, 20 and a budget of 2,000   ->   [900, 850], [30, 20]

Rows are padded on the right. A causal model never looks to the right, and its positions count from the first token,
so a row's numbers are those it would have alone, up to rounding; an encoder is told by the mask. (Generation pads on
the left and is `tacos.llm.backends.transformers`' business.) Results come as (row, value) when their batch is done,
so that whoever takes them can keep what is there and go on after a kill.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from tacos.errors import TacosError
from tacos.models.local import LocalModel
from tacos.models.positions import table_of_positions
from tacos.progress import track

if TYPE_CHECKING:
    import torch

Pooling = Literal["mean", "last", "none"]
BUDGET = 4096
"""Tokens of a batch, padding included. Logits take most of the memory: 4,096 x 152,000 bfloat16 are 1.2 GB."""


class Supervised(NamedTuple):
    """Token ids of a row and a mask of the same length, 1 where the token counts (`tacos.models.chat.encode`)."""

    ids: Sequence[int]
    mask: Sequence[int]


def buckets(lengths: Sequence[int], budget: int = BUDGET) -> list[list[int]]:
    """Row numbers in batches, the longest first; a row over the budget is a batch of its own."""
    made: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if room <= 0:
            made.append([])
            room = max(1, budget // max(1, lengths[row]))
        made[-1].append(row)
        room -= 1
    return made


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and attention mask, both (n_rows, longest) int64."""
    import torch

    width = max(len(row) for row in rows)
    ids = [[*row, *[pad] * (width - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


def token_losses(
    lm: LocalModel, rows: Sequence[Supervised], budget: int = BUDGET, what: str = "losses"
) -> Iterator[tuple[int, np.ndarray]]:
    """-log p(token | those before it), in nats, of every token that counts: (row, (n_counted,) float32).

    The first token of a row has none before it and never counts. A row in which none counts gives an empty array.
    """
    import torch

    counted = [np.flatnonzero(row.mask[1:]) for row in rows]
    yield from ((i, np.zeros(0, np.float32)) for i, places in enumerate(counted) if not len(places))
    asked = [i for i, places in enumerate(counted) if len(places)]
    for batch in _batches(lm, asked, [len(rows[i].ids) for i in asked], budget, what):
        kept = np.unique(np.concatenate([counted[i] for i in batch]))
        ids = [rows[i].ids for i in batch]
        with torch.inference_mode():
            logits = _logits(lm, ids, kept)  # (n_batch, len(kept), vocabulary)
            for place, i in enumerate(batch):
                own = logits[place, np.searchsorted(kept, counted[i])].float()
                wanted = torch.tensor(np.asarray(ids[place])[counted[i] + 1], device=own.device)
                loss = torch.nn.functional.cross_entropy(own, wanted, reduction="none")
                yield i, loss.cpu().numpy()


def next_logits(
    lm: LocalModel,
    rows: Sequence[Sequence[int]],
    tokens: Sequence[int],
    budget: int = BUDGET,
    what: str = "logits",
) -> Iterator[tuple[int, np.ndarray]]:
    """The logits of some tokens as the next one of each row: (row, (len(tokens),) float32). rows: not empty."""
    import torch

    for batch in _batches(lm, range(len(rows)), [len(row) for row in rows], budget, what):
        last = np.array([len(rows[i]) - 1 for i in batch])
        kept = np.unique(last)
        with torch.inference_mode():
            logits = _logits(lm, [rows[i] for i in batch], kept)
            own = logits[range(len(batch)), np.searchsorted(kept, last)][:, list(tokens)]
        yield from zip(batch, own.float().cpu().numpy(), strict=True)


def hidden_states(
    lm: LocalModel,
    rows: Sequence[Supervised],
    pooling: Pooling = "mean",
    budget: int = BUDGET,
    what: str = "hidden states",
) -> Iterator[tuple[int, np.ndarray]]:
    """The last layer, float32: (row, (dim,)) as the mean over the tokens that count or as the last of them, or
    (row, (n_counted, dim)) with pooling "none". rows: at least one token counts in each."""
    import torch

    for batch in _batches(lm, range(len(rows)), [len(row.ids) for row in rows], budget, what):
        ids, seen = pad_right([rows[i].ids for i in batch], lm.pad)
        inner: Any = lm.model.base_model
        with torch.inference_mode():
            made = inner(input_ids=ids.to(lm.device), attention_mask=seen.to(lm.device))
            states = made.last_hidden_state.float().cpu().numpy()
        for place, i in enumerate(batch):
            own = states[place, np.flatnonzero(rows[i].mask)]
            yield i, own.mean(axis=0) if pooling == "mean" else own[-1] if pooling == "last" else own


def mean_pool(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(n, tokens, dim) and (n, tokens) -> the mean over the tokens that count, (n, dim); 0 where none does."""
    seen = mask.unsqueeze(-1).to(states.dtype)
    return (states * seen).sum(1) / seen.sum(1).clamp(min=1)


def _batches(
    lm: LocalModel, rows: Sequence[int], lengths: Sequence[int], budget: int, what: str
) -> Iterator[list[int]]:
    """Raises: TacosError where a row has more tokens than the model has positions."""
    limit, longest = table_of_positions(lm.model), max(lengths, default=0)
    if limit is not None and longest > limit:
        raise TacosError(
            f"a text of {longest} tokens is too long for {lm.model.config.name_or_path!r} with its {limit} positions: "
            f"cut texts at {limit} tokens or fewer"
        )
    for batch in track(buckets(lengths, budget), what):
        yield [rows[place] for place in batch]


def _logits(lm: LocalModel, rows: Sequence[Sequence[int]], places: np.ndarray) -> torch.Tensor:
    """(n_rows, len(places), vocabulary) at some places of all rows: the others are not computed where the model
    can leave them out, which is most of the memory."""
    import torch

    ids, seen = pad_right(rows, lm.pad)
    inputs = {"input_ids": ids.to(lm.device), "attention_mask": seen.to(lm.device)}
    kept = torch.tensor(places, device=lm.device)
    model: Any = lm.model
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        chosen: torch.Tensor = model(**inputs, logits_to_keep=kept).logits
        return chosen
    whole: torch.Tensor = model(**inputs).logits
    return whole[:, kept]
