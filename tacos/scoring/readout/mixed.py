"""A mixed model of comparing calls: what is left of a score once drift, position and noise are taken out.

    y = a_group + q_i + u_c + b_place [+ s_group] + e      a ~ N(0, between)   q_i ~ N(m_i, sample)
                                                           u_c ~ N(0, drift)   e ~ N(0, noise)

a + q_i is the sample's quality and the score that is read out, a being what its group has in common; u_c what a call
adds to all its scores (a judge in a lenient mood), b what the place in the list adds. m_i is 0, or what features and
embeddings foretell (`tacos.scoring.readout.prior`). Where there are calls across groups, s_group is the scale of a
group's own calls: the level of a group then comes from the bridges alone, and one cut over all groups is fair. Without
them the level is taken for quality. Estimates are best linear unbiased predictions by Henderson's equations (Henderson
1975), a sparse system of one line for each sample and call, solved by conjugate gradients; variances are moments of the
residuals:

    between  mean product of the means of two calls of one group, the rest without the level of groups:
    drift    mean product of two scores of one call
    sample   mean product of two scores of one sample, in different calls
    noise    what is left of the mean square

Late calls went to samples that seemed near the cut-off, so their scores are in no product; they scale the samples'
variance by their slope on what the scores before them foretold.

    scores 70, 60 and 30, 40 of two calls, sample 100, drift 0, noise 100:    half the distance to 50: 60, 55, 40, 45
    the same with a large drift, only differences count:    52.5, 47.5, 47.5, 52.5

Where no sample has a second score, sample and noise cannot be told apart: each is then taken to be half of what is
left. n pairs of scores of one sample move that guess by n / (n + 200) of the way to what they say, and with fewer than
200 `Variances.told_apart` is False. The order of samples does not depend on it unless there is a prior, but standard
errors do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from tacos.errors import TacosError
from tacos.scoring.calls import ACROSS, Given
from tacos.scoring.readout.uncertainty import sample_variance

REPEATED = 200
"""Pairs of scores of one sample that weigh as much as the guess that half of what is left is noise."""
LEAST = 0.02
"""Share of the variance that samples and noise have at least, so that neither rules alone."""
FREE = 1e-6
"""Ridge, in scores, on what has no variance of its own: places, and the scales of groups."""
SOLVED, STEPS = 1e-8, 5000


@dataclass(frozen=True)
class Variances:
    """Variances, in squared points of the judge's scale. told_apart: sample and noise are measured more
    than guessed."""

    sample: float
    drift: float
    noise: float
    told_apart: bool

    @property
    def reliability(self) -> float:
        """Share of the variance of one score that is the sample's."""
        return self.sample / (self.sample + self.drift + self.noise)


@dataclass(frozen=True)
class Fitted:
    """rows: (n_scored,) pool rows, ascending. quality, std_error: (n_scored,) of each, in points of the judge's scale.

    moved: (n_scored,) how far its scores moved each from what was expected of it.
    effects: what the places of a call and the scales of groups add to a score.
    """

    rows: np.ndarray
    quality: np.ndarray
    std_error: np.ndarray
    variances: Variances
    moved: np.ndarray
    effects: dict[str, float]


def fit_mixed(
    found: Given, homes: np.ndarray, prior: np.ndarray | None = None, variances: Variances | None = None
) -> Fitted:
    """The model, fitted to every score that was read.

    homes: (n_pool,) the group that each row stands in, -1 for none; a sample's home.
    prior: (n_pool,) expected quality of each row, up to a constant; None for none. variances: variances that are known.

    Raises: TacosError where no score was read.
    """
    if not len(found.row):
        raise TacosError("no call gave a score that can be read, so there is nothing to read out")
    rows, row = np.unique(found.row, return_inverse=True)
    call = np.unique(found.call, return_inverse=True)[1]
    expected = np.zeros(len(rows)) if prior is None else prior[rows]
    y = found.value - expected[row]
    fixed, names = _fixed(found)
    level = _levels(found, homes, y - fixed @ _least_squares(fixed, y))
    variances = variances or _variances(found, homes, prior, moments(level.rest, row, call, found.late))
    blocks = [_dummies(row), _dummies(call), fixed, level.home[rows][row]]
    free = variances.noise / FREE
    solved = _solve(blocks, [variances.sample, variances.drift, free, level.between], y, variances.noise)
    quality = expected + solved[0] + solved[2][0] + level.home[rows] @ solved[3]
    error = np.sqrt(sample_variance(row, call, variances.noise, variances.sample, variances.drift))
    effects = {name: float(value) for name, value in zip(names[1:], solved[2][1:], strict=True)}
    return Fitted(rows, quality, error, variances, solved[0], effects)


def _variances(found: Given, homes: np.ndarray, prior: np.ndarray | None, early: Variances) -> Variances:
    """Those of the early scores, the samples' scaled so that what they foretold of the late ones is right."""
    if not found.late.any():
        return early
    first = fit_mixed(found.where(~found.late), homes, prior, early)
    late = found.where(found.late & np.isin(found.row, first.rows))
    at = np.searchsorted(first.rows, late.row)
    foretold = first.moved[at]
    rest = late.value - (first.quality - first.moved)[at]
    slope = float(rest @ foretold) / max(float(foretold @ foretold), 1e-12)
    left, least = early.sample + early.noise, LEAST * (early.sample + early.drift + early.noise)
    scaled = early.sample * (len(rest) * slope + REPEATED) / (len(rest) + REPEATED)
    sample = float(np.clip(scaled, least, left - least))
    return Variances(sample, early.drift, left - sample, early.told_apart or len(rest) >= REPEATED)


