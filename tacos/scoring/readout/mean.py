"""The mean of the scores that a sample was given: with one of them, the score as the judge gave it (TACOS).

A sample in several groups has a mean in each, which decides inside the group, and one over all its calls.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tacos.scoring.calls import ACROSS, Given
from tacos.selection import Groups


def mean_scores(n: int, found: Given) -> np.ndarray:
    """(n,) float64, NaN where there is no score. Guests' scores are left out."""
    return _means(found.where(~found.guest), found.row[~found.guest], n)


def means_within(groups: Groups, found: Given) -> tuple[np.ndarray, ...]:
    """Per group its members' means over the calls inside it, or over those across groups where they have no other;
    (n_members,) each."""
    found = found.where(~found.guest)
    across = found.group == ACROSS
    elsewhere = mean_scores(int(groups.covered.max(initial=0)) + 1, found.where(across))
    inside = found.where(~across)
    starts = np.cumsum([0, *(len(m) for m in groups.members)])
    places = np.empty(len(inside.row), dtype=np.int64)
    for number, members in enumerate(groups.members):
        own = inside.group == number
        places[own] = starts[number] + _position(members, inside.row[own])
    means = _means(inside, places, int(starts[-1]))
    return tuple(
        np.where(np.isnan(means[a:b]), elsewhere[members], means[a:b])
        for members, (a, b) in zip(groups.members, pairwise(starts), strict=True)
    )


def _position(members: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Where each of `rows` stands among `members`."""
    order = np.argsort(members, kind="stable")
    return np.asarray(order[np.searchsorted(members[order], rows)])


def _means(found: Given, at: np.ndarray, n: int) -> np.ndarray:
    total, count = np.bincount(at, found.value, n), np.bincount(at, minlength=n)
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
