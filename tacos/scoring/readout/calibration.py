"""Whether a read-out's standard errors are right: what one half of the calls says of the scores of the other.

    quality from the first half + what place and group add,  +- sqrt(std_error^2 + drift + noise)

Of the scores of the other half, 50% should lie inside the 50% interval, 95% inside the 95% one. Samples that stand in
both halves are asked, and late calls left out; where every sample has one score there are none, and errors rest on a
guess.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from tacos.scoring.calls import Given
from tacos.scoring.readout.mixed import fit_mixed
from tacos.selection import Calibration

LEVELS = (0.5, 0.8, 0.9, 0.95)
FEWEST = 100
"""Scores from which a share means something."""


def calibration(found: Given, homes: np.ndarray, prior: np.ndarray | None, seed: int) -> Calibration | None:
    """None where fewer than `FEWEST` scores can be foretold."""
    found = found.where(~found.late)
    if len(found.row) < 2 * FEWEST or np.ptp(found.value) == 0:
        return None
    calls = np.unique(found.call)
    half = np.isin(found.call, np.random.default_rng(seed).permutation(calls)[: len(calls) // 2])
    fitted = fit_mixed(found.where(half), homes, prior)
    rest = found.where(~half & np.isin(found.row, fitted.rows))
    if len(rest.row) < FEWEST:
        return None
    at = np.searchsorted(fitted.rows, rest.row)
    left = fitted.std_error[at] ** 2 + fitted.variances.drift + fitted.variances.noise
    z = (rest.value - fitted.quality[at] - fitted.added(rest)) / np.sqrt(left)
    return Calibration(
        n=len(z),
        coverage={f"{level:g}": float(np.mean(np.abs(z) <= ndtri(0.5 + level / 2))) for level in LEVELS},
        z_sd=float(np.sqrt(np.mean(z**2))),
    )
