"""The pool-fitted quality model: what it sees, and what it must not see."""

from __future__ import annotations

import numpy as np
import pytest

from tacos.data.builtin.build import BuiltinSettings, build
from tacos.models.embedder import Embedder
from tacos.scoring.comparative import LearnedComparator
from tacos.scoring.corrupt import CORRUPTIONS, Donors
from tacos.scoring.features import NAMES, Corpus, features, tidy
from tacos.scoring.learned import LearnedSettings, QualityModel, fit_on_pool
from tacos.scoring.pairing import Pair


def test_pairwise_fit_finds_the_feature_that_decides() -> None:
    rng = np.random.default_rng(0)
    better, worse = rng.normal(size=(2, 300, 3))
    better[:, 1] += 2.0
    model = QualityModel().fit(better, worse)
    low, high = np.zeros((1, 3)), np.array([[0.0, 1.5, 0.0]])
    assert model.score(high)[0] > model.score(low)[0] + 1
    assert np.mean(model.score(better) > model.score(worse)) > 0.85


def test_scores_are_ranks_on_the_papers_scale(pool) -> None:  # type: ignore[no-untyped-def]
    comparator = LearnedComparator(np.array([0.3, -2.0, 5.0]))
    answer = comparator.compare(pool, [Pair(group=0, first=1, second=2), Pair(group=0, first=0, second=1)])
    assert [(a.first, a.second) for a in answer] == [(1.0, 100.0), (50.5, 1.0)]


@pytest.mark.parametrize(
    ("raw", "plain"),
    [("a\\nb", "a b"), ("“x”\u00a0 y", '"x" y'), ("line\n\n\n next", "line next"), ("caf\\u00e9", "café")],
)
def test_escapes_quotes_and_blank_lines_carry_nothing(raw: str, plain: str) -> None:
    assert tidy(raw) == plain


def test_features_have_their_names_and_ignore_blank_lines(minilm: Embedder) -> None:
    prompts = [f"What is {i} plus {i}?" for i in range(12)]
    replies = [f"The sum is {2 * i}." for i in range(12)]
    p, r = minilm(prompts), minilm(replies)
    corpus = Corpus(replies, p, r)
    rows = np.arange(12)
    x = features(prompts, replies, p, r, corpus, rows, in_corpus=True)
    spaced = [reply.replace(" ", "\n\n") for reply in replies]
    assert x.shape == (12, len(NAMES))
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x, features(prompts, spaced, p, r, corpus, rows, in_corpus=True))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruptions_are_seeded_and_take_any_text(kind: str) -> None:
    donors = Donors(["One two.", "Three four five."], lambda row: np.array([1]), [])
    for text in ("", "word", "A longer sentence of some words, with an end."):
        made = [CORRUPTIONS[kind](text, 0, donors, np.random.default_rng(4)) for _ in range(2)]
        assert made[0] == made[1]


@pytest.mark.slow
def test_it_ranks_clean_rows_above_defective_ones(minilm: Embedder) -> None:
    made = build(BuiltinSettings(size=600, seed=3, test_size=0, corpus_size=0))
    pool = made.pool
    defect = np.array([t.defect is not None for t in made.truth])
    q, accuracy = fit_on_pool(
        pool, minilm(pool.prompts), minilm(pool.responses), minilm, LearnedSettings(fit_rows=250), 0
    )
    best = np.argsort(-q)[:100]
    assert defect[best].mean() < 0.75 * defect.mean()
    assert accuracy["pair_accuracy"] > 0.7
