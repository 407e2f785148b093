"""How much of a pool each row would cover, beyond what is covered: by all cosines, or by those of near rows alone.

    gain of s = sum over v of max(0, cos(v, s) - c_v),  c_v = the largest cosine of v to a taken row, at least 0

Worked example, cosines of s to three rows 1, 0.8, 0 and c = 0.5, 0.9, 0: s gains 0.5.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array

from tacos.allocation.neighbors import Nearest

WHOLE = 20_000
"""Rows up to which all cosines are kept, 1.6 GB."""
ROWS, COLUMNS = 256, 4096
"""Of a product where they are not kept, 4 MiB."""
STRIP = 16
"""Rows that are summed at a time: with 4,096 columns 256 KiB, which stays in a CPU's cache."""


class AllCosines:
    """takers: (m, dim), unit: (n, dim), both float32 of unit length: what may be taken, and what is covered."""

    def __init__(self, takers: np.ndarray, unit: np.ndarray):
        self.takers, self.unit = takers, unit
        self.covered = np.zeros(len(unit), dtype=np.float32)
        self.whole = takers @ unit.T if len(unit) <= WHOLE else None
        self.zeros = np.zeros(max(COLUMNS, WHOLE), dtype=np.float32)

    def added(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) float64, what each of the takers would add."""
        if self.whole is not None:
            strips = (self.whole[rows[at : at + STRIP]] for at in range(0, len(rows), STRIP))
            return np.concatenate([self._above(strip, slice(None)) for strip in strips])
        parts = [self._made(rows[at : at + ROWS]) for at in range(0, len(rows), ROWS)]
        return np.concatenate(parts)

    def cover(self, row: int) -> None:
        """Takes a row."""
        cosines = self.unit @ self.takers[row] if self.whole is None else self.whole[row]
        np.maximum(self.covered, cosines, out=self.covered)

    def _made(self, rows: np.ndarray) -> np.ndarray:
        """Cosines are made again, in blocks."""
        total, takers = np.zeros(len(rows)), self.takers[rows]
        for start in range(0, len(self.unit), COLUMNS):
            columns = slice(start, start + COLUMNS)
            products = takers @ self.unit[columns].T
            strips = (products[at : at + STRIP] for at in range(0, len(rows), STRIP))
            total += np.concatenate([self._above(strip, columns) for strip in strips])
        return total

    def _above(self, cosines: np.ndarray, columns: slice) -> np.ndarray:
        """The sum of what is above the covered, row by row; `cosines` is changed in place."""
        cosines -= self.covered[columns]
        # an array of zeros: NumPy takes three times as long with a scalar
        np.maximum(cosines, self.zeros[: cosines.shape[1]], out=cosines)
        return np.asarray(cosines.sum(axis=1), dtype=np.float64)


class NearCosines:
    """near: for each of the rows that are to be covered its nearest takers, which alone cover it; m: takers in all."""

    def __init__(self, near: Nearest, m: int):
        n, count = near.rows.shape
        cosines = np.maximum(1 - near.squared / 2, 0)
        covers = np.repeat(np.arange(n, dtype=np.int32), count)
        pairs = coo_array((cosines.ravel(), (near.rows.ravel(), covers)), shape=(m, n))
        self.cosines: csr_array = pairs.tocsr()
        self.covered = np.zeros(n, dtype=np.float32)

    def added(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) float64, what each of the takers would add."""
        part = self.cosines[rows]
        new = np.maximum(part.data - self.covered[part.indices], 0)
        owner = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
        return np.bincount(owner, weights=new, minlength=len(rows))

    def cover(self, row: int) -> None:
        """Takes a row."""
        at = slice(self.cosines.indptr[row], self.cosines.indptr[row + 1])
        columns = self.cosines.indices[at]
        self.covered[columns] = np.maximum(self.covered[columns], self.cosines.data[at])
