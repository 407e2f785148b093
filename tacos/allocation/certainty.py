"""How sure a selection is of its rows, and how much it hangs on quotas: read off scores that know their errors.

A selected row is within the noise of the cut when the cut lies inside the 95% interval of its score; how many rows are
truly above it is the sum of what each is likely to be,

    P(quality > cut) = Phi((score - cut) / standard error)

The cut lies half-way between the lowest score that was taken and the highest that was not: in each group where groups
have places, else once.

    cut 60, scores 80, 66, 62 with standard errors of 5: z = 4, 1.2, 0.4; two of three are within 1.96 of the cut, and
    (1.000 + 0.885 + 0.655) / 3 = 85% are expected to be above it
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacos.selection import Certainty, Groups, Pick, QuotaGap, Scores

INSIDE = 1.96
"""Standard errors of a 95% interval."""


def certainty(groups: Groups, scores: Scores, picks: Sequence[Pick]) -> Certainty | None:
    """None where scores know no errors, or nothing is left out."""
    from scipy.special import ndtr  # a second that a plan does without

    rows = np.array([pick.index for pick in picks], dtype=np.int64)
    if scores.std_errors is None or not len(rows) or scores.scored <= len(rows):
        return None
    if any(pick.place is not None for pick in picks):
        number = {label: at for at, label in enumerate(groups.labels)}
        home = np.array([number[pick.group] for pick in picks])
        cuts = np.array(
            [_cut(scores.values, groups.members[g], rows[home == g], rows) for g in range(len(groups))]
        )
        cut = cuts[home]
    else:
        cut = np.full(len(rows), _cut(scores.values, groups.covered, rows, rows))
    error = np.maximum(scores.std_errors[rows], 1e-12)
    z = (scores.values[rows] - cut) / error
    return Certainty(
        std_error=float(np.median(error)),
        score_sd=float(np.nanstd(scores.values)),
        within_noise=float(np.mean(np.abs(z) < INSIDE)),
        expected_above=float(np.mean(ndtr(z))),
    )


def _cut(values: np.ndarray, members: np.ndarray, own: np.ndarray, taken: np.ndarray) -> float:
    """Half-way between the lowest of a group's own picks and the highest of its members that nobody took; below
    everything where none is left."""
    left = values[np.setdiff1d(members, taken)]
    left = left[~np.isnan(left)]
    if not len(own) or not len(left):
        return -np.inf
    return float((values[own].min() + left.max()) / 2)


def quota_gap(groups: Groups, scores: Scores, quota: Sequence[Pick]) -> QuotaGap | None:
    """quota: an equal share of each group (`PerGroup`). None for fewer than two groups, or where none is left out."""
    rows = groups.covered
    rows = rows[~np.isnan(scores.values[rows])]
    if len(groups) < 2 or not 0 < len(quota) < len(rows):
        return None
    whole = rows[np.argsort(-scores.values[rows], kind="stable")[: len(quota)]]
    of_whole = [np.isin(members, whole).sum() for members in groups.members]
    return QuotaGap(
        shared=float(np.isin(whole, [pick.index for pick in quota]).mean()),
        largest_group=float(max(of_whole) / len(quota)),
        group_sd=_apart(groups, scores.values, rows),
    )


def _apart(groups: Groups, values: np.ndarray, rows: np.ndarray) -> float:
    """Standard deviation of the groups' means beyond chance, over that of all scores."""
    own = [found for m in groups.members if len(found := values[m][~np.isnan(values[m])]) > 1]
    whole = float(np.var(values[rows]))
    if len(own) < 2 or not whole:
        return 0.0
    between = float(
        np.var([v.mean() for v in own], ddof=1) - np.mean([np.var(v, ddof=1) / len(v) for v in own])
    )
    return float(np.sqrt(max(0.0, between) / whole))
