"""A model over many rows of token ids: losses, logits, hidden states, in batches that change nothing (gradients of an
adapter are in `gradients.py`).

Rows of like length share a batch, the longest first, and a batch holds `budget` tokens with its padding:

    lengths 900, 850, 30, 20 and a budget of 2,000   ->   [900, 850], [30, 20]

Rows are padded on the right. A causal model never looks to the right, and its positions count from the first token,
so a row's numbers are those it would have alone, up to rounding; an encoder is told by the mask. (Generation pads on
the left and is `tacos.llm.backends.transformers`' business.) Results come as (row, value) when their batch is done,
so that whoever takes them can keep what is there and go on after a kill. Where a batch does not fit into memory, the
budget is halved and the run goes on.
"""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np

from tacos.errors import TacosError
from tacos.models.local import LocalModel
from tacos.models.positions import table_of_positions
from tacos.progress import counted

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
V = TypeVar("V")
Pooling = Literal["mean", "weighted", "last", "none"]
BUDGET = 4096
"""Tokens of a batch, padding included. Logits take most of the memory: 4,096 x 152,000 bfloat16 are 1.2 GB."""


class Supervised(NamedTuple):
    """Token ids of a row and a mask of the same length, 1 where the token counts (`tacos.models.chat.encode`)."""

    ids: Sequence[int]
    mask: Sequence[int]


