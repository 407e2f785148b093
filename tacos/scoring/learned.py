"""The pool-fitted quality model: it learns from responses of the pool beside corrupted versions of themselves.

Where no LLM and no expert pairs are at hand, responses of the pool are compared with corrupted
versions of themselves, and an additive model learns which is which: each feature is spread over a
spline basis and a logistic regression without intercept is fitted on differences (Bradley-Terry),

    P(original better than corrupted) = sigmoid(w . (phi(original) - phi(corrupted))),   q(x) = w . phi(x)

The pool's own responses are not all good, so it is fitted twice: the second time only on the half
that the first fit ranks higher. It sees form, fit to the prompt and fit to the pool; it does not
know facts, so a fluent wrong answer passes. Output that rests on it must say so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.scoring.corrupt import CORRUPTIONS, Donors
from tacos.scoring.features import NAMES, Corpus, features
from tacos.scoring.pairwise import bradley_terry
from tacos.text import holds_sentence_end, pieces, words
from tacos.types import Pool, Record

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)
VERSION = 2
"""Of the model; it ranks otherwise than before."""
DISTINCT, LOOP = NAMES.index("distinct_bigrams"), 0.6
"""Below this share of distinct pairs of words a response says the same over and over."""
LONG = 20
"""Words of a response that is usually more than one sentence."""
NAMED_SHARE = 0.1
"""Share of responses from which the log says what the model cannot know."""


class LearnedSettings(Record):
    """How the pool-fitted quality model is trained."""

    embedder: EmbedderSettings | None = None
    """What embeds prompts and responses; null is the run's."""
    fit_rows: int = Field(1500, ge=20)
    """Responses that are corrupted, each in `corruptions` different ways."""
    corruptions: int = Field(3, ge=1, le=len(CORRUPTIONS))
    response_tokens: int = Field(64, ge=8)
    """Responses are embedded up to here: their subject shows early, and time grows with length."""
    knots: int = Field(5, ge=2)
    penalty: float = Field(1.0, gt=0)
    """Inverse strength C of the L2 penalty."""
    common_from: int = Field(5, ge=2)
    """A sentence that stands in at least this many responses counts as a common phrase."""

    def identity(self) -> dict[str, Any]:
        """What changes the answer; the vectors are inputs of their own."""
        return {**self.model_dump(exclude={"embedder"}), "version": VERSION}


@dataclass(frozen=True)
class PairData:
    """Features of originals and of their corruptions, aligned; both (n_pairs, n_features)."""

    better: np.ndarray
    worse: np.ndarray
    kinds: np.ndarray
    """(n_pairs,) names of the corruptions."""
    rows: np.ndarray
    """(n_pairs,) the pool row of each original."""


class QualityModel:
    """Additive pairwise quality: splines of features under a Bradley-Terry objective."""

    def __init__(self, knots: int = 5, penalty: float = 1.0):
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import SplineTransformer, StandardScaler

        self.basis: Pipeline = make_pipeline(
            StandardScaler(),
            SplineTransformer(n_knots=knots, degree=2, knots="uniform", extrapolation="constant"),
        )
        self.penalty = penalty
        self.weights = np.empty(0)

    def fit(self, better: np.ndarray, worse: np.ndarray) -> QualityModel:
        """better, worse: (n_pairs, n_features), row by row the same subject."""
        self.basis.fit(np.vstack([better, worse]))
        self.weights = bradley_terry(self.basis.transform(better) - self.basis.transform(worse), self.penalty)
        return self

    def score(self, x: np.ndarray) -> np.ndarray:
        """q, (n,) log-odds scale, higher is better; only differences mean something."""
        return np.asarray(self.basis.transform(x) @ self.weights)


