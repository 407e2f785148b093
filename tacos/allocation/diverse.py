"""A random draw that covers every cluster: an equal quota each, what small clusters leave handed on to the others.

clusters of 1, 3 and 8 rows, 6 wanted    a share of 2 gives 1 + 2 + 2; the one left over goes to the largest
                                         open cluster: 1 + 2 + 3
"""

from __future__ import annotations

import numpy as np


def equal_quota(sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Rows to take from each cluster, (k,) int64: as equal as the sizes allow, `wanted` in all or all there are.

    sizes: (k,) rows that each cluster holds.
    """
    quota = np.zeros(len(sizes), dtype=np.int64)
    left = min(wanted, int(sizes.sum()))
    while left:
        unfilled = np.flatnonzero(quota < sizes)
        share = left // len(unfilled)
        if share == 0:
            largest = unfilled[np.argsort(-sizes[unfilled], kind="stable")]
            quota[largest[:left]] += 1
            break
        given = np.minimum(sizes[unfilled] - quota[unfilled], share)
        quota[unfilled] += given
        left -= int(given.sum())
    return quota


def diverse_rows(clusters: np.ndarray, rows: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """At most `wanted` of `rows`, drawn inside each cluster by its quota; in order of cluster, then of the draw.

    clusters: (n,) the cluster of every row of the pool, from 0. rows: the row numbers to draw from.
    """
    if not len(rows):
        return rows
    shuffled = rng.permutation(rows)
    shuffled = shuffled[np.argsort(clusters[shuffled], kind="stable")]
    sizes = np.bincount(clusters[shuffled])
    starts = np.cumsum(sizes) - sizes
    home = clusters[shuffled]
    place = np.arange(len(shuffled)) - starts[home]
    return np.asarray(shuffled[place < equal_quota(sizes, wanted)[home]])
