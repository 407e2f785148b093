"""The cosine of every row to the nearest of some targets, at any size and never as one n x m matrix.

    up to 2e9 products   exact, block by block        52,000 rows, 5,000 targets: 0.26e9
    above                in the nearest cells alone   1,000,000 rows, 100,000 targets: 1.3e9 of 100e9

Cells are k-means clusters of the targets, about sqrt(m) of them; a row is compared with the targets in the `PROBES`
cells whose centres it is nearest to. What that misses makes a cosine too low, never too high: 0.0003 on average, for 3%
of the rows of a random pool (`scripts/bench/iterselecttune.py`, 2026-11-21; 10 s for a million rows and 100,000
targets on two cores). faiss's inverted file goes row by row and needed about 115 s at like accuracy, so only its
k-means is used.
"""

from __future__ import annotations

import math

import numpy as np

from tacos.progress import track

EXACT = 2e9
"""Products, rows x targets, that are still done one and all: about 15 s on two cores at 384 dimensions."""
PROBES = 4
BLOCK = 8192
"""Rows and targets in an exact product, which takes 256 MiB."""
GATHERED = 65536
"""Rows that are put into cells at a time; more make the products of a cell larger."""
POINTS_PER_CELL = 64
"""Targets that place a cell's centre; faiss wants at least 39, and more only cost time."""


def max_cosine(
    vectors: np.ndarray, rows: np.ndarray, targets: np.ndarray, exact: float = EXACT
) -> np.ndarray:
    """(len(rows),) float32 in [-1, 1]; without targets 0, which is what unrelated texts have.

    vectors: (n, dim) float32 of unit length, may be memory-mapped. targets: row numbers.
    """
    nearest = np.zeros(len(rows), dtype=np.float32)
    if not len(rows) or not len(targets):
        return nearest
    against = np.ascontiguousarray(vectors[targets])
    whole = len(rows) * len(targets) <= exact
    cells, size = None if whole else Cells(against), BLOCK if whole else GATHERED
    for start in track(range(0, len(rows), size), "similarity"):
        block = np.ascontiguousarray(vectors[rows[start : start + size]])
        nearest[start : start + size] = cells.nearest(block) if cells else _exact(block, against)
    return np.clip(nearest, -1, 1)


def _exact(block: np.ndarray, against: np.ndarray) -> np.ndarray:
    parts = [(block @ against[at : at + BLOCK].T).max(axis=1) for at in range(0, len(against), BLOCK)]
    return np.asarray(np.max(parts, axis=0))


class Cells:
    """Targets by cell. against: (m, dim) float32."""

    def __init__(self, against: np.ndarray):
        import faiss

        count, dim = against.shape
        k = max(1, min(math.isqrt(count), count // POINTS_PER_CELL))
        means = faiss.Kmeans(
            dim, k, niter=10, spherical=True, max_points_per_centroid=POINTS_PER_CELL, seed=0
        )
        means.train(against)
        self.centres = np.asarray(means.centroids)
        home = np.concatenate(
            [(against[at : at + BLOCK] @ self.centres.T).argmax(axis=1) for at in range(0, count, BLOCK)]
        )
        order = np.argsort(home, kind="stable")
        self.members = np.split(against[order], np.cumsum(np.bincount(home, minlength=k))[:-1])

    def nearest(self, block: np.ndarray) -> np.ndarray:
        """The cosine of each row to the nearest target in its cells, (len(block),) float32."""
        best = np.full(len(block), -1, dtype=np.float32)
        probed = self._probed(block)
        row, cell = np.divmod(np.argsort(probed, axis=None, kind="stable"), probed.shape[1])
        bounds = np.searchsorted(probed[row, cell], np.arange(len(self.members) + 1))
        for members, start, stop in zip(self.members, bounds[:-1], bounds[1:], strict=True):
            here = row[start:stop]
            if len(here) and len(members):
                best[here] = np.maximum(best[here], (block[here] @ members.T).max(axis=1))
        return best

    def _probed(self, block: np.ndarray) -> np.ndarray:
        """The numbers of each row's cells, (len(block), PROBES)."""
        probes = min(PROBES, len(self.centres))
        parts = []
        for at in range(0, len(block), BLOCK):
            products = block[at : at + BLOCK] @ self.centres.T
            parts.append(np.argpartition(products, -probes, axis=1)[:, -probes:])
        return np.concatenate(parts)
