"""What a stage will have a model of this machine read, before it does: for `tacos plan`.

Tokens are bytes / 4.4, as for prompts (`tacos.llm.estimate`), and cut where the stage cuts. The model is a name, or one
that is made on the way, of which only the shape is known.

    1,000 rows of 880 bytes, read twice      1,000 x 200 x 2 = 400,000 tokens forward
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from tacos.stage import Stage
    from tacos.types import Pool

BYTES_PER_TOKEN = 4.4
"""UTF-8 bytes of English prompts; see `tacos.llm.estimate` for how near that is."""
MADE = "the base that this run makes"


@dataclass(frozen=True)
class Model:
    """What will read.

    source: hub id or folder; "" where it is made on the way. make: such a model with any weights, where there is no
    source. name: how a plan calls it, where that is not the source. dtype, device: as `tacos.models.local.load_lm`.
    """

    source: str
    kind: Literal["causal", "encoder"] = "causal"
    make: Callable[[], Any] | None = None
    name: str = ""
    dtype: str = "auto"
    device: str = "auto"


@dataclass(frozen=True)
class Passes:
    """forward, backward: tokens. adapters: whether these alone are trained, and the rest takes no gradient. workers:
    GPUs at work, as far as there are any; None is all."""

    model: Model
    forward: float
    backward: float = 0.0
    adapters: bool = False
    workers: int | None = 1


Expect = Callable[["Pool", Mapping[str, Path]], Passes]
"""The pool, and the folders of those inputs that are done."""


def expected_model(source: Stage | str, pool: Pool, done: Mapping[str, Path]) -> Model:
    """The model of a name, or that which the stage `base` makes: of the shape of what it starts from."""
    if isinstance(source, str):
        return Model(source)
    if "base" in done:
        return Model(str(done["base"] / "model"), name=MADE)
    return source.passes(pool, {}).model if source.passes else Model("", name=MADE)


def text_tokens(texts: Iterable[str]) -> np.ndarray:
    """Likely tokens of each text, (n,) float64."""
    return (
        np.array([len(text.encode("utf-8", "replace")) for text in texts], dtype=np.float64) / BYTES_PER_TOKEN
    )


def pair_tokens(pool: Pool) -> float:
    """Of all prompts with their responses, each read once."""
    return float(text_tokens(pool.prompts).sum() + text_tokens(pool.responses).sum())
