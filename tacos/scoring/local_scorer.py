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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tacos.errors import ConfigError
from tacos.models.expected import pair_tokens
from tacos.models.reading import Work
from tacos.models.source import Source
from tacos.part import Scorer, Setup
from tacos.scoring.model_run import READ, ModelRun, Tokens
from tacos.stage import Job, Stage
from tacos.store.kept import Kept, read_kept
from tacos.types import Message, Sample


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
        return self.over(setup.pool, name, self.source(setup, model), asked, work, tokens=tokens)

    def source(self, setup: Setup, model: str | None, template: str = "auto") -> Source:
        """Raises: ConfigError where the base is to be read and none is named."""
        return Source(self.read_model(setup, model), template=template, device=setup.embedder.device)

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
