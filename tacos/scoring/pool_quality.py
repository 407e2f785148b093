"""The pool-fitted quality model (`tacos.scoring.learned`) as a judge of other responses to the pool's prompts.

    q(response at hand) = 1.3, q(the base model's answer) = -0.4   ->   the response at hand is better

It sees form, fit to the prompt and fit to the pool, and knows no facts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacos.models.embedder import Embedder
from tacos.scoring.features import features
from tacos.scoring.learned import LearnedSettings, fit_pool
from tacos.types import Pool


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
