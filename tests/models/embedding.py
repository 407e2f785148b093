"""A pool that is embedded as a stage."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tacos.artifacts import ArtifactStore
from tacos.models.embedded import TextReading, embedded
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.stage import Done, Job, Outcome, Stage, Tools
from tacos.store import tables
from tacos.types import Pool, make_sample
from tacos.usage import Ledger

ROWS = 24
POOL = Pool.from_samples(
    make_sample(
        f"Name {1 + i % 7} rivers.",
        f"Here they are: {'Rhine, Loire and Tagus. ' * (1 + 5 * i % 11)}{i}",
        id=f"s{i}",
    )
    for i in range(ROWS)
)
FLOAT32 = EmbedderSettings(dtype="float32", device="cpu")


def written() -> Stage:
    def work(job: Job) -> Outcome:
        POOL.write(job.out / "pool.parquet")
        return Outcome(rows_out=ROWS)

    return Stage("load", work)


def run(folder: Path, settings: EmbedderSettings) -> tuple[np.ndarray, Done]:
    stage, store, ledger = embedded(written(), settings, "response", 64), ArtifactStore(folder), Ledger()
    made = Embedder(settings, ledger)
    out = store.run(stage, Tools(ledger, lambda settings=None: made, None, "cpu"))  # type: ignore[arg-type]
    return np.array(tables.read_vectors(out)), store.record(stage)


@dataclass(frozen=True)
class DeadlyReading(TextReading):
    """Kills the process that reads while the file `once` is there, which it takes away."""

    once: str = ""

    def work(self, model: Embedder, rows: Pool, what: str) -> Iterator[tuple[int, np.ndarray]]:
        try:
            os.remove(self.once)
        except FileNotFoundError:
            yield from super().work(model, rows, what)
            return
        os.kill(os.getpid(), signal.SIGKILL)
