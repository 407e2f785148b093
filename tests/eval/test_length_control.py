"""The length-controlled fit: scikit-learn's steps, worked by hand where it can be."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.alpaca_eval.l1_logistic import solve
from eval.alpaca_eval.length_control import (
    FOLDS,
    GRID,
    SEED,
    Fit,
    Rows,
    fit,
    folds,
    length_term,
    nearest_regularisation,
)


def made_rows(n: int = 400, seed: int = 0, whole: bool = False) -> Rows:
    """Rows like AlpacaEval's: half of them gamed ones of weight 0.1 without the model's feature."""
    rng = np.random.default_rng(seed)
    own = (np.arange(n) >= n // 2).astype(float)
    features = np.column_stack([np.tanh(rng.normal(size=n)), rng.normal(size=n), own])
    chance = 1 / (1 + np.exp(-(features @ [-1.5, 0.8, -1.0] + rng.normal(size=n))))
    y = (chance > 0.5).astype(float) if whole else chance
    return Rows(features, y, np.where(own > 0, 1.0, 0.1))


def by_sklearn(rows: Rows, c: float, **changes: Any) -> np.ndarray:
    """The coefficients of the reference's fit: each row twice, as a win and as a loss."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, labels, weight = doubled(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # announcements about liblinear and l1
        model = linear_model.LogisticRegression(
            C=c, l1_ratio=1, solver="liblinear", fit_intercept=False, random_state=SEED, **changes
        )
        return model.fit(x, labels, sample_weight=weight).coef_[0]


def doubled(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = len(rows.y)
    weight = np.concatenate([rows.weight * rows.y, rows.weight * (1 - rows.y)])
    return np.tile(rows.features, (2, 1)), np.repeat([1, 0], n), weight


@pytest.mark.parametrize("c", GRID)
@pytest.mark.parametrize("whole", [False, True])
def test_the_fit_stops_where_sklearns_does(c: float, whole: bool) -> None:
    rows = made_rows(whole=whole)
    assert fit(rows, c).coef == pytest.approx(by_sklearn(rows, c), abs=1e-9)


@pytest.mark.parametrize("features", [1, 2, 5])
def test_any_number_of_features(features: int) -> None:
    rng = np.random.default_rng(features)
    x = rng.normal(size=(150, features)) * [10.0**k for k in range(features)]
    rows = Rows(x, rng.uniform(size=150), np.ones(150))
    seed = int(np.random.RandomState(SEED).randint(np.iinfo(np.int32).max))
    for c in (0.01, 1.0):
        assert solve(x, rows.y, rows.weight, c, seed) == pytest.approx(by_sklearn(rows, c), abs=1e-7)


def test_one_feature_by_hand() -> None:
    # |w| + 100 loss is least where 1 = 100 (0.75 - p): p = 0.74.
    one = np.ones((1, 1))
    w = solve(one, np.array([0.75]), np.ones(1), 100.0, 0)
    assert w[0] == pytest.approx(math.log(0.74 / 0.26), abs=1e-3)
    # 1 / c = 1 is more than the loss can pull: |w| wins.
    assert solve(one, np.array([0.75]), np.ones(1), 1.0, 0)[0] == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(GRID))
def test_the_objective_is_near_its_minimum(seed: int, c: float) -> None:
    rows = made_rows(40, seed)

    def objective(w: np.ndarray) -> float:
        margin = rows.features @ w
        losses = np.logaddexp(0, margin) - rows.y * margin
        return float(np.abs(w).sum() + c * (rows.weight * losses).sum())

    w = fit(rows, c).coef
    least = objective(w)
    for direction in np.vstack([np.eye(3), -np.eye(3)]):
        assert objective(w + 0.01 * direction) >= least - 1e-5 * (1 + least)


def test_cross_validation_is_the_references() -> None:
    """LogisticRegressionCV with grouped folds, scored by the weighted log-loss of fractional labels."""
    sklearn = pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import GroupKFold

    def loss(y_true: Any, y_pred: Any, truth: Any, weight: Any, **_: Any) -> float:
        y, p = np.where(y_true == 1, truth, 1 - truth), np.clip(y_pred, 1e-15, 1 - 1e-15)
        return -float(np.mean(weight * (y * np.log(p) + (1 - y) * np.log(1 - p))))

    rows = made_rows(505)
    x, labels, weight = doubled(rows)
    truth, own_weight = np.concatenate([rows.y, 1 - rows.y]), np.tile(rows.weight, 2)
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scorer = make_scorer(loss, response_method="predict_proba", greater_is_better=False)
        model = LogisticRegressionCV(
            cv=GroupKFold(FOLDS),
            scoring=scorer.set_score_request(truth=True, weight=True),
            l1_ratios=(1,),
            solver="liblinear",
            fit_intercept=False,
            random_state=SEED,
            use_legacy_attributes=False,
        ).set_fit_request(sample_weight=True)
        model.fit(
            x, labels, sample_weight=weight, groups=np.tile(np.arange(505), 2), truth=truth, weight=own_weight
        )
    ours = fit(rows)
    assert ours.c == pytest.approx(float(model.C_))
    assert ours.coef == pytest.approx(model.coef_[0], abs=1e-9)
    assert ours.scores == pytest.approx(np.asarray(model.scores_).reshape(FOLDS, -1).mean(0), abs=1e-9)


def test_folds_are_of_one_size_and_cover_every_row() -> None:
    assert folds(7).tolist() == [1, 0, 4, 3, 2, 1, 0]
    assert np.bincount(folds(2415)).tolist() == [483] * 5


def test_length_term_by_hand() -> None:
    # delta = 10, 0, -10: std 10 with ddof 1, so tanh of 1, 0, -1.
    term = length_term(np.array([30.0, 20.0, 10.0]), np.array([20.0, 20.0, 20.0]))
    assert term == pytest.approx([math.tanh(1), 0, -math.tanh(1)])
    assert length_term(np.array([5.0, 6.0]), np.array([1.0, 2.0])).tolist() == [0, 0]


def test_prediction_by_hand() -> None:
    predicted = Fit(np.array([-9.0, 1.0, -1.0]), 1.0).predict(np.array([0.0, 2.0]))
    assert predicted == pytest.approx([1 / (1 + math.e), 1 / (1 + 1 / math.e)])
    assert predicted.mean() == pytest.approx(0.5)


def test_the_regularisation_behind_a_figure_is_found() -> None:
    rows, difficulty = made_rows(), np.linspace(-1, 1, 11)
    for c in GRID[3:6]:
        rate = 100 * float(fit(rows, c).predict(difficulty).mean())
        assert nearest_regularisation(rows, difficulty, round(rate, 4)) == (c, pytest.approx(rate))


def test_a_fit_is_repeatable() -> None:
    rows = made_rows()
    assert fit(rows).coef.tolist() == fit(rows).coef.tolist()
