"""The length-controlled win rate of AlpacaEval 2: a logistic model that knows how long the answers are.

Protocol: Dubois et al., "Length-Controlled AlpacaEval" (https://arxiv.org/abs/2404.04475), as the
reference implementation fits it (tatsu-lab/alpaca_eval, `length_controlled_v1`). Without intercept,

    P(model preferred on question i) = sigmoid(w_l tanh(delta_i / std(delta)) + w_d d_i + w_m)

with delta = baseline length - model length in characters, d_i the question's difficulty, and w_m the
model's own strength. It is fitted to the model's rows at weight 1 and to 1,610 rows of the baseline told
to be concise or verbose at 0.1, which have no w_m. The length-controlled win rate is the mean prediction
with the length term at 0:

    w_d = 1, w_m = -1, difficulties 0 and 2  ->  100 (sigmoid(-1) + sigmoid(1)) / 2 = 50.0

How strongly the L1 penalty pulls (1 / c) is chosen among ten values by five-fold cross-validation.
Leaderboards publish no c; `nearest_regularisation` finds the one of the ten that a published figure
was fitted with.

The reference fits with scikit-learn's LogisticRegressionCV (liblinear, `random_state` 123), which stops
short of the optimum, at tolerance 1e-4: alpaca-7b has 5.8758 where it stops, 5.8745 at the optimum and
5.8755 published, and another `random_state` moves it by up to 0.01. So the published digits need the same
steps, not just the same problem; `l1_logistic.py` takes them. Measured on the three published files:
coefficients within 1e-12 of scikit-learn 1.9.1's, win rates within 1e-11 of alpaca_eval 0.6.6's. That spares
importing scikit-learn, 1.0 s where the whole process now takes 0.3 s (`scripts/bench/alpaca_eval.py`).

Difference: folds are dealt out by row number from the end, as GroupKFold does; its sort of groups of equal
size is not promised to be stable, so its folds could differ between processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.alpaca_eval.l1_logistic import Floats, solve

GRID: tuple[float, ...] = tuple(float(c) for c in np.logspace(-4, 4, 10))
"""The reference's values of c: 1e-4, 7.7e-4, 0.0060, 0.046, 0.36, 2.8, 22, 167, 1292, 1e4."""
FOLDS = 5
GAMED_WEIGHT = 0.1
"""0.2 shared by the two gamed baselines."""
SEED = 123


@dataclass(frozen=True, slots=True)
class Rows:
    """Weighted rows of the logistic model.

    features: (n, 3) length term, difficulty, 1 for the model's own rows.
    y: (n,) preference in [0, 1]. weight: (n,) above 0.
    """

    features: Floats
    y: Floats
    weight: Floats

    def take(self, where: NDArray[np.bool_]) -> Rows:
        return Rows(self.features[where], self.y[where], self.weight[where])


@dataclass(frozen=True, slots=True)
class Fit:
    """coef: (3,) w_l, w_d, w_m. c: inverse strength of the penalty (scikit-learn's C). scores: per value of
    the grid, the mean weighted log-likelihood of held-out rows; None where c was given."""

    coef: Floats
    c: float
    scores: Floats | None = None

    def predict(self, difficulty: Floats) -> Floats:
        """(n,) probability that the model is preferred at equal length, by (n,) difficulty."""
        return _sigmoid(self.coef[1] * difficulty + self.coef[2])


def length_term(baseline: Floats, model: Floats) -> Floats:
    """tanh of the standardised length difference; (n,) lengths in characters, n >= 2.

    All zero where every difference is the same: there is nothing to control for, and the reference
    would divide by 0.
    """
    delta = baseline - model
    spread = float(delta.std(ddof=1))
    return np.tanh(delta / spread) if spread > 0 else np.zeros_like(delta)


def controlled_values(fitted: Fit, own: Rows, gamed: Rows, difficulty: Floats) -> Floats:
    """(n,) a value per question whose mean is the length-controlled win rate and whose spread is its error, 0-1 scale.

    rate + influence_i, influence_i = (pred_i - rate) + n (y_i - p_i) x_i' H^-1 g, g the gradient of the rate by the
    coefficients and H the information of all weighted rows: the sandwich, or infinitesimal jackknife (Huber 1967; van
    der Vaart 1998, chapter 5). The published standard error is the first term alone, as if the fit were known.

    own: the model's rows, y NaN where there is no preference; difficulty: of the same questions.
    """
    n, predicted = len(own.y), fitted.predict(difficulty)
    rows = [gamed, own.take(~np.isnan(own.y))]
    information = np.zeros((3, 3))
    for part in rows:
        p = _sigmoid(part.features @ fitted.coef)
        information += (part.features * (part.weight * p * (1 - p))[:, None]).T @ part.features
    at_equal_length = own.features * np.array([0.0, 1.0, 1.0])
    gradient = (at_equal_length * (predicted * (1 - predicted))[:, None]).mean(axis=0)
    residual = np.nan_to_num(own.weight * (own.y - _sigmoid(own.features @ fitted.coef)))
    pull = n * residual * (own.features @ (np.linalg.pinv(information) @ gradient))
    return np.asarray(predicted + pull - pull.mean())


def fit(rows: Rows, c: float | None = None, grid: Sequence[float] = GRID) -> Fit:
    """The model at `c`, or at the value of `grid` with the best cross-validated likelihood."""
    if c is not None:
        return Fit(_solve(rows, c, _seeds(1)[0]), c)
    scores = _cross_validate(rows, grid)
    best = float(grid[int(scores.argmax())])
    return Fit(_solve(rows, best, _seeds(1)[0]), best, scores)


def nearest_regularisation(
    rows: Rows, difficulty: Floats, published: float, grid: Sequence[float] = GRID
) -> tuple[float, float]:
    """(c, win rate): the c of `grid` whose length-controlled win rate, 0-100, is nearest `published`."""
    rates = [(c, 100 * float(fit(rows, c).predict(difficulty).mean())) for c in grid]
    return min(rates, key=lambda found: abs(found[1] - published))


def folds(n: int) -> NDArray[np.int64]:
    """(n,) the fold, 0-4, in which each row is held out: 0 for the last, 1 for the one before, ..."""
    return np.arange(n - 1, -1, -1, dtype=np.int64) % FOLDS


def _cross_validate(rows: Rows, grid: Sequence[float]) -> Floats:
    """(len(grid),) weighted log-likelihood of held-out rows, averaged over rows, then over folds."""
    held_out, seeds = folds(len(rows.y)), _seeds(len(grid))
    return np.mean(
        [
            [
                _likelihood(rows.take(held_out == k), _solve(train, c, s))
                for c, s in zip(grid, seeds, strict=True)
            ]
            for k in range(FOLDS)
            for train in [rows.take(held_out != k)]
        ],
        axis=0,
    )


def _solve(rows: Rows, c: float, seed: int) -> Floats:
    return solve(rows.features, rows.y, rows.weight, c, seed)


def _likelihood(rows: Rows, coef: Floats) -> float:
    p = np.clip(_sigmoid(rows.features @ coef), 1e-15, 1 - 1e-15)
    return float(np.mean(rows.weight * (rows.y * np.log(p) + (1 - rows.y) * np.log1p(-p))))


def _sigmoid(x: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -x))  # no overflow far from 0


def _seeds(count: int) -> list[int]:
    """The seeds scikit-learn hands to liblinear, one for each C in turn, from `random_state`."""
    draws = np.random.RandomState(SEED)
    return [int(draws.randint(np.iinfo(np.int32).max)) for _ in range(count)]
