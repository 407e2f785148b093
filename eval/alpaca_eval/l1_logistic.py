"""Logistic regression with an L1 penalty, without intercept, for few features and fractional labels.

    minimise over w   |w|_1 + c sum_i weight_i [-y_i log p_i - (1 - y_i) log(1 - p_i)],   p = sigmoid(x w)

    x = 1, y = 0.75, weight = 1, c = 100:  p comes to 0.74, 1 / c below y, and w to log(0.74 / 0.26) = 1.046

Improved GLMNET (Yuan, Ho & Lin, JMLR 13, 2012, https://jmlr.org/papers/v13/yuan12a.html), the method of
liblinear's `L1R_LR`, with liblinear's stopping rules, constants and order of coordinates, so that it stops
at the same point short of the optimum as scikit-learn's LogisticRegression(solver="liblinear") does.
AlpacaEval's published figures were made by that; `length_control.py` says why it matters.

Why not scikit-learn's own: importing `sklearn.linear_model` alone takes 1.0 s or more (1.0 s on 2026-11-21; a
whole process with it 1.9 to 3.1 s on a busy machine on 2026-11-25), this module with numpy 0.2 to 0.3 s; and the
command scores a model in 0.3 s (`scripts/bench/alpaca_eval.py`).

Difference: liblinear takes whole labels, so a fractional one is entered as two rows, a win of weight
w y and a loss of weight w (1 - y). Both have the same features, and here they are one row. With few
features the quadratic model is a small matrix, and coordinate descent on it is plain Python.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TOLERANCE = 1e-4
_MAX_NEWTON, _MAX_PASSES, _MAX_HALVINGS = 100, 1000, 20
_RIDGE, _DECREASE, _LONGEST_STEP, _SHORTEST_STEP = 1e-12, 0.01, 10.0, 1e-12


def solve(x: Floats, y: Floats, weight: Floats, c: float, seed: int) -> Floats:
    """(features,) minimiser of |w|_1 + c sum of weighted log-losses, up to liblinear's tolerance.

    x: (n, features). y: (n,) in [0, 1]. weight: (n,) above 0. c: above 0. seed: as liblinear gets it.
    """
    cost = c * weight
    losses = x.T @ (cost * (1 - y))
    w, odds = np.zeros(x.shape[1]), np.ones(len(x))
    state = _State(_row_count(y), _shuffles(seed))
    for _ in range(_MAX_NEWTON):
        chance = 1 / (1 + odds)
        gradient = losses - x.T @ (cost * chance)
        active = state.active(w.tolist(), gradient.tolist())
        if active is None:
            break
        hessian = (x * (cost * odds * chance**2)[:, None]).T @ x
        target = state.direction(w.tolist(), gradient.tolist(), hessian.tolist(), active)
        w, odds = _line_search(x, cost, losses, gradient, w, np.array(target), odds)
    return w


def _row_count(y: Floats) -> tuple[int, int]:
    """(rows, rows of the rarer label) as liblinear counts them: each row twice, those of weight 0 left out."""
    wins, lost = int(np.count_nonzero(y > 0)), int(np.count_nonzero(y < 1))
    return wins + lost, min(wins, lost)


def _line_search(
    x: Floats, cost: Floats, losses: Floats, gradient: Floats, w: Floats, target: Floats, odds: Floats
) -> tuple[Floats, Floats]:
    """(w, odds) after the first halving of the step to `target` that lowers the objective enough."""
    step, norm = target - w, np.abs(w).sum()
    expected = gradient @ step + np.abs(target).sum() - norm
    moved, loss = x @ step, losses @ step
    for _ in range(_MAX_HALVINGS):
        factor = np.exp(moved)
        after = odds * factor
        change = np.abs(target).sum() - norm + loss - _DECREASE * expected
        change += cost @ np.log((1 + after) / (factor + after))
        if change <= 0:
            return target, after
        target, moved = (w + target) / 2, moved / 2
        expected, loss = expected / 2, loss / 2
    return w, odds


class _State:
    """What liblinear carries from one Newton step to the next.

    A coordinate at 0 whose gradient stays inside the penalty's range is set aside for the step.
    """

    def __init__(self, count: tuple[int, int], shuffles: Iterator[int]):
        self._rows = count[0]
        self._tolerance = _TOLERANCE * max(count[1], 1) / count[0]
        self._shuffles = shuffles
        self._order: list[int] = []
        self._slack, self._first, self._inner = np.inf, 0.0, 1.0

    def active(self, w: list[float], gradient: list[float]) -> int | None:
        """How many of the coordinates, first in `_order`, take part in this step; None at the optimum."""
        self._order = self._order or list(range(len(w)))
        size, at, worst, total = len(w), 0, 0.0, 0.0
        while at < size:
            j = self._order[at]
            violation = _violation(w[j], gradient[j], self._slack / self._rows)
            if violation is None:
                size -= 1
                self._swap(at, size)
                continue
            worst, total, at = max(worst, violation), total + violation, at + 1
        self._first = self._first or total
        self._slack = worst
        return size if total > self._tolerance * self._first else None

    def direction(
        self, w: list[float], gradient: list[float], hessian: list[list[float]], active: int
    ) -> list[float]:
        """Coordinate descent on the quadratic model: where a full step would lead."""
        target, size, slack, passes = list(w), active, np.inf, 0
        while passes < _MAX_PASSES:
            passes += 1
            for at in range(size):
                self._swap(at, at + _below(size - at, self._shuffles))
            total, slack, size = self._sweep(w, target, gradient, hessian, size, slack)
            if total <= self._inner * self._first:
                if size == active:
                    break
                size, slack = active, np.inf
        if passes == 1:
            self._inner *= 0.25
        return target

    def _sweep(
        self,
        w: list[float],
        target: list[float],
        gradient: list[float],
        hessian: list[list[float]],
        size: int,
        slack: float,
    ) -> tuple[float, float, int]:
        """One pass over the first `size` coordinates of `_order`, moving `target`.

        (sum of violations, largest violation, coordinates still taking part).
        """
        at, worst, total = 0, 0.0, 0.0
        while at < size:
            j = self._order[at]
            curve = sum(h * (t - v) for h, t, v in zip(hessian[j], target, w, strict=True))
            slope = gradient[j] + (target[j] - w[j]) * _RIDGE + curve
            violation = _violation(target[j], slope, slack / self._rows)
            if violation is None:
                size -= 1
                self._swap(at, size)
                continue
            worst, total, at = max(worst, violation), total + violation, at + 1
            target[j] += _coordinate_step(target[j], slope, hessian[j][j] + _RIDGE)
        return total, worst, size

    def _swap(self, a: int, b: int) -> None:
        self._order[a], self._order[b] = self._order[b], self._order[a]


def _violation(w: float, gradient: float, slack: float) -> float | None:
    """How far a coordinate is from optimal under the penalty |w|; None: at 0, safely."""
    if w > 0:
        return abs(gradient + 1)
    if w < 0:
        return abs(gradient - 1)
    if gradient + 1 > slack and gradient - 1 < -slack:
        return None
    return max(-gradient - 1, gradient - 1, 0.0)


def _coordinate_step(w: float, slope: float, curvature: float) -> float:
    """The step to the minimum of slope z + curvature z^2 / 2 + |w + z|."""
    if slope + 1 < curvature * w:
        step = -(slope + 1) / curvature
    elif slope - 1 > curvature * w:
        step = -(slope - 1) / curvature
    else:
        step = -w
    return 0.0 if abs(step) < _SHORTEST_STEP else min(max(step, -_LONGEST_STEP), _LONGEST_STEP)


def _shuffles(seed: int) -> Iterator[int]:
    """32-bit numbers of the Mersenne twister, which liblinear draws its order of coordinates from."""
    draws = np.random.RandomState(seed)
    while True:
        yield from draws.randint(0, 2**32, size=64, dtype=np.uint32).tolist()


def _below(limit: int, draws: Iterator[int]) -> int:
    """A whole number in [0, limit), unbiased: Lemire's multiplication with rejection."""
    while True:
        product = next(draws) * limit
        if product % 2**32 >= 2**32 % limit:
            return product >> 32
