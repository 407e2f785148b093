"""Likeness to query rows by a text embedder: the baseline of targeted selection (as in RDS+, arXiv 2503.01807).

    value(q, x) = cos(e(q), e(x))        score(x) = max over all query rows

Worked example, two query rows, cosines of a row 0.3 and 0.7: the score is 0.7.

Your own vectors take the place of the embedder where both `vectors` (of the pool) and `query_vectors` are named.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import model_validator

from tacos.cost import Cost
from tacos.errors import ConfigError
from tacos.models.embedded import Embedded, embedded, given_vectors
from tacos.models.embedder import unit_rows
from tacos.part import Setup, scorer
from tacos.scoring.targeted import TargetedScorer, products
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.types import Pool


@scorer(
    "embedding",
    summary="likeness to query rows, by an embedder",
    paper="arXiv 2503.01807",
    needs="query rows, embeddings",
    cost=Cost(embeddings=1),
)
class EmbeddingLikeness(Embedded, TargetedScorer):
    """Of which text, by which embedder."""

    query_vectors: str | None = None
    """A file of vectors of the query rows, beside `vectors`."""

    @model_validator(mode="after")
    def _both_files(self) -> EmbeddingLikeness:
        if (self.vectors is None) != (self.query_vectors is None):
            raise ValueError("name vectors of the pool and query_vectors, or neither")
        return self

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        queries = self.queries_stage(setup)
        if self.query_vectors:
            asked = given_vectors(queries, self.query_vectors, "score.query_vectors")
        else:
            made = embedded(queries, self.embedder or setup.embedder, self.text)
            asked = replace(made, passes=None)  # a plan would take the pool for the few query rows
        vectors = self.vectors_of(setup.pool, setup.embedder, "score.vectors")
        return {"queries": queries, "asked": asked, "vectors": vectors}

    def identity(self, setup: Setup) -> dict[str, Any]:
        return TargetedScorer.identity(self, setup)

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,), -1 to 1. Raises: ConfigError for given vectors of two lengths."""
        queries = Pool.read(job.inputs["queries"] / tables.POOL)
        asked, rows = (
            unit_rows(np.array(tables.read_vectors(job.inputs[name]))) for name in ("asked", "vectors")
        )
        if asked.shape[1] != rows.shape[1]:
            raise ConfigError(
                f"score.query_vectors are of {asked.shape[1]} numbers and score.vectors of {rows.shape[1]}: "
                "take both from one embedder"
            )
        return self.scores(self.targets(queries, products(asked, rows)), {})
