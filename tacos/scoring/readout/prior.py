"""What a sample's text foretells of its score, before it is compared: a regression on the scores of the other samples.

    m_i = w . x_i      x: features of the text (`tacos.scoring.features`) on spline bases, and the leading directions
                       of the embeddings of prompts and responses

Ridge regression, its penalty chosen by leave-one-out; in five parts, each foretold from the other four, so that no
sample's own score is in its prior. What place and group add is taken out of the scores first, since embeddings tell
the group, too. A score then has to move the prior instead of standing alone: at half a call per sample a prior that
explains half of the variance is worth nearly as much as a second call for every sample.
"""

from __future__ import annotations

import numpy as np

from tacos.scoring.calls import Given
from tacos.scoring.features import Corpus, features
from tacos.types import Pool

FOLDS = 5
LEADING = 64
"""Directions kept of each kind of embedding."""
PENALTIES = np.logspace(0, 5, 11)
FEWEST = 50
"""Scored samples from which anything is learned."""
CONSTANT = 1e-6
"""Standard deviation of a column up to which it is noise."""


def design_matrix(pool: Pool, prompts: np.ndarray, responses: np.ndarray, seed: int) -> np.ndarray:
    """(n_samples, n_columns) of every row. prompts, responses: (n_samples, dim) unit embeddings."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer, StandardScaler

    corpus = Corpus(pool.responses, prompts, responses, seed)
    every = np.arange(len(pool))
    text = features(pool.prompts, pool.responses, prompts, responses, corpus, every, in_corpus=True)
    spread = make_pipeline(
        StandardScaler(), SplineTransformer(n_knots=5, degree=2, knots="quantile", extrapolation="constant")
    )
    return np.hstack([spread.fit_transform(text), *(_leading(v, seed) for v in (prompts, responses))])


def _leading(vectors: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    most = min(LEADING, *vectors.shape)
    return np.asarray(
        PCA(most, svd_solver="randomized", random_state=seed).fit_transform(np.asarray(vectors))
    )


def foretold(columns: np.ndarray, found: Given, added: np.ndarray, seed: int) -> np.ndarray | None:
    """(n_samples,) expected score of each row, cross-fitted; None where too few are scored to learn from.

    columns: (n_samples, n_columns). added: (n_scores,) what place and group added to each score. A sample is learned
    from by the mean of its scores, whatever its calls.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, row = np.unique(found.row, return_inverse=True)
    told = columns.std(axis=0) > CONSTANT
    if len(rows) < FEWEST or not told.any():
        return None
    mean = np.bincount(row, found.value - added) / np.bincount(row)
    model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    parts = KFold(FOLDS, shuffle=True, random_state=seed)
    prior = np.zeros(len(columns))
    prior[rows] = cross_val_predict(model, columns[np.ix_(rows, told)], mean, cv=parts)
    return prior
