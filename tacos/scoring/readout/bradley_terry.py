"""Bradley-Terry: who is better, from who won, for judges whose numbers say no more than that (Bradley & Terry 1952).

    P(a beats b) = sigmoid(q_a - q_b + first)      q ~ N(0, v)

A tie is half a win of each, `first` is what it is worth to be shown first, and a list of k counts as its k (k-1) / 2
pairs with weight 2 / k, since k - 1 of them say all. Each Newton step is a least-squares problem with one line a pair.
v is what makes samples win again as often as they did: with two results of one sample in different calls as +1, 0 or
-1, their mean product is

    E[r(q)^2],   r(q) = 2 E over partners and places of sigmoid(q - q' +- first) - 1

which grows with v (0.13 at v = 1, 0.24 at v = 4, where first is 0); without enough of them v is 1. Results are taken
less the mean of their place, and v and `first` are found in turn.

    a beats b once from each place, v = 1:   q_a = -q_b = 0.52, as 2 wins pull with 2 (1 - sigmoid(1.04)) = 0.52
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.special import expit

from tacos.errors import TacosError
from tacos.scoring.calls import Calls, CallScores
from tacos.scoring.readout.levels import products
from tacos.scoring.readout.mixed import Fitted, Variances
from tacos.scoring.readout.uncertainty import sample_variance

NEWTON = 25
REPEATED = 200
"""Samples' pairs of results that weigh as much as the guess that v is 1."""
SMALLEST, LARGEST = 0.01, 100.0
TURNS = 3
"""Times that v and the first place are found in turn."""
STILL = 1e-6
"""Change of an ability, in logits, at which it stands."""
FIRST = 1.0
"""Ridge on the advantage of the first place: it is a logit or so, not anything."""


def fit_bradley_terry(calls: Calls, answers: CallScores, variance: float | None = None) -> Fitted:
    """Abilities in logits, 0 on average. variance: v, where it is known.

    Raises: TacosError where no call names a winner.
    """
    results = outcomes(calls, answers)
    if not len(results.won):
        raise TacosError(
            "no call scores two samples, so nobody won: "
            "read out numbers with score.readout.by=mixed, or ask again with "
            "--retry-failed"
        )
    rows, place = np.unique(np.concatenate([results.first, results.second]), return_inverse=True)
    a, b = np.split(place, 2)
    sides = _sides(a, b, len(rows))
    v, measured = variance or 1.0, True
    q = _abilities(sides, results, v)
    for _ in range(0 if variance else TURNS):
        v, measured = _variance(a, b, results, float(q[-1]))
        q = _abilities(sides, results, v)
    left = _left(a, b, results.weight, expit(sides @ q), v)
    variances = Variances(v, np.inf, float("nan"), measured)
    return Fitted(rows, q[:-1], np.sqrt(left), variances, q[:-1], np.array([0.0, -q[-1]]))


def _variance(a: np.ndarray, b: np.ndarray, results: PairResults, first: float) -> tuple[float, bool]:
    """v, and whether it is measured more than guessed."""
    who, call = np.concatenate([a, b]), np.tile(results.call, 2)
    lead = 2 * results.won - 1 - np.mean(2 * results.won - 1)
    result = np.concatenate([lead, -lead])
    met, once = np.unique(np.stack([who, call]), axis=1, return_inverse=True)
    in_call = np.bincount(once, result) / np.bincount(once)
    again, repeated = products(in_call, met[0])
    again = (repeated * again + REPEATED * consistency(1.0, first)) / (repeated + REPEATED)
    measured = repeated >= REPEATED
    if again <= consistency(SMALLEST, first):
        return SMALLEST, measured
    if again >= consistency(LARGEST, first):
        return LARGEST, measured
    from scipy.optimize import brentq

    log_v = brentq(lambda x: consistency(np.exp(x), first) - again, np.log(SMALLEST), np.log(LARGEST))
    return float(np.exp(log_v)), measured


def consistency(v: float, first: float = 0.0) -> float:
    """The mean product of two results of one sample against different partners, with abilities of variance v.

    first: what it is worth to be shown first; results are less the mean of their place.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(64)
    q, weights = np.sqrt(v) * points, weights / weights.sum()
    gap = q[:, None] - q[None]
    result = (expit(gap + first) + expit(gap - first) - 1) @ weights
    return float(weights @ result**2)


@dataclass(frozen=True)
class PairResults:
    """Pairs inside calls, all (n_pairs,). won: by the first, 1, 0.5 or 0. weight: 2 / samples in the call."""

    first: np.ndarray
    second: np.ndarray
    won: np.ndarray
    call: np.ndarray
    weight: np.ndarray


def outcomes(calls: Calls, answers: CallScores) -> PairResults:
    """Every pair inside a call of which both were scored."""
    size = calls.present.sum(axis=1)
    found = []
    for i, j in combinations(range(calls.rows.shape[1]), 2):
        gap = answers.scores[:, i] - answers.scores[:, j]
        at = np.flatnonzero(calls.present[:, j] & ~np.isnan(gap))
        found.append((calls.rows[at, i], calls.rows[at, j], (np.sign(gap[at]) + 1) / 2, at, 2 / size[at]))
    return PairResults(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _sides(a: np.ndarray, b: np.ndarray, n: int) -> sparse.csr_matrix:
    """(n_pairs, n + 1): 1 for who is shown first, -1 for the other, and 1 for the first place."""
    at = np.arange(len(a))
    ones = np.ones(len(a))
    columns = np.concatenate([a, b, np.full(len(a), n)])
    values = np.concatenate([ones, -ones, ones])
    return sparse.csr_matrix((values, (np.tile(at, 3), columns)), shape=(len(a), n + 1))


def _abilities(sides: sparse.csr_matrix, results: PairResults, v: float) -> np.ndarray:
    """The most likely ones, by Newton's method, and what the first place is worth."""
    q = np.zeros(sides.shape[1])
    ridge = np.append(np.full(len(q) - 1, 1 / v), FIRST)
    for _ in range(NEWTON):
        p = expit(sides @ q)
        slope = sides.T @ (results.weight * (results.won - p)) - ridge * q
        curve = (sides.T @ sparse.diags(results.weight * p * (1 - p)) @ sides + sparse.diags(ridge)).tocsr()
        step, failed = cg(curve, slope, rtol=1e-8, maxiter=5000, M=sparse.diags(1 / curve.diagonal()))
        q = q + step
        if not failed and np.max(np.abs(step)) < STILL:
            return q
    raise TacosError(
        f"abilities from who won do not stand still after {NEWTON} steps: set score.readout.by=mean or mixed"
    )


def _left(a: np.ndarray, b: np.ndarray, weight: np.ndarray, p: np.ndarray, v: float) -> np.ndarray:
    """(n_rows,) variance that is left: a pair tells a difference to within 1 / (p (1-p)), half of it on each side."""
    call = np.arange(len(a))
    noise = np.tile(0.5 / np.maximum(weight * p * (1 - p), 1e-9), 2)
    return sample_variance(np.concatenate([a, b]), np.tile(call, 2), noise, v, np.inf)
