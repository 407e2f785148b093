"""Hidden states of whole rows as vectors: a causal model's last layer over prompt and response, pooled.

    "<|user|>\\nHi\\n<|assistant|>\\nHello</s>"    ->    (dim,)

Rows are laid out in a chat template and cut at `max_tokens`. A row that the template refuses has no vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tacos.errors import TacosError, first_line
from tacos.models.batches import Pooling, Supervised, hidden_states
from tacos.models.chat import encode
from tacos.models.expected import text_tokens
from tacos.models.local import LocalModel
from tacos.models.source import Source
from tacos.scoring.model_run import READ, ModelRun
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.store.kept import read_kept
from tacos.types import Pool, Sample


class StatesRun(ModelRun):
    """How hidden states are read."""

    def states(
        self, rows: Stage, source: Source, pooling: Pooling, max_tokens: int, few: bool = False
    ) -> Stage:
        """`vectors.npy`, (n_samples, dim) float32, of the rows of any stage with a `pool.parquet`.

        few: whether they are no pool, and not worth a line in a plan.
        """

        work = partial(_states, pooling, max_tokens, self.batch_tokens)
        asked = {"pooling": pooling, "max_tokens": max_tokens}
        tokens = None if few else partial(cut_tokens, limit=max_tokens)
        return self.over(rows, "states", source, asked, work, vectors=True, tokens=tokens)


def _states(
    pooling: Pooling, max_tokens: int, budget: int, lm: LocalModel, pool: Pool, what: str
) -> Iterator[tuple[int, np.ndarray | str]]:
    places, given = [], []
    for place, laid in enumerate(laid_out(lm, pool, max_tokens)):
        if isinstance(laid, str):
            yield place, laid
        else:
            places.append(place)
            given.append(Supervised(laid.ids, [1] * len(laid.ids)))
    for place, vector in hidden_states(lm, given, pooling, budget, what):
        yield places[place], vector


def cut_tokens(pool: Pool, limit: int) -> float:
    """Likely tokens of all rows, each up to the limit, for `tacos plan`."""
    return float(np.minimum(text_tokens(pool.prompts) + text_tokens(pool.responses), limit).sum())


def laid_out(lm: LocalModel, pool: Pool, max_tokens: int) -> Iterator[Supervised | str]:
    """Ids with the mask of what the assistant says, for each row, or why there are none."""
    limit = min(max_tokens, lm.context or max_tokens)
    for sample in pool:
        try:
            yield _row(lm, sample, limit)
        except TacosError as error:
            yield first_line(error)


def _row(lm: LocalModel, sample: Sample, limit: int) -> Supervised:
    found = encode(lm.tokenizer, sample.messages, limit)
    return Supervised(found.ids, found.mask)


def vectors_of(job: Job, name: str) -> tuple[np.ndarray, dict[int, str]]:
    """What a stage of vectors among the inputs left: (n, dim), and row -> why it has none, which is 0 there."""
    folder = job.inputs[name]
    found: dict[int, Any] = read_kept(folder / READ)
    errors = {row: kept.error for row, kept in found.items() if kept.error is not None}
    if len(errors) == len(found):
        return np.zeros((len(found), 1), dtype=np.float32), errors
    return tables.read_vectors(folder), errors