def buckets(lengths: Sequence[int], budget: int = BUDGET, most: int | None = None) -> list[list[int]]:
    """Row numbers in batches of at most `most`, the longest first; a row over the budget is a batch of its own."""
    made: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if room <= 0:
            made.append([])
            room = max(1, budget // max(1, lengths[row]))
            room = min(room, most) if most else room
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

    places = [np.flatnonzero(row.mask[1:]) for row in rows]  # of the token before each that counts
    yield from ((i, np.zeros(0, np.float32)) for i, own in enumerate(places) if not len(own))
    asked = [i for i, own in enumerate(places) if len(own)]

    def losses(batch: list[int]) -> list[np.ndarray]:
        entropy = torch.nn.functional.cross_entropy
        own = token_logits(lm, [rows[asked[place]] for place in batch])
        return [entropy(logits, wanted, reduction="none").cpu().numpy() for logits, wanted in own]

    for place, loss in run_batches(lm, [len(rows[i].ids) for i in asked], budget, what, losses):
        yield asked[place], loss


def token_logits(lm: LocalModel, rows: Sequence[Supervised]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """For each row of a batch the logits of its tokens that count, (n_counted, vocabulary) float32, and these tokens,
    (n_counted,) int64. rows: a token counts in each beside the first."""
    import torch

    places = [np.flatnonzero(row.mask[1:]) for row in rows]  # of the token before each that counts
    kept = np.unique(np.concatenate(places))
    made = _logits(lm, [row.ids for row in rows], kept)  # (n_rows, len(kept), vocabulary)
    for row, own, logits in zip(rows, places, made, strict=True):
        wanted = torch.tensor(np.asarray(row.ids)[own + 1], device=logits.device)
        yield logits[np.searchsorted(kept, own)].float(), wanted


def last_logits(
    lm: LocalModel, rows: Sequence[Sequence[int]], counts: Sequence[int]
) -> Iterator[torch.Tensor]:
    """For each row of a batch the logits behind its last `count` tokens, (count, vocabulary) float32. counts: from 1 to
    the row's length."""
    places = [np.arange(len(row) - count, len(row)) for row, count in zip(rows, counts, strict=True)]
    kept = np.unique(np.concatenate(places))
    for own, logits in zip(places, _logits(lm, rows, kept), strict=True):
        yield logits[np.searchsorted(kept, own)].float()


def next_logits(
    lm: LocalModel,
    rows: Sequence[Sequence[int]],
    tokens: Sequence[int],
    budget: int = BUDGET,
    what: str = "logits",
) -> Iterator[tuple[int, np.ndarray]]:
    """The logits of some tokens as the next one of each row: (row, (len(tokens),) float32). rows: not empty."""

    def logits(batch: list[int]) -> list[np.ndarray]:
        last = np.array([len(rows[i]) - 1 for i in batch])
        kept = np.unique(last)
        made = _logits(lm, [rows[i] for i in batch], kept)
        own = made[range(len(batch)), np.searchsorted(kept, last)][:, list(tokens)]
        return list(own.float().cpu().numpy())

    yield from run_batches(lm, [len(row) for row in rows], budget, what, logits)


def hidden_states(
    lm: LocalModel,
    rows: Sequence[Supervised],
    pooling: Pooling = "mean",
    budget: int = BUDGET,
    what: str = "hidden states",
) -> Iterator[tuple[int, np.ndarray]]:
    """The last layer, float32: (row, (dim,)) as the mean over the tokens that count or as the last of them, or
    (row, (n_counted, dim)) with pooling "none". rows: at least one token counts in each.

    "weighted" is a mean, too, in which the i-th of the tokens that count weighs i (SGPT, arXiv 2202.08904).
    """

    def pooled(batch: list[int]) -> list[np.ndarray]:
        ids, seen = pad_right([rows[i].ids for i in batch], lm.pad)
        inner: Any = lm.model.base_model
        made = inner(input_ids=ids.to(lm.device), attention_mask=seen.to(lm.device))
        states = made.last_hidden_state.float().cpu().numpy()
        found = []
        for i, row_states in zip(batch, states, strict=True):
            found.append(_pooled(row_states[np.flatnonzero(rows[i].mask)], pooling))
        return found

    yield from run_batches(lm, [len(row.ids) for row in rows], budget, what, pooled)


def _pooled(states: np.ndarray, pooling: Pooling) -> np.ndarray:
    """(n_counted, dim) -> (dim,), or as they are."""
    if pooling == "weighted":
        return np.average(states, axis=0, weights=np.arange(1, len(states) + 1)).astype(np.float32)
    return states.mean(axis=0) if pooling == "mean" else states[-1] if pooling == "last" else states


def mean_pool(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(n, tokens, dim) and (n, tokens) -> the mean over the tokens that count, (n, dim); 0 where none does."""
    seen = mask.unsqueeze(-1).to(states.dtype)
    return (states * seen).sum(1) / seen.sum(1).clamp(min=1)


def run_batches(
    lm: LocalModel,
    lengths: Sequence[int],
    budget: int,
    what: str,
    forward: Callable[[list[int]], list[V]],
    most: int | None = None,
    backward: bool = False,
) -> Iterator[tuple[int, V]]:
    """forward: the rows of a batch -> a value for each. most: rows of a batch. backward: whether it takes gradients.

    Raises: TacosError where a row has more tokens than the model has positions, or does not fit into memory alone.
    """
    import torch

    _check_length(lm, max(lengths, default=0))
    left = deque(buckets(lengths, budget, most))
    with counted(what, sum(lengths), "tokens") as done:
        while left:
            batch, made = left[0], None
            with torch.enable_grad() if backward else torch.inference_mode():
                try:
                    made = forward(batch)
                except RuntimeError as error:
                    if not out_of_memory(error):
                        raise
            if made is None:  # outside of `except`, whose traceback holds on to the tensors
                budget = _smaller(lm, [lengths[row] for row in batch])
                rest = [row for rows in left for row in rows]
                again = buckets([lengths[i] for i in rest], budget, most)
                left = deque([rest[i] for i in rows] for rows in again)
                continue
            left.popleft()
            tokens = sum(lengths[row] for row in batch)
            lm.count(tokens, tokens if backward else 0)
            done(tokens)
            yield from zip(batch, made, strict=True)


def out_of_memory(error: Exception) -> bool:
    """CUDA has a class of its own for it, MPS and the CPU have none."""
    said = str(error).lower()
    signs = ("out of memory", "enough memory", "can't allocate memory", "alloc_failed")
    return type(error).__name__ == "OutOfMemoryError" or any(sign in said for sign in signs)


def _smaller(lm: LocalModel, lengths: Sequence[int]) -> int:
    """The budget after a batch of rows of these lengths did not fit."""
    import torch

    longest, name = max(lengths), lm.model.config.name_or_path
    if len(lengths) == 1:
        raise TacosError(
            f"out of memory: a text of {longest} tokens alone does not fit beside the model {name!r} on "
            f"{lm.device}: cut or leave out texts at fewer tokens, or take a smaller model or a larger device"
        )
    if lm.device.type == "cuda":
        torch.cuda.empty_cache()
    budget = longest * (len(lengths) // 2)
    log.warning("%d tokens do not fit into memory; going on with %d a batch", longest * len(lengths), budget)
    return budget


def _check_length(lm: LocalModel, longest: int) -> None:
    """Raises: TacosError where a row has more tokens than the model has positions."""
    limit = table_of_positions(lm.model)
    if limit is not None and longest > limit:
        raise TacosError(
            f"a text of {longest} tokens is too long for {lm.model.config.name_or_path!r} with its {limit} positions: "
            f"cut texts at {limit} tokens or fewer"
        )


def _logits(lm: LocalModel, rows: Sequence[Sequence[int]], places: np.ndarray) -> torch.Tensor:
    """(n_rows, len(places), vocabulary) at some places of all rows: the others are not computed where the model
    can leave them out, which is most of the memory."""
    import torch

    ids, seen = pad_right(rows, lm.pad)
    inputs = {"input_ids": ids.to(lm.device), "attention_mask": seen.to(lm.device)}
    kept = torch.tensor(places, device=lm.device)
    model: Any = lm.model
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # under an adapter
    if "logits_to_keep" in inspect.signature(inner.forward).parameters:
        chosen: torch.Tensor = model(**inputs, logits_to_keep=kept).logits
        return chosen
    whole: torch.Tensor = model(**inputs).logits
    return whole[:, kept]
