"""A local model over the rows of a stage, as a stage of its own: row by row, resumable, on one device or many.

    read.jsonl      what was found of each row, as it comes; a killed stage goes on from there
    vectors.npy     where that is a vector, (n, dim)
    passes.jsonl    what was read for it, for the done record

Who reads is execution: this process, one for each GPU (`workers`), or actors of a Ray cluster (`ray`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tacos.models.batches import BUDGET
from tacos.models.expected import Passes, expected_model
from tacos.models.flops import KeptLedger
from tacos.models.parallel import Readers, devices_for, reader_processes
from tacos.models.ray_readers import ray_readers
from tacos.models.reading import LocalReader, ModelReading, Work
from tacos.models.source import Source
from tacos.ray_cluster import RayActors
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.kept import Kept, kept_rows, kept_vectors
from tacos.types import Pool, Record
from tacos.usage import Ledger

READ, PASSES = "read.jsonl", "passes.jsonl"
Tokens = Callable[[Pool], float]
"""Likely tokens of all passes over a pool."""


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
        """What a model says of each row as the stage `name`.

        rows: a stage with `pool.parquet`. asked: what the model is asked, as far as it changes the answer. vectors:
        whether `work` finds vectors. tokens: for `tacos plan`; None where rows are few, which this process reads
        alone. backward: whether gradients are taken.
        """

        def run(job: Job) -> Outcome:
            found = self._read(job, source.reading(job, name, self.dtype, work), vectors, few=tokens is None)
            failed = sum(kept.error is not None for kept in found)
            return Outcome(rows_in=len(found), rows_out=len(found) - failed, rows_failed=failed)

        def passes(pool: Pool, done: Mapping[str, Path]) -> Passes:
            model = expected_model(source.model, pool, done)
            model = replace(model, dtype=self.dtype, device=source.device)
            read = tokens(pool) if tokens else 0.0
            return Passes(model, read, read if backward else 0.0, adapters=backward, workers=self.workers)

        settings = {**source.identity, "dtype": self.dtype, **asked}
        inputs = {"pool": rows, **source.inputs}
        return Stage(name, run, settings, inputs, passes=passes if tokens else None)

    def _read(self, job: Job, reading: ModelReading, vectors: bool, few: bool) -> list[Kept]:
        """The model is loaded where a row is still owed."""
        pool = job.pool()
        ledger = KeptLedger(job.tools.ledger, job.out / PASSES)
        device = job.tools.device
        reader = cache(
            lambda: LocalReader(reading, device, ledger) if few else self._reader(reading, device, ledger)
        )

        def some(rows: Sequence[int], which: str) -> Iterator[tuple[int, Any]]:
            yield from reader().read(pool, rows, which)
            job.metrics["parameters"] = reader().parameters

        try:
            if vectors:
                return kept_vectors(job.out / READ, job.out / tables.VECTORS, len(pool), some)
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
