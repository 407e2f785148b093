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

    between  of what groups have in common (`levels.py`), which is taken out of the residuals first
    drift    mean product of two scores of one call
    sample   mean product of two scores of one sample, in different calls
    noise    what is left of the mean square

Late calls went to samples that seemed near the cut-off, so their scores are in no product; they scale the samples'
variance by their slope on what the scores before them foretold.

    scores 70, 60 and 30, 40 of two calls, sample 100, drift 0, noise 100:    half the distance to 50: 60, 55, 40, 45
    the same with a large drift, only differences count:    52.5, 47.5, 47.5, 52.5

Where no sample has a second score, sample and noise cannot be told apart: each is then taken to be half of what is
left. n pairs of scores of one sample move that guess by n / (n + 200) of the way to what they say, and with fewer than
200 `Variances.told_apart` is False. The order of samples hangs on it where there is a prior, or groups differ in
level, and standard errors do always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from tacos.errors import TacosError
from tacos.scoring.calls import ACROSS, Given
from tacos.scoring.readout.levels import dummies, levels, products
from tacos.scoring.readout.uncertainty import sample_variance

REPEATED = 200
"""Pairs of scores of one sample that weigh as much as the guess that half of what is left is noise."""
LEAST = 0.02
"""Share of the variance that samples and noise have at least, so that neither rules alone."""
FREE = 1e-6
"""Ridge, in scores, on what has no variance of its own: the level of all scores, and the scales of groups."""
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
    def total(self) -> float:
        """Of one score."""
        return self.sample + self.drift + self.noise

    @property
    def reliability(self) -> float:
        """Share of the variance of one score that is the sample's."""
        return self.sample / self.total


@dataclass(frozen=True)
class Fitted:
    """rows: (n_scored,) pool rows, ascending. quality, std_error: (n_scored,) of each, in points of the judge's scale.

    moved: (n_scored,) how far its scores moved each from what was expected of it.
    places: (n_places,) what each place in a call adds. scales: group -> what its own calls add, where bridges tell.
    """

    rows: np.ndarray
    quality: np.ndarray
    std_error: np.ndarray
    variances: Variances
    moved: np.ndarray
    places: np.ndarray
    scales: Mapping[int, float] = field(default_factory=dict)

    def added(self, found: Given) -> np.ndarray:
        """(n_scores,) what place and group added to each score; 0 for those that the model never saw."""
        places = np.append(
            self.places, np.zeros(max(0, int(found.place.max(initial=0)) + 1 - len(self.places)))
        )
        return places[found.place] + np.array([self.scales.get(group, 0.0) for group in found.group.tolist()])

    @property
    def effects(self) -> dict[str, float]:
        """By name, for `readout.json`."""
        places = {f"place_{number}": float(value) for number, value in enumerate(self.places, start=1)}
        return places | {f"group_{group}": value for group, value in self.scales.items()}


def fit_mixed(
    found: Given, homes: np.ndarray, prior: np.ndarray | None = None, variances: Variances | None = None
) -> Fitted:
    """The model, fitted to every score that was read.

    homes: (n_pool,) the group that each row stands in, -1 for none. prior: (n_pool,) expected quality of each row, up
        to a constant; None for none. variances: those that are known.

    Raises: TacosError where no score was read.
    """
    if not len(found.row):
        raise TacosError(
            "no call gave a score that can be read, so there is nothing to read out: --retry-failed asks again"
        )
    rows, row = np.unique(found.row, return_inverse=True)
    call = np.unique(found.call, return_inverse=True)[1]
    expected = np.zeros(len(rows)) if prior is None else prior[rows]
    y = found.value - expected[row]
    places, shares = _places(found.place)
    level = levels(found, homes, _without(places, y))
    variances = variances or _variances(found, homes, prior, moments(level.rest, row, call, found.late))
    numbers, scale = _scales(found)
    blocks = (
        (dummies(row), variances.sample),
        (dummies(call), variances.drift),
        (sparse.csr_matrix(np.ones((len(y), 1))), variances.noise / FREE),
        (sparse.csr_matrix(places), variances.total),
        (dummies(scale), variances.noise / FREE),
        (level.home[rows][row], level.between),
    )
    q, _, mean, place, scales, groups = _solve(blocks, y, variances.noise)
    error = sample_variance(row, call, variances.noise, variances.sample, variances.drift)
    if len(numbers):  # a level that bridges alone tell is not known well
        error = error + level.home[rows] @ level.unknown
    return Fitted(
        rows,
        expected + q + mean[0] + level.home[rows] @ groups,
        np.sqrt(error),
        variances,
        q,
        np.append(0.0, place) - shares @ place,
        dict(zip(numbers.tolist(), scales.tolist(), strict=True)),
    )


