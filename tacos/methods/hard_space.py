"""IterSelectTune's settings, and the space that its two algorithms look at: vectors, clusters, batches by Q."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from tacos.allocation.diverse import diverse_rows
from tacos.grouping.embedding import EmbeddingGroups
from tacos.methods.hard_judges import HardJudgeSettings, Text
from tacos.methods.hard_labels import BaseAnswerSettings
from tacos.methods.hard_rounds import Ranked
from tacos.scoring.hardness import ClassifierSettings
from tacos.scoring.similarity import max_cosine
from tacos.stage import Job
from tacos.store import tables
from tacos.types import Record


class IterSelectTuneSettings(Record):
    """Two algorithms, one classifier, one judge."""

    fields: Literal["both", "instruction"] = "both"
    """x, which is clustered, classified, compared and answered: instruction and input, or the instruction alone."""
    base: BaseAnswerSettings = BaseAnswerSettings()
    judge: HardJudgeSettings = HardJudgeSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    """M."""
    alpha: float = Field(0.9, ge=0, le=1)
    """Weight of M against R [unverified]."""
    rounds: int = Field(3, ge=1)
    """T, at most so many [unverified]."""
    min_hard_share: float = Field(0.05, ge=0, le=1)
    """Training stops after a round in which fewer than this share of the labels were hard; 0 never stops early
    [unverified]."""
    batch: int | None = Field(None, ge=1)
    """Rows in D; None is 2% of the pool, at least 16 [unverified]."""
    subset: int | None = Field(None, ge=1)
    """Rows in V; None is ten batches [unverified]."""
    clustering: EmbeddingGroups = EmbeddingGroups()
    """k-means over embeddings of x, so its `text` follows `fields`; k = floor(sqrt(n / 2)) and an equal quota are
    [unverified]."""

    @model_validator(mode="after")
    def _subset_holds_a_batch(self) -> IterSelectTuneSettings:
        if self.subset is not None and self.subset < (self.batch or 1):
            raise ValueError(f"subset is {self.subset}, and a batch of {self.batch} is taken from it")
        return self

    @model_validator(mode="after")
    def _one_x(self) -> IterSelectTuneSettings:
        object.__setattr__(self, "clustering", self.clustering.model_copy(update={"text": self.text}))
        return self

    @property
    def text(self) -> Text:
        """x by the name of its text."""
        return "prompt" if self.fields == "both" else "instruction"

    def batch_of(self, n: int) -> int:
        return self.batch or max(16, n // 50)

    def subset_of(self, n: int) -> int:
        return max(self.batch_of(n), self.subset or 10 * self.batch_of(n))


@dataclass(frozen=True)
class Space:
    """What both algorithms look at. vectors: (n, dim) float32 of unit length; clusters: (n,) cluster numbers."""

    vectors: np.ndarray
    clusters: np.ndarray
    settings: IterSelectTuneSettings
    seed: int

    @classmethod
    def of(cls, job: Job, settings: IterSelectTuneSettings, seed: int) -> Space:
        clusters = np.load(job.inputs["clusters"] / "numbers.npy")
        return cls(tables.read_vectors(job.inputs["vectors"]), clusters, settings, seed)

    def batch(self, left: np.ndarray, hard: np.ndarray, m: np.ndarray, draw: int) -> Ranked:
        """D: V is drawn from `left`, sorted by Q, and its top batch kept; in random order where there is no M yet.

        hard: rows of D^H. m: (n,), M of every row. draw: its number, for the seed.
        """
        rng = np.random.default_rng([self.seed, draw])
        size, n = self.settings.batch_of(len(m)), self.settings.subset_of(len(m))
        rows = rng.permutation(diverse_rows(self.clusters, left, n, rng))
        if np.isnan(m[rows]).any():
            return Ranked.unknown(rows).top(size)
        return self.ranked(rows, hard, m).top(size)

    def ranked(self, rows: np.ndarray, hard: np.ndarray, m: np.ndarray) -> Ranked:
        """Sorted by Q = alpha M + (1 - alpha) R; of equals the first stays first."""
        alpha, r = self.settings.alpha, max_cosine(self.vectors, rows, hard)
        q = alpha * m[rows] + (1 - alpha) * r
        order = np.argsort(-q, kind="stable")
        return Ranked(rows[order], m[rows][order], r[order], q[order])
