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
from tacos.llm.settings import RayActors
from tacos.models.batches import BUDGET
from tacos.models.expected import Passes, expected_model, pair_tokens
from tacos.models.flops import KeptLedger
from tacos.models.parallel import Readers, devices_for, reader_processes
from tacos.models.reading import LocalReader, ModelReading, Work
from tacos.part import Scorer, Setup
from tacos.scoring.ray_readers import ray_readers
from tacos.stage import Job, Outcome, Stage
from tacos.store.fingerprint import named_by_content
from tacos.store.kept import Kept, kept_rows, read_kept
from tacos.tracking import Ledger
from tacos.types import Message, Pool, Sample

READ, PASSES = "read.jsonl", "passes.jsonl"
MADE_HERE = "base"
"""The name of a base model that a stage of this run makes."""


class ModelRun(Record):
    """How a local model is run."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Numbers of the model; auto is as its files hold them."""
    batch_tokens: int = Field(BUDGET, ge=1)
    """Tokens of a batch; not part of the answer."""
    workers: int | None = Field(None, ge=1)
    """Processes that read, each with the model on a device of its own; None is one for each GPU. Not part of the
    answer, and neither is `ray`."""
    ray: RayActors | None = None
    """Read on the machines of a Ray cluster; None reads on this one."""

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

        def run(job: Job) -> Outcome:
            folder = str(job.inputs["base"] / "model") if isinstance(source, Stage) else source
            found = self._read(job, folder, name, work)
            failed = sum(kept.error is not None for kept in found)
            return Outcome(rows_in=len(found), rows_out=len(found) - failed, rows_failed=failed)

        def passes(pool: Pool, done: Mapping[str, Path]) -> Passes:
            model = expected_model(source, pool, done)
            model = replace(model, dtype=self.dtype, device=setup.embedder.device)
            return Passes(model, tokens(pool), workers=self.workers)

        settings = {"model": known, "dtype": self.dtype, **asked}
        return Stage(name, run, settings, {"pool": setup.pool, **base}, passes=passes)

    def _read(self, job: Job, source: str, name: str, work: Work) -> list[Kept]:
        """The model is loaded where a row is still owed."""
        pool = job.pool()
        ledger = KeptLedger(job.tools.ledger, job.out / PASSES)
        reader = cache(
            lambda: self._reader(ModelReading(name, source, self.dtype, work), job.tools.device, ledger)
        )

        def some(rows: Sequence[int], which: str) -> Iterator[tuple[int, Kept]]:
            yield from reader().read(pool, rows, which)
            job.metrics["parameters"] = reader().parameters

        try:
            return kept_rows(job.out / READ, len(pool), some)
        finally:
            if reader.cache_info().currsize:
                reader().close()

    def _reader(self, reading: ModelReading, device: str, ledger: Ledger) -> LocalReader | Readers:
        """Who reads: this process, one for each device, or actors of a Ray cluster."""
        if self.ray is not None:
            return ray_readers(reading, self.ray, self.batch_tokens, ledger)
        devices = devices_for(self.workers, device)
        if len(devices) == 1:
            return LocalReader(reading, device, ledger)
        return reader_processes(reading, devices, self.batch_tokens, ledger)


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
