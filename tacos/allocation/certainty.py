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
from scipy.special import ndtr

from tacos.selection import Certainty, Groups, Pick, QuotaGap, Scores

INSIDE = 1.96
"""Standard errors of a 95% interval."""


def certainty(groups: Groups, scores: Scores, picks: Sequence[Pick]) -> Certainty | None:
    """None where scores know no errors, or nothing is left out."""
    rows = np.array([pick.index for pick in picks], dtype=np.int64)
    if scores.std_errors is None or not len(rows) or scores.scored <= len(rows):
        return None
    if any(pick.place is not None for pick in picks):
        number = {label: at for at, label in enumerate(groups.labels)}
        home = np.array([number[pick.group] for pick in picks])
        cuts = np.array([_cut(scores.values, groups.members[g], rows[home == g]) for g in range(len(groups))])
        cut = cuts[home]
    else:
        cut = np.full(len(rows), _cut(scores.values, groups.covered, rows))
    error = np.maximum(scores.std_errors[rows], 1e-12)
    z = (scores.values[rows] - cut) / error
    return Certainty(
        std_error=float(np.median(error)),
        score_sd=float(np.nanstd(scores.values)),
        within_noise=float(np.mean(np.abs(z) < INSIDE)),
        expected_above=float(np.mean(ndtr(z))),
    )


def _cut(values: np.ndarray, members: np.ndarray, taken: np.ndarray) -> float:
    """Half-way between the lowest taken and the highest left; below everything where nothing is left."""
    left = values[np.setdiff1d(members, taken)]
    left = left[~np.isnan(left)]
    if not len(taken) or not len(left):
        return -np.inf
    return float((values[taken].min() + left.max()) / 2)


def quota_gap(groups: Groups, scores: Scores, budget: int) -> QuotaGap | None:
    """None for fewer than two groups, or where there is nothing to choose."""
    rows = groups.covered
    rows = rows[~np.isnan(scores.values[rows])]
    if len(groups) < 2 or not 0 < budget < len(rows):
        return None
    whole = rows[np.argsort(-scores.values[rows], kind="stable")[:budget]]
    share = -(-budget // len(groups))
    quota = _quota(groups, scores.values, share, budget)
    of_whole = [np.isin(members, whole).sum() for members in groups.members]
    means = [np.nanmean(scores.values[m]) for m in groups.members if not np.isnan(scores.values[m]).all()]
    sd = float(np.std(scores.values[rows]))
    return QuotaGap(
        shared=float(np.isin(whole, quota).mean()),
        largest_group=float(max(of_whole) / budget),
        group_sd=float(np.std(means) / sd) if sd else 0.0,
    )


def _quota(groups: Groups, values: np.ndarray, share: int, budget: int) -> np.ndarray:
    """The best `share` of every group, and from their end as many fewer as the budget wants."""
    best = [m[np.argsort(-values[m], kind="stable")] for m in groups.members]
    ranked = [row for place in range(share) for own in best for row in own[place : place + 1].tolist()]
    return np.array(
        [row for row in dict.fromkeys(ranked) if not np.isnan(values[row])][:budget], dtype=np.int64
    )
