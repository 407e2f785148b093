"""Rank correlations with their intervals.

Spearman's is taken through Fisher's z with the standard error of Bonett & Wright (2000), sqrt((1 + r^2 / 2) / (n - 3)):

    1 2 3 4 5  with  1 2 3 5 4       r = 0.9, error sqrt(1.405 / 2) = 0.838   ->   0.90 [-0.17, 1.00]

A partial one takes out what a third list explains of both: (r_ab - r_ac r_bc) / sqrt((1 - r_ac^2) (1 - r_bc^2)), with
n less one. Kendall's tau of a grade and a score is taken row by row, ties being 0, and its mean has an interval over
rows:

    score at grade 0, 1, 2:   5 4 3   tau -1      5 5 3   tau -2/3      3 4 5   tau +1
"""

from __future__ import annotations

import numpy as np

from eval.interval import Interval
from eval.spread import Z
from eval.stats import against

FEWEST = 4
"""Items for an interval of a correlation."""


def spearman(a: np.ndarray, b: np.ndarray) -> Interval | None:
    """a, b: (n,) without NaN. None for fewer than four items, and where one side is constant."""
    return None if not _varied(a, b) else _interval(_correlation(a, b), len(a), 0)


def partial_spearman(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> Interval | None:
    """Of a and b, with what `given` explains of both taken out. None as for `spearman`, or where it explains all."""
    if not _varied(a, b, given) or len(a) < FEWEST + 1:
        return None
    ab, ac, bc = _correlation(a, b), _correlation(a, given), _correlation(b, given)
    left = (1 - ac**2) * (1 - bc**2)
    return _interval((ab - ac * bc) / left**0.5, len(a), 1) if left > 1e-12 else None


def stepped_up(half: Interval) -> Interval:
    """Spearman and Brown's: the reliability of both halves together, 2 r / (1 + r); at least -1."""

    def up(r: float) -> float:
        return max(-1.0, 2 * r / (1 + r)) if r > -1 else -1.0

    return Interval(mean=up(half.mean), low=up(half.low), high=up(half.high), n=half.n)


def mean_tau(scores: np.ndarray) -> Interval | None:
    """Kendall's tau of grade and score, -1 where every step of the grade lowers it, mean over rows.

    scores: (n_rows, n_grades) without NaN, mildest first. None where there is no row.
    """
    if not len(scores):
        return None
    first, second = np.triu_indices(scores.shape[1], 1)
    taus = np.sign(scores[:, second] - scores[:, first]).mean(axis=1)
    return against([taus], 0.0, scale=(-1.0, 1.0)).interval


def _varied(*columns: np.ndarray) -> bool:
    return len(columns[0]) >= FEWEST and all(np.ptp(column) > 0 for column in columns)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(np.clip(spearmanr(a, b).statistic, -1.0, 1.0))


def _interval(r: float, n: int, given: int) -> Interval:
    """given: how many other lists were taken out."""
    r = float(np.clip(r, -1.0, 1.0))
    if abs(r) > 1 - 1e-9:
        return Interval(mean=r, low=r, high=r, n=n)
    half = Z * ((1 + r * r / 2) / (n - 3 - given)) ** 0.5
    low, high = (float(np.tanh(np.arctanh(r) + sign * half)) for sign in (-1, 1))
    return Interval(mean=r, low=low, high=high, n=n)
