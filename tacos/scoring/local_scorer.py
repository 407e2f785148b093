"""What scorers that read a causal language model in this process share: which model, and going on after a kill.

    class Ifd(LocalScorer):
        model: str | None = None

        def score(self, pool: Pool, job: Job) -> Scores:
            found = self.read(job, pool, self.model, work)      work: the model and some rows -> (row, Kept)

The model is a hub id or a folder, or null: the base model of the run, be it a name or a stage that makes it. So a model
that was prepared for a score (the pre-experienced one of IFD) is handed in as a folder, or as the run's base.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from tacos.errors import ConfigError
from tacos.models.batches import BUDGET
from tacos.models.local import LocalModel, load_lm
from tacos.part import Grouper, Scorer, Setup
from tacos.stage import Job, Stage
from tacos.store.fingerprint import named_by_content
from tacos.store.kept import Kept, kept_rows
from tacos.types import Message, Pool, Sample

Work = Callable[[LocalModel, Pool, str], Iterator[tuple[int, Kept]]]
"""A model, some rows and which they are in words -> (place among them, what was found)."""


class LocalScorer(Scorer):
    """naming: the settings that name a model; of these, `model` may be null for the base of the run."""

    naming: ClassVar[tuple[str, ...]] = ("model",)

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Numbers of the model; auto is as its files hold them."""
    batch_tokens: int = Field(BUDGET, ge=1)
    """Tokens of a batch; not part of the answer."""

    @property
    def of_base(self) -> bool:
        """Whether the base of the run is read."""
        return getattr(self, "model", "") is None

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        return {"base": setup.base} if self.of_base and isinstance(setup.base, Stage) else {}

    def identity(self, setup: Setup) -> dict[str, Any]:
        named = {name: _by_content(getattr(self, name)) for name in self.naming}
        return self.model_dump(mode="json", exclude={"batch_tokens"}) | named

    def build(self, setup: Setup, grouper: Grouper | None = None) -> Stage:
        """Raises: ConfigError where the base is to be read and none is named."""
        if not self.of_base or isinstance(setup.base, Stage):
            return super().build(setup, grouper)
        if not setup.base:
            raise ConfigError(f"score.by={self.by} reads a model: set base.model, or score.model")
        return self.model_copy(update={"model": setup.base}).build(setup, grouper)

    def read(self, job: Job, pool: Pool, model: str | None, work: Work, name: str = "read") -> list[Kept]:
        """What a model (None is the base of the run) says of each row; kept in `<name>.jsonl` of the stage's folder.

        The model is loaded where a row is still owed.

        Raises: TacosError when it cannot be loaded.
        """
        source = model or str(job.inputs["base"] / "model")
        load = cache(lambda: load_lm(source, self.dtype, device=job.tools.device))

        def some(rows: Sequence[int], which: str) -> Iterator[tuple[int, Kept]]:
            for place, kept in work(load(), pool.take(rows), f"{self.by}, {which}"):
                yield rows[place], kept

        return kept_rows(job.out / f"{name}.jsonl", len(pool), some)


def _by_content(named: Any) -> Any:
    if isinstance(named, dict):
        return {named_by_content(model): weight for model, weight in named.items()}
    return named_by_content(named) if named else named


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