def moments(rest: np.ndarray, row: np.ndarray, call: np.ndarray, late: np.ndarray) -> Variances:
    """Variances from products of residuals, without those of late calls.

    rest: (n_scores,) without fixed effects. row, call: from 0. late: (n_scores,) bool.
    """
    rest, row, call = (column[~late] for column in (rest, row, call))
    total = max(float(np.mean(rest**2)), 1e-12)
    drift = float(np.clip(products(rest, call)[0], 0.0, (1 - 2 * LEAST) * total))
    left = total - drift
    mean, repeated = products(rest, row)
    sample = (repeated * mean + REPEATED * left / 2) / (repeated + REPEATED)
    sample = float(np.clip(sample, LEAST * total, left - LEAST * total))
    return Variances(sample, drift, left - sample, repeated >= REPEATED)


def products(rest: np.ndarray, label: np.ndarray) -> tuple[float, int]:
    """The mean product of two residuals under one label, and how many such pairs there are."""
    sums, squares, count = (np.bincount(label, w) for w in (rest, rest**2, np.ones(len(rest))))
    pairs = float((count * (count - 1)).sum())
    return (float((sums**2 - squares).sum()) / pairs if pairs else 0.0), int(pairs / 2)


def _dummies(label: np.ndarray) -> sparse.csr_matrix:
    """(n, n_labels), 1 where a row has the label; rows of a label below 0 are empty."""
    at = np.flatnonzero(label >= 0)
    shape = (len(label), int(label.max(initial=-1)) + 1)
    return sparse.csr_matrix((np.ones(len(at)), (at, label[at])), shape=shape)


def _fixed(found: Given) -> tuple[sparse.csr_matrix, list[str]]:
    """Level, places after the first, and the scales of groups where calls across groups tell them; with names."""
    names, columns = ["level"], [np.ones(len(found.row))]
    for place in range(1, int(found.place.max()) + 1):
        at = (found.place == place).astype(float)
        names.append(f"place_{place + 1}")
        columns.append(at - at.mean())
    matrix = sparse.csr_matrix(np.column_stack(columns))
    inside = found.group != ACROSS
    if inside.all():
        return matrix, names
    groups, number = np.unique(found.group, return_inverse=True)
    scales = _dummies(np.where(inside, number - 1, -1))  # ACROSS is the lowest
    return sparse.hstack([matrix, scales]).tocsr(), [*names, *(f"group_{g}" for g in groups[1:].tolist())]


@dataclass(frozen=True)
class _Levels:
    """home: (n_pool, n_groups) of each row. between: variance of the levels. rest: residuals without them."""

    home: sparse.csr_matrix
    between: float
    rest: np.ndarray


def _levels(found: Given, homes: np.ndarray, rest: np.ndarray) -> _Levels:
    """What groups have in common: of calls across groups where there are any, else of the groups' own calls."""
    bridge, label = found.group == ACROSS, homes[found.row]
    at = bridge if bridge.any() else label >= 0
    if len(np.unique(label[at])) < 2:
        return _Levels(sparse.csr_matrix((len(homes), 0)), 0.0, rest)
    if bridge.any():
        between, _ = products(rest[at], label[at])
    else:
        calls, call = np.unique(found.call[at], return_inverse=True)
        mean = np.bincount(call, rest[at]) / np.bincount(call)
        group = np.zeros(len(calls), dtype=np.int64)
        group[call] = label[at]
        between, _ = products(mean, group)
    between = max(between, 0.0)
    count = np.bincount(label[at])
    noisy = between + float(np.mean(rest[at] ** 2)) / np.maximum(count, 1)
    level = np.bincount(label[at], rest[at]) / np.maximum(count, 1) * between / noisy
    return _Levels(_dummies(homes), between, rest - np.where(at, level[np.where(at, label, 0)], 0.0))


def _least_squares(matrix: sparse.csr_matrix, y: np.ndarray) -> np.ndarray:
    """Coefficients, shape (n_columns,); columns are few."""
    square = (matrix.T @ matrix).toarray()
    return np.asarray(np.linalg.solve(square + FREE * np.eye(len(square)), matrix.T @ y))


def _solve(
    blocks: list[sparse.csr_matrix], variances: list[float], y: np.ndarray, noise: float
) -> list[np.ndarray]:
    """Henderson's equations: what each block's columns add to a score. variances: of the columns of each block."""
    kept = [number for number, variance in enumerate(variances) if variance > 0]
    matrix = sparse.hstack([blocks[number] for number in kept]).tocsr()
    ridge = np.concatenate([np.full(blocks[number].shape[1], noise / variances[number]) for number in kept])
    square = (matrix.T @ matrix + sparse.diags(ridge)).tocsr()
    inverse = sparse.diags(1 / square.diagonal())
    found, failed = cg(square, matrix.T @ y, rtol=SOLVED, maxiter=STEPS, M=inverse)
    if failed:
        raise TacosError(f"the mixed model of the scores was not solved within {STEPS:,} steps")
    widths = np.cumsum([blocks[number].shape[1] for number in kept])[:-1]
    solved = dict(zip(kept, np.split(found, widths), strict=True))
    return [solved.get(number, np.zeros(block.shape[1])) for number, block in enumerate(blocks)]
