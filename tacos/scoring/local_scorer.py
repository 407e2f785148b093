"""What scorers that read a causal language model in this process share: the stage that reads, row by row.

    class Ifd(LocalScorer):
        def inputs(self, setup: Setup) -> dict[str, Stage]:
            return {"losses": self.reading(setup, "losses", self.model, asked, work)}

        def score(self, pool: Pool, job: Job) -> Scores:
            found = read(job, "losses")                 a Kept for each row

The forward passes are a stage of their own, named by the model and by what it is asked. So scorers that ask alike share
them, and another order, ceiling or weight costs nothing.

The model is a hub id or a folder, or null: the base model of the run, be it a name or a stage that makes it. So a model
that was prepared for a score (the pre-experienced one of IFD) is handed in as a folder, or as the run's base.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tacos.errors import ConfigError
from tacos.models.batches import BUDGET
from tacos.models.expected import Passes, expected_model, pair_tokens
from tacos.models.flops import KeptLedger
from tacos.models.local import LocalModel
from tacos.models.source import Source
from tacos.part import Scorer, Setup
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.kept import Kept, kept_rows, kept_vectors, read_kept
from tacos.types import Message, Pool, Record, Sample

READ, PASSES = "read.jsonl", "passes.jsonl"
Work = Callable[[LocalModel, Pool, str], Iterator[tuple[int, Any]]]
"""A model, some rows and which they are in words -> (place among them, what was found): a `Kept`, or where vectors are
asked for, one or why there is none."""
Tokens = Callable[[Pool], float]


class ModelRun(Record):
    """How a local model is run."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Numbers of the model; auto is as its files hold them."""
    batch_tokens: int = Field(BUDGET, ge=1)
    """Tokens of a batch; not part of the answer."""

    def over(
        self,
        rows: Stage,
        name: str,
        source: Source,
        asked: Mapping[str, Any],
        work: Work,
        vectors: bool = False,
        tokens: Tokens | None = None,
        backward: bool = False,
    ) -> Stage:
        """What a model says of each row as the stage `name`: `read.jsonl`, row by row as it comes, and `vectors.npy`
        where that is a vector.

        rows: a stage with `pool.parquet`. asked: what the model is asked, as far as it changes the answer. tokens:
        likely ones of all passes over a pool, for `tacos plan`; None where rows are few. backward: whether gradients
        are taken.
        """

        def run(job: Job) -> Outcome:
            found = self._read(job, source, name, work, vectors)
            failed = sum(kept.error is not None for kept in found)
            return Outcome(rows_in=len(found), rows_out=len(found) - failed, rows_failed=failed)

        def passes(pool: Pool, done: Mapping[str, Path]) -> Passes:
            assert tokens is not None
            model = replace(expected_model(source.model, pool, done), dtype=self.dtype)
            return Passes(model, tokens(pool), tokens(pool) if backward else 0.0, adapters=backward)

        settings = {**source.identity, "dtype": self.dtype, **asked}
        inputs = {"pool": rows, **source.inputs}
        return Stage(name, run, settings, inputs, passes=passes if tokens else None)

    def _read(self, job: Job, source: Source, name: str, work: Work, vectors: bool) -> list[Kept]:
        """The model is loaded where a row is still owed."""
        pool = job.pool()
        ledger = KeptLedger(job.tools.ledger, job.out / PASSES)

        @cache
        def load() -> LocalModel:
            lm = source.load(job, self.dtype, ledger)
            job.metrics["parameters"] = lm.parameters
            return lm

        def some(rows: Sequence[int], which: str) -> Iterator[tuple[int, Any]]:
            for place, found in work(load(), pool.take(rows), f"{name}, {which}"):
                yield rows[place], found

        if vectors:
            return kept_vectors(job.out / READ, job.out / tables.VECTORS, len(pool), some)
        return kept_rows(job.out / READ, len(pool), some)


class LocalScorer(ModelRun, Scorer):
    """A scorer that reads a model."""

    def reading(
        self,
        setup: Setup,
        name: str,
        model: str | None,
        asked: Mapping[str, Any],
        work: Work,
        tokens: Tokens = pair_tokens,
    ) -> Stage:
        """What a model says of each row of the pool (`ModelRun.over`). model: None is the base of the run.

        Raises: ConfigError where the base is to be read and none is named.
        """
        source = Source(self.read_model(setup, model))
        return self.over(setup.pool, name, source, asked, work, tokens=tokens)

    def read_model(self, setup: Setup, model: str | None) -> Stage | str:
        """Raises: ConfigError where the base is to be read and none is named."""
        if source := model or setup.base:
            return source
        raise ConfigError(f"score.by={self.by} reads a model: set base.model, or score.model")


def read(job: Job, name: str) -> list[Kept]:
    """What the stage among the inputs found, one for each row of the pool."""
    found = read_kept(job.inputs[name] / READ)
    return [found[row] for row in range(len(found))]


def turns(sample: Sample) -> list[tuple[tuple[Message, ...], str]]:
    """Each turn of the assistant that is not empty and not context only, and all messages before it."""
    return [
        (sample.messages[:place], message.content)
        for place, message in enumerate(sample.messages)
        if message.role == "assistant" and message.weight and message.content.strip()
    ]


def by_owner(
    found: Iterable[tuple[int, np.ndarray]], owners: Sequence[int]
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """What was found of rows, together for each owner and in the order of its rows, once the last is there.

    owners: of each row.
    """
    owed: dict[int, int] = defaultdict(int)
    held: dict[int, dict[int, np.ndarray]] = defaultdict(dict)
    for owner in owners:
        owed[owner] += 1
    for row, value in found:
        owner = owners[row]
        held[owner][row] = value
        if len(held[owner]) == owed[owner]:
            got = held.pop(owner)
            yield owner, [got[place] for place in sorted(got)]
