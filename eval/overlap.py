"""How far arms selected the same rows: the Jaccard index of two selections, |A and B| / |A or B|, 0-1.

    A = {a, b, c}, B = {b, c, d}    2 rows in both, 4 in either: 0.5

Rows are the same where their conversations are, so that a given training set can be compared with selections of the
pool. Two random draws of a share f of a pool have about f / (2 - f) in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from eval.results import Overlap

Rows = np.ndarray
"""(n_rows,) uint64: sorted, distinct names of rows."""


def row_names(ids: Sequence[str]) -> Rows:
    """ids: 16 hex digits each, see `tacos.types.content_id`."""
    return np.unique(np.array([int(id_, 16) for id_ in ids], dtype=np.uint64))


def jaccard(a: Rows, b: Rows) -> float:
    """0-1; of two empty selections 1."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    either = len(a) + len(b) - both
    return both / either if either else 1.0


def overlaps(selected: Mapping[str, Mapping[int, Rows]]) -> Overlap | None:
    """None for fewer than two arms. selected: arm -> seed -> its rows; every arm has the same seeds."""
    arms = list(selected)
    if len(arms) < 2:
        return None
    seeds = list(selected[arms[0]])
    by_seed = [[[jaccard(selected[a][s], selected[b][s]) for b in arms] for a in arms] for s in seeds]
    return Overlap(
        arms=arms,
        seeds=seeds,
        by_seed=by_seed,
        mean=np.mean(by_seed, axis=0).tolist(),
        across_seeds=[_across(list(selected[arm].values())) for arm in arms],
    )


def _across(selections: Sequence[Rows]) -> float | None:
    pairs = [jaccard(a, b) for a, b in combinations(selections, 2)]
    return sum(pairs) / len(pairs) if pairs else None
