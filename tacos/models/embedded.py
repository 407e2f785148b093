"""Embeddings of a pool as a stage: shard by shard, resumable, on one device or several.

    read.jsonl      the rows that are done; a killed stage goes on from the last shard that is whole
    vectors.npy     (n_samples, dim) float32
    passes.jsonl    what was read for it, for the done record

Where `embedder.workers` names several processes, or where there are several GPUs, rows go to them piece by piece
(`tacos.models.parallel`), and with `embedder.ray` to the machines of a cluster (`tacos.models.ray_readers`). Their
batches are others, which moves a vector by the rounding of its numbers.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tacos.errors import ConfigError
from tacos.given import named, read_given_vectors
from tacos.models.embedder import Embedder, EmbedderSettings, source_of
from tacos.models.expected import Model, Passes, text_tokens
from tacos.models.flops import KeptLedger
from tacos.models.parallel import Readers, devices_for, reader_processes
from tacos.models.ray_readers import ray_readers
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.fingerprint import named_by_content
from tacos.store.kept import kept_vectors
from tacos.types import Pool, Record
from tacos.usage import Ledger

READ, PASSES = "read.jsonl", "passes.jsonl"
MARKS = 2
"""Tokens that an encoder puts around a text."""

TextOf = Literal["prompt", "instruction", "response", "pair"]
"""Which text of a sample is embedded; "pair" is prompt and response."""


class Embedded(Record):
    """What a part says of the vectors that it looks at: of which text, from which model, or the user's own."""

    text: TextOf = "pair"
    """What is embedded: the whole pair as in CaR, the prompt, the instruction alone, or the response."""
    embedder: EmbedderSettings | None = None
    """What embeds it; null is the run's."""
    vectors: str | None = None
    """A file of vectors in place of embeddings (`tacos.given`)."""

    def vectors_of(self, pool: Stage, embedder: EmbedderSettings, where: str) -> Stage:
        """The embeddings, or the user's own vectors. embedder: the run's. where: the setting that names the file."""
        if self.vectors:
            return given_vectors(pool, self.vectors, where)
        return embedded(pool, self.embedder or embedder, self.text)


@dataclass(frozen=True)
class TextReading:
    """What a process that embeds is told (`tacos.models.parallel`).

    settings: their dtype is no "auto", which another machine would read as another. weights: the model by its content.
    """

    settings: EmbedderSettings
    text: TextOf
    max_tokens: int | None
    weights: str
    name: str = "embedding"

    def load(self, device: str, ledger: Ledger) -> Embedder:
        """Raises: ConfigError where this machine has other weights than the one that sent the rows."""
        model = self.settings.model
        if (found := named_by_content(model)) != self.weights:
            raise ConfigError(
                f"{self.name}: machine {socket.gethostname()!r} has {found} as {model!r}, and the one that runs this "
                f"{self.weights}: put the same files at the same path"
            )
        made = Embedder(self.settings, ledger, device)
        assert made.model  # loaded now, so that a process that cannot load it says so before it is given rows
        return made

    def work(self, model: Embedder, rows: Pool, what: str) -> Iterator[tuple[int, np.ndarray]]:
        yield from enumerate(model(texts_of(rows, self.text), self.max_tokens, what=what))


def text_reading(settings: EmbedderSettings, text: TextOf, max_tokens: int | None) -> TextReading:
    """What other machines are told, so that they say what this one would."""
    alike = settings.model_copy(update={"dtype": settings.numbers()})
    return TextReading(alike, text, max_tokens, named_by_content(settings.model))


def embedded(pool: Stage, settings: EmbedderSettings, text: TextOf, max_tokens: int | None = None) -> Stage:
    """Unit vectors of one text of every sample as a stage: `vectors.npy`, (n_samples, dim) float32.

    A stage that is killed goes on from the last `CHUNK` rows that it has whole (`tacos.store.kept`).
    """
    reading = text_reading(settings, text, max_tokens)

    def work(job: Job) -> Outcome:
        rows, ledger = job.pool(), KeptLedger(job.tools.ledger, job.out / PASSES)
        apart = readers_apart(reading, ledger)
        model = job.tools.embedder(settings)

        def some(owed: Sequence[int], which: str) -> Iterator[tuple[int, np.ndarray]]:
            if apart is not None:
                yield from apart.read(rows, owed, which)
                return
            with model.counting(ledger):
                found = list(reading.work(model, rows.take(owed), f"embedding, {which}"))
            yield from ((owed[place], vector) for place, vector in found)

        try:
            kept_vectors(job.out / READ, job.out / tables.VECTORS, len(rows), some)
        finally:
            if apart is not None:
                apart.close()
        parameters = apart.parameters if apart is not None else model.parameters
        return Outcome(
            rows_in=len(rows), rows_out=len(rows), metrics={"parameters": parameters} if parameters else {}
        )

    def passes(rows: Pool, done: Mapping[str, Path]) -> Passes:
        each = text_tokens(set(texts_of(rows, text))) + MARKS
        tokens = np.minimum(each, max_tokens or settings.max_tokens)
        model = Model(
            source_of(settings.model), "encoder", None, settings.model, settings.numbers(), settings.device
        )
        return Passes(model, float(tokens.sum()))

    identity = settings.identity() | ({"max_tokens": max_tokens} if max_tokens else {})
    return Stage("embed", work, {"text": text, "embedder": identity}, {"pool": pool}, passes=passes)


def readers_apart(reading: TextReading, ledger: Ledger) -> Readers | None:
    """Who embeds a pool in place of this process: actors of a Ray cluster, or processes for several devices."""
    settings = reading.settings
    if settings.ray is not None:  # pieces as for GPUs, whatever the actors turn out to have
        return ray_readers(reading, settings.ray, settings.tokens_of_a_batch("cuda"), ledger)
    devices = devices_for(settings.workers, settings.device)
    if len(devices) == 1:
        return None
    return reader_processes(reading, devices, settings.tokens_of_a_batch(devices[0]), ledger)


def given_vectors(pool: Stage, path: str, where: str) -> Stage:
    """The user's own vectors in place of embeddings. Raises: ConfigError when the file is not there."""

    def work(job: Job) -> Outcome:
        rows = job.pool()
        tables.write_vectors(job.out, read_given_vectors(Path(path), rows))
        return Outcome(rows_in=len(rows), rows_out=len(rows))

    return Stage("embed", work, named(path, where), {"pool": pool})


def texts_of(pool: Pool, text: TextOf) -> Sequence[str]:
    if text == "pair":
        return [f"{p}\n{r}" for p, r in zip(pool.prompts, pool.responses, strict=True)]
    if text == "response":
        return pool.responses
    return pool.prompts if text == "prompt" else pool.instructions