@dataclass(frozen=True)
class PoolView:
    """A pool as the quality model reads it. prompts: (n, dim) unit embeddings of its prompts."""

    pool: Pool
    prompts: np.ndarray
    corpus: Corpus
    embedder: Embedder
    settings: LearnedSettings

    def features_of(self, rows: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """(len(rows), n_features) of other responses than the pool's, one to the prompt of each row."""
        asked = [self.pool.prompts[row] for row in rows.tolist()]
        vectors = self.embedder(list(texts), self.settings.response_tokens)
        return features(asked, texts, self.prompts[rows], vectors, self.corpus, rows, in_corpus=False)


@dataclass(frozen=True)
class PoolFit:
    """The quality model of a pool and what it was fitted on; a judge of other responses to its prompts.

    q(response at hand) = 1.3, q(another answer) = -0.4   ->   the response at hand is better
    """

    view: PoolView
    data: PairData
    upper: np.ndarray
    """(n_pairs,) bool: the pairs of the second fit."""
    model: QualityModel
    own: np.ndarray
    """Quality of every response of the pool, (n,) log-odds."""

    def score(self, rows: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """q of other responses, one to the prompt of each row; (len(rows),) on the scale of `own`."""
        return self.model.score(self.view.features_of(rows, texts))


def fit_pool(
    pool: Pool,
    prompts: np.ndarray,
    responses: np.ndarray,
    embedder: Embedder,
    settings: LearnedSettings,
    seed: int,
) -> PoolFit:
    """Both fits; see the module. prompts, responses: (n, dim) unit embeddings of the pool."""
    corpus = Corpus(pool.responses, prompts, responses, seed)
    own = features(
        pool.prompts, pool.responses, prompts, responses, corpus, np.arange(len(pool)), in_corpus=True
    )
    view = PoolView(pool, prompts, corpus, embedder, settings)
    data = corrupted_pairs(view, own, seed)
    quality = _fit(data, settings, np.ones(len(data.rows), dtype=bool)).score(own)
    upper = quality[data.rows] >= np.median(quality)
    model = _fit(data, settings, upper)
    return PoolFit(view, data, upper, model, model.score(own))


def fit_on_pool(
    pool: Pool,
    prompts: np.ndarray,
    responses: np.ndarray,
    embedder: Embedder,
    settings: LearnedSettings,
    seed: int,
) -> tuple[np.ndarray, dict[str, float]]:
    """Quality of every row, (n,) log-odds, and pair accuracies on held-out corruptions.

    prompts, responses: (n, dim) unit embeddings of the pool.
    """
    fitted = fit_pool(pool, prompts, responses, embedder, settings, seed)
    return fitted.own, held_out_accuracy(fitted.data, fitted.upper, settings, seed)


def _fit(data: PairData, settings: LearnedSettings, keep: np.ndarray) -> QualityModel:
    return QualityModel(settings.knots, settings.penalty).fit(data.better[keep], data.worse[keep])


def corrupted_pairs(view: PoolView, own: np.ndarray, seed: int) -> PairData:
    """Originals beside their corruptions, with features; a corruption equal to its original is left out.

    own: (n, n_features) of the pool's responses.
    """
    pool, settings, rng = view.pool, view.settings, np.random.default_rng(seed)
    donors = _donors(view)
    drawn = rng.permutation(_examples(own))[: settings.fit_rows]
    made: list[tuple[int, str, str]] = []
    for row in drawn.tolist():
        for kind in rng.choice(list(CORRUPTIONS), size=settings.corruptions, replace=False).tolist():
            text = CORRUPTIONS[kind](pool.responses[row], row, donors, rng)
            if text.strip() != pool.responses[row].strip():
                made.append((row, kind, text))
    _warn_of_what_it_cannot_know(pool)
    rows = np.array([row for row, _, _ in made], dtype=np.int64)
    texts = [text for _, _, text in made]
    worse = view.features_of(rows, texts)
    return PairData(own[rows], worse, np.array([kind for _, kind, _ in made]), rows)


def _examples(own: np.ndarray) -> np.ndarray:
    """The rows that may stand for good ones: all but loops, unless those are most of the pool.

    Beside a loop its own corruptions repeat less, and from enough of them the model would learn to like loops.
    """
    straight = np.flatnonzero(own[:, DISTINCT] >= LOOP)
    return straight if 2 * len(straight) >= len(own) else np.arange(len(own))


def _warn_of_what_it_cannot_know(pool: Pool) -> None:
    """A response of one word has no worse version of itself, and where nothing ends a sentence no cut shows."""
    single = sum(len(pieces(response)) < 2 for response in pool.responses)
    unmarked = sum(not holds_sentence_end(text) and len(words(text)) >= LONG for text in pool.responses)
    for rows, what in (
        (
            single,
            "are a single word, which cannot be cut, shuffled or repeated: the quality model judges them only by how "
            "they fit their prompt and the pool",
        ),
        (
            unmarked,
            "are long and hold no mark that ends a sentence, as Thai is written: the quality model cannot tell whether "
            "such a response is cut off near its end",
        ),
    ):
        if rows > NAMED_SHARE * len(pool):
            log.warning("%d of %d responses (%.0f%%) %s", rows, len(pool), 100 * rows / len(pool), what)


def _donors(view: PoolView) -> Donors:
    corpus, least = view.corpus, view.settings.common_from

    def near(row: int) -> np.ndarray:
        found, usable = corpus.neighbors(np.array([row]), view.prompts[row : row + 1])
        return corpus.rows[found[0][usable[0]]]

    common = sorted(s for s, n in corpus.sentence_counts.items() if n >= least and len(pieces(s)) > 3)
    return Donors(view.pool.responses, near, [s[:1].upper() + s[1:] for s in common])


def held_out_accuracy(
    data: PairData, keep: np.ndarray, settings: LearnedSettings, seed: int
) -> dict[str, float]:
    """Share of unseen corruptions ranked below their original, in total and by kind (ties one half)."""
    rng = np.random.default_rng(seed)
    subjects = np.unique(data.rows)
    test_rows = rng.permutation(subjects)[: max(1, len(subjects) // 5)]
    test = np.isin(data.rows, test_rows)
    if not (keep & ~test).any():
        return {}
    model = _fit(data, settings, keep & ~test)
    gap = model.score(data.better[test]) - model.score(data.worse[test])
    won = (gap > 0) + 0.5 * (gap == 0)
    kinds = data.kinds[test]
    result = {"pair_accuracy": float(won.mean()), "pairs": float(len(won))}
    return result | {f"pair_accuracy/{k}": float(won[kinds == k].mean()) for k in np.unique(kinds).tolist()}
