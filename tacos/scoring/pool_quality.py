"""The pool-fitted quality model (`tacos.scoring.learned`) as a judge of other responses to the pool's prompts.

    q(response at hand) = 1.3, q(the base model's answer) = -0.4   ->   the response at hand is better

It sees form, fit to the prompt and fit to the pool, and knows no facts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacos.embed import Embedder
from tacos.scoring.features import Corpus, features
from tacos.scoring.learned import LearnedSettings, QualityModel, corrupted_pairs
from tacos.types import Pool


class PoolJudge:
    """prompts, responses: (n, dim) unit embeddings of the pool."""

    def __init__(
        self, pool: Pool, prompts: np.ndarray, responses: np.ndarray, embedder: Embedder,
        settings: LearnedSettings, seed: int,
    ):  # fmt: skip
        self.pool = pool
        self.prompts = prompts
        self.embedder = embedder
        self.settings = settings
        self.corpus = Corpus(pool.responses, prompts, responses, seed)
        everything = np.arange(len(pool))
        own = features(
            pool.prompts, pool.responses, prompts, responses, self.corpus, everything, in_corpus=True
        )
        data = corrupted_pairs(pool, prompts, own, self.corpus, embedder, settings, seed)
        self.model = self._fit(data.better, data.worse)
        quality = self.model.score(own)
        upper = quality[data.rows] >= np.median(quality)
        self.model = self._fit(data.better[upper], data.worse[upper])
        self.own: np.ndarray = self.model.score(own)
        """q of every response of the pool, (n,) log-odds."""

    def _fit(self, better: np.ndarray, worse: np.ndarray) -> QualityModel:
        return QualityModel(self.settings.knots, self.settings.penalty).fit(better, worse)

    def score(self, rows: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        """q of other responses, one to the prompt of each row; (len(rows),) on the scale of `own`."""
        at = np.asarray(rows, dtype=np.int64)
        vectors = self.embedder(list(texts), self.settings.response_tokens)
        asked = [self.pool.prompts[row] for row in at.tolist()]
        x = features(asked, list(texts), self.prompts[at], vectors, self.corpus, at, in_corpus=False)
        return self.model.score(x)
