"""The quality model fitted on the pool itself (`tacos.scoring.learned`), as a scorer and as a judge.

    scorer   q(response at hand), log-odds; only order and differences mean something
    judge    q(response at hand) = 1.3, q(the base model's answer) = -0.4   ->   the response at hand is better

It sees form, fit to the prompt and fit to the pool, and knows no facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tacos.models.embedder import Embedder, embedded
from tacos.part import Scorer, Setup, scorer
from tacos.scoring.features import features
from tacos.scoring.learned import LearnedSettings, fit_on_pool, fit_pool
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.types import Pool


@scorer(
    "pool_quality",
    summary="a quality model fitted on the pool against its own corruptions",
    needs="embeddings",
    cost="none",
)
class PoolQuality(Scorer):
    """No LLM, no expert."""

    verb = "fit"
    seeded = True

    fit: LearnedSettings = LearnedSettings()

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        return pool_vectors(setup, self.fit)

    def identity(self, setup: Setup) -> dict[str, Any]:
        return self.fit.model_dump()

    def score(self, pool: Pool, job: Job) -> Scores:
        quality, accuracy = fit_on_pool(
            pool, *read_pool_vectors(job), job.tools.embedder(), self.fit, job.seed
        )
        job.metrics.update(accuracy)
        return Scores(quality)


def pool_vectors(setup: Setup, settings: LearnedSettings) -> dict[str, Stage]:
    """The embeddings that the model reads: prompts, and responses up to where their subject shows."""
    return {
        "prompts": embedded(setup.pool, setup.embedder, "prompt"),
        "responses": embedded(setup.pool, setup.embedder, "response", settings.response_tokens),
    }


def read_pool_vectors(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """(prompts, responses), each (n_samples, dim) of unit length."""
    return tables.read_vectors(job.inputs["prompts"]), tables.read_vectors(job.inputs["responses"])


class PoolJudge:
    """prompts, responses: (n, dim) unit embeddings of the pool."""

    def __init__(
        self,
        pool: Pool,
        prompts: np.ndarray,
        responses: np.ndarray,
        embedder: Embedder,
        settings: LearnedSettings,
        seed: int,
    ):
        self.pool = pool
        self.prompts = prompts
        self.embedder = embedder
        self.settings = settings
        self.fitted = fit_pool(pool, prompts, responses, embedder, settings, seed)

    @property
    def own(self) -> np.ndarray:
        """q of every response of the pool, (n,) log-odds."""
        return self.fitted.own

    def score(self, rows: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        """q of other responses, one to the prompt of each row; (len(rows),) on the scale of `own`."""
        at = np.asarray(rows, dtype=np.int64)
        vectors = self.embedder(list(texts), self.settings.response_tokens)
        asked = [self.pool.prompts[row] for row in at.tolist()]
        x = features(asked, list(texts), self.prompts[at], vectors, self.fitted.corpus, at, in_corpus=False)
        return self.fitted.model.score(x)