def _variances(found: Given, homes: np.ndarray, prior: np.ndarray | None, early: Variances) -> Variances:
    """Those of the early scores, the samples' scaled so that what they foretold of the late ones is right."""
    if not found.late.any() or found.late.all():
        return early
    first = fit_mixed(found.where(~found.late), homes, prior, early)
    late = found.where(found.late & np.isin(found.row, first.rows))
    at = np.searchsorted(first.rows, late.row)
    said = first.moved[at]
    rest = late.value - first.added(late) - (first.quality - first.moved)[at]
    slope = float(rest @ said) / max(float(said @ said), 1e-12)
    left, least = early.sample + early.noise, LEAST * early.total
    scaled = early.sample * (len(rest) * slope + REPEATED) / (len(rest) + REPEATED)
    sample = float(np.clip(scaled, least, left - least))
    return Variances(sample, early.drift, left - sample, early.told_apart or len(rest) >= REPEATED)


def moments(rest: np.ndarray, row: np.ndarray, call: np.ndarray, late: np.ndarray) -> Variances:
    """Variances from products of residuals, without those of late calls unless there are no others.

    rest: (n_scores,) without fixed effects. row, call: from 0. late: (n_scores,) bool.
    """
    if not late.all():
        rest, row, call = (column[~late] for column in (rest, row, call))
    total = max(float(np.mean(rest**2)), 1e-12)
    drift = float(np.clip(products(rest, call)[0], 0.0, (1 - 2 * LEAST) * total))
    left = total - drift
    mean, repeated = products(rest, row)
    sample = (repeated * mean + REPEATED * left / 2) / (repeated + REPEATED)
    sample = float(np.clip(sample, LEAST * total, left - LEAST * total))
    return Variances(sample, drift, left - sample, repeated >= REPEATED)


def _places(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n_scores, n_places - 1) the places after the first, centred, and the share of scores at each."""
    columns = (place[:, None] == np.arange(1, int(place.max()) + 1)).astype(float)
    shares = columns.mean(axis=0)
    return columns - shares, shares


def _without(columns: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Residuals of a ridge regression on these and a constant: of few scores it must not take all. columns: centred."""
    centred = y - y.mean()
    square = columns.T @ columns + np.eye(columns.shape[1])
    return np.asarray(centred - columns @ np.linalg.solve(square, columns.T @ centred))


def _scales(found: Given) -> tuple[np.ndarray, np.ndarray]:
    """The groups whose scale is told by calls across groups, and (n_scores,) which of them each score has, or -1."""
    inside = found.group != ACROSS
    if inside.all():
        return np.empty(0, dtype=np.int64), np.full(len(inside), -1)
    groups, number = np.unique(found.group[inside], return_inverse=True)
    scale = np.full(len(inside), -1)
    scale[inside] = number
    return groups, scale


def _solve(
    blocks: Sequence[tuple[sparse.csr_matrix, float]], y: np.ndarray, noise: float
) -> list[np.ndarray]:
    """Henderson's equations: what each block's columns add to a score. Each block: columns, and their variance."""
    kept = [number for number, (columns, variance) in enumerate(blocks) if variance > 0 and columns.shape[1]]
    matrix = sparse.hstack([blocks[number][0] for number in kept]).tocsr()
    ridge = np.concatenate([np.full(blocks[n][0].shape[1], noise / blocks[n][1]) for n in kept])
    square = (matrix.T @ matrix + sparse.diags(ridge)).tocsr()
    inverse = sparse.diags(1 / square.diagonal())
    found, failed = cg(square, matrix.T @ y, rtol=SOLVED, maxiter=STEPS, M=inverse)
    if failed:
        raise TacosError(
            f"the mixed model of the scores was not solved within {STEPS:,} steps: set score.readout.by=mean"
        )
    widths = np.cumsum([blocks[number][0].shape[1] for number in kept])[:-1]
    solved = dict(zip(kept, np.split(found, widths), strict=True))
    return [solved.get(number, np.zeros(columns.shape[1])) for number, (columns, _) in enumerate(blocks)]
