"""How sure a mixed model is of each sample: the variance that is left of it once all scores are known.

Every score is y = q + u + e: the sample's quality q, the drift u that all scores of its call share, and noise e, each
a normal draw. What a call says of one of its samples is y less what is known of the drift, and what is known of the
drift comes from the call's other samples; these in turn know more or less of themselves from their other calls:

    score (i, c) on q_i:   1 / (noise + V[u_c without i])      V[u_c without i] = 1 / (1/drift + sum over others in c)
    score (j, c) on u_c:   1 / (noise + V[q_j without c])      V[q_j without c] = 1 / (1/sample + sum over other calls)

Passed to and fro until nothing changes (belief propagation for normal variables, Weiss & Freeman 2001), that is the
exact variance where no chain of calls leads back to its beginning, as in the paper's design, and a little below it
elsewhere: two rounds in a group of 200 within 1%, three rounds in a group of 8 within 10% (tests).

    sample 1, drift 0, noise 1, one score:    1 / (1/1 + 1/1) = 0.5
    drift so large that only differences say something, a partner of whom nothing else is known:
                                              1 / (1/1 + 1/(1 + 1 + 1)) = 0.75
"""

from __future__ import annotations

import numpy as np

ROUNDS = 200
ENOUGH = 1e-6
"""Relative change at which the messages stand still."""


def sample_variance(
    row: np.ndarray, call: np.ndarray, noise: np.ndarray | float, sample: float, drift: float
) -> np.ndarray:
    """(n_rows,) of q, given all scores.

    row, call: (n_scores,) from 0 without gaps. noise: of each score, or of all. sample, drift: variances before any
    score; an infinite drift leaves only differences inside a call.
    """
    n_rows, n_calls = int(row.max(initial=-1)) + 1, int(call.max(initial=-1)) + 1
    on_sample = np.zeros(len(row))
    free = 1 / drift if drift > 0 else np.inf
    for _ in range(ROUNDS):
        known = 1 / sample + np.bincount(row, on_sample, n_rows)[row] - on_sample
        on_drift = 1 / (noise + 1 / known)
        told = free + np.bincount(call, on_drift, n_calls)[call] - on_drift
        then = _inverse(noise + _inverse(told))
        moved = np.max(np.abs(then - on_sample), initial=0.0)
        on_sample = then
        if moved <= ENOUGH * max(1e-300, float(np.max(on_sample, initial=0.0))):
            break
    return np.asarray(1 / (1 / sample + np.bincount(row, on_sample, n_rows)))


def _inverse(values: np.ndarray | float) -> np.ndarray:
    """1 / values, with 1 / 0 infinite and 1 / infinite 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(1 / np.maximum(values, 0.0))
