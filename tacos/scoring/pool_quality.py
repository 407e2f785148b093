"""The quality model fitted on the pool itself (`tacos.scoring.learned`), as a scorer: q(response at hand), log-odds,
of which only order and differences mean something.

It sees form, fit to the prompt and fit to the pool, and knows no facts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacos.cost import Cost
from tacos.models.embedded import embedded
from tacos.part import Scorer, Setup, scorer
from tacos.scoring.learned import LearnedSettings, fit_on_pool
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.types import Pool


@scorer(
    "pool_quality",
    summary="a quality model fitted on the pool against its own corruptions",
    needs="embeddings",
    cost=Cost(embeddings=2),
)
class PoolQuality(Scorer):
    """No LLM, no expert."""

    verb = "fit"
    seeded = True

    fit: LearnedSettings = LearnedSettings()

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        return pool_vectors(setup, self.fit)

    def identity(self, setup: Setup) -> dict[str, Any]:
        return self.fit.identity()

    def score(self, pool: Pool, job: Job) -> Scores:
        quality, accuracy = fit_on_pool(
            pool, *read_pool_vectors(job), job.tools.embedder(self.fit.embedder), self.fit, job.seed
        )
        job.metrics.update(accuracy)
        return Scores(quality)


def pool_vectors(setup: Setup, settings: LearnedSettings) -> dict[str, Stage]:
    """The embeddings that the model reads: prompts, and responses up to where their subject shows."""
    embedder = settings.embedder or setup.embedder
    return {
        "prompts": embedded(setup.pool, embedder, "prompt"),
        "responses": embedded(setup.pool, embedder, "response", settings.response_tokens),
    }


def read_pool_vectors(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """(prompts, responses), each (n_samples, dim) of unit length."""
    return tables.read_vectors(job.inputs["prompts"]), tables.read_vectors(job.inputs["responses"])
