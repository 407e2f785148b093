"""What a quality scorer is, and the embeddings it can share with clustering and the pool-fitted quality model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from tacos.types import Record

Kind = Literal["light", "encoder"]


@dataclass(frozen=True)
class Vectors:
    """Unit embeddings of the texts to score, (n, dim) each, such as the stages `embed` leaves behind."""

    prompts: np.ndarray
    responses: np.ndarray


class QualityScorer(Protocol):
    """Scores responses one by one; higher is better, and only differences and order mean something."""

    kind: Kind

    @property
    def settings(self) -> Record: ...

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], vectors: Vectors | None = None
    ) -> np.ndarray:
        """(n,) float64; NaN where a side is empty."""
        ...

    def write(self, folder: Path) -> None:
        """The weights as files of an existing folder; `tacos.scoring.iqs.folder` adds the card."""
        ...
