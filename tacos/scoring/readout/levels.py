"""What the scores of one group have in common: the group's quality, and the scale of its own calls.

A group's mean is drawn towards that of all scores by what is known of it (empirical Bayes):

    level = mean of its calls x between / (between + spread of a call's mean / calls)

`between`, the variance of levels, is the mean product of two calls of one group, of the first round, in which no sample
stands twice. Of calls across groups it is the mean product of two samples of one group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tacos.scoring.calls import ACROSS, Given


@dataclass(frozen=True)
class Levels:
    """home: (n_pool, n_groups), 1 at the group of each row; no column where groups do not differ, or are not known.

    between: variance of quality between groups. unknown: (n_groups,) what is left of it once all scores are known.
    rest: (n_scores,) residuals without what a group's scores have in common.
    """

    home: sparse.csr_matrix
    between: float
    unknown: np.ndarray
    rest: np.ndarray


def levels(found: Given, homes: np.ndarray, rest: np.ndarray) -> Levels:
    """homes: (n_pool,) the group of each row, -1 for none. rest: (n_scores,) residuals."""
    bridge = found.group == ACROSS
    call = np.unique(found.call, return_inverse=True)[1]
    inside = _common(rest, np.where(bridge, -1, found.group), call, found.round == 0)
    level = inside
    if bridge.any():
        level = _common(rest, np.where(bridge, homes[found.row], -1), np.arange(len(rest)), found.round == 0)
    left = rest - inside.of_score - (level.of_score if bridge.any() else 0)
    if level.between <= 0 or not (homes >= 0).any():
        return Levels(sparse.csr_matrix((len(homes), 0)), 0.0, np.empty(0), left)
    home = dummies(homes)
    unknown = np.full(home.shape[1], level.between)
    unknown[: len(level.unknown)] = level.unknown[: home.shape[1]]
    return Levels(home, level.between, unknown, left)


def dummies(label: np.ndarray) -> sparse.csr_matrix:
    """(n, n_labels), 1 where a row has the label; rows of a label below 0 are empty."""
    at = np.flatnonzero(label >= 0)
    shape = (len(label), int(label.max(initial=-1)) + 1)
    return sparse.csr_matrix((np.ones(len(at)), (at, label[at])), shape=shape)


def products(values: np.ndarray, label: np.ndarray) -> tuple[float, int]:
    """The mean product of two values under one label, and how many such pairs there are."""
    sums, squares, count = (np.bincount(label, w) for w in (values, values**2, np.ones(len(values))))
    pairs = float((count * (count - 1)).sum())
    return (float((sums**2 - squares).sum()) / pairs if pairs else 0.0), int(pairs / 2)


@dataclass(frozen=True)
class _Common:
    """between: variance of levels. unknown: (n_labels,) left of it. of_score: (n_scores,) the level of each score."""

    between: float
    unknown: np.ndarray
    of_score: np.ndarray


def _common(rest: np.ndarray, label: np.ndarray, unit: np.ndarray, first: np.ndarray) -> _Common:
    """label: (n_scores,) -1 for scores that are left out. unit: scores that are averaged first. first: of round 0."""
    at = np.flatnonzero(label >= 0)
    nothing = _Common(0.0, np.empty(0), np.zeros(len(rest)))
    if len(np.unique(label[at])) < 2:
        return nothing
    _, start, number = np.unique(unit[at], return_index=True, return_inverse=True)
    mean = np.bincount(number, rest[at]) / np.bincount(number)
    own, early = label[at][start], first[at][start]
    between, pairs = products(mean[early], own[early])
    if between <= 0 or not pairs:
        return nothing
    count = np.bincount(own)
    noise = max(float(np.mean(mean**2)) - between, 1e-12) / np.maximum(count, 1)
    share = between / (between + noise)
    level = share * np.bincount(own, mean) / np.maximum(count, 1)
    of_score = np.zeros(len(rest))
    of_score[at] = level[label[at]]
    return _Common(between, between * (1 - share), of_score)
