"""How much of a pool each row would cover, beyond what is covered: by all cosines, or by those of near rows alone.

    gain of s = sum over v of max(0, cos(v, s) - c_v),  c_v = the largest cosine of v to a taken row, at least 0

Worked example, cosines of s to three rows 1, 0.8, 0 and c = 0.5, 0.9, 0: s gains 0.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy

from tacos.allocation.neighbors import Nearest, Scratch

WHOLE = 20_000
"""Rows up to which all cosines are kept, 1.6 GB."""
ROWS, COLUMNS = 256, 4096
"""Of a product where they are not kept, 4 MiB."""
STRIP = 16
"""Rows that are summed at a time: with 4,096 columns 256 KiB, which stays in a CPU's cache."""
ZEROS = np.zeros(WHOLE, dtype=np.float32)
"""NumPy takes three times as long for a maximum with a scalar."""
EARLY, GROUP = 64, 64
"""Steps whose covered is remembered, and rows of the same step that are worth a product of their own."""
SHARE = 0.75
"""Of the columns: where more have risen, all cosines are made."""
FEW = 32
"""A row's cosines are kept when fewer than one in so many are above the covered; hardly so before as many steps."""
ENTRIES = 200_000_000
"""Cosines that are kept in all, 1.6 GB."""


Like = Callable[[np.ndarray], np.ndarray]
"""Cosines, float32, which may be overwritten -> how much they count, 0 and more where it counts."""


def as_they_are(cosines: np.ndarray) -> np.ndarray:
    return cosines


class Euclidean:
    """exp(-d / dim) of the distance d of unit vectors, less its smallest value: e^(-2 / dim) (e^((2 - d) / dim) - 1).

    What is taken off is the same for all and leaves the choice as it is. With it all numbers would be near 1, and
    single precision would lose three digits. Distances below `SAME` are 0, since rounding makes them of copies.
    """

    SAME = 1e-3

    def __init__(self, dim: int):
        self.dim = dim

    def __call__(self, cosines: np.ndarray) -> np.ndarray:
        squared = np.subtract(1, cosines, out=cosines)
        squared *= 2
        squared[squared < self.SAME**2] = 0
        distance = np.sqrt(squared, out=squared)
        found = np.expm1((2 - distance) / np.float32(self.dim), out=distance)
        found *= np.float32(np.exp(-2 / self.dim))
        return found


class Entries(NamedTuple):
    """(k,) each: row, column and value of a few cosines."""

    row: np.ndarray
    column: np.ndarray
    value: np.ndarray


def above(cosines: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """(rows,) the sum of what is above `covered`; `cosines`, (rows, n), become what is above it."""
    cosines -= covered
    np.maximum(cosines, ZEROS[: cosines.shape[1]], out=cosines)
    return np.asarray(cosines.sum(axis=1), dtype=np.float64)


class AllCosines:
    """All cosines are kept.

    takers: (m, dim), unit: (n, dim), both float32 of unit length: what may be taken, and what is covered. like: of
    cosines.
    """

    def __init__(self, takers: np.ndarray, unit: np.ndarray, like: Like = as_they_are):
        self.cosines = like(takers @ unit.T)
        self.covered = np.zeros(len(unit), dtype=np.float32)

    def added(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) float64, what each of the takers would add."""
        strips = (rows[at : at + STRIP] for at in range(0, len(rows), STRIP))
        return np.concatenate([above(self.cosines[strip], self.covered) for strip in strips])

    def cover(self, row: int) -> None:
        """Takes a row."""
        np.maximum(self.covered, self.cosines[row], out=self.covered)


class MadeCosines:
    """Cosines are made when they are asked for. A gain is computed again in the cheapest of three ways:

    from the few cosines that were still above the covered, which are all that can count later;
    as what it was, less what was lost where the covered has risen since, which early on is everywhere for many rows;
    from all cosines.
    """

    def __init__(self, takers: np.ndarray, unit: np.ndarray, like: Like = as_they_are):
        self.takers, self.unit, self.like = takers, unit, like
        self.covered = np.zeros(len(unit), dtype=np.float32)
        self.before: list[np.ndarray] = []  # what was covered when 0, 1, ... rows were taken
        self.taken = 0
        self.known = np.zeros(len(takers))
        self.at = np.full(len(takers), EARLY)  # rows taken when a gain was computed; no `before` at first
        self.kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # columns and cosines
        self.room = ENTRIES
        self.scratch = Scratch()

    def added(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) float64, what each of the takers would add."""
        ways = np.array([row in self.kept for row in rows.tolist()])
        self.known[rows[ways]] = [self._of_kept(row) for row in rows[ways].tolist()]
        for at in np.unique(self.at[rows]).tolist():
            group = rows[~ways & (self.at[rows] == at)]
            if at < EARLY and len(group) >= GROUP:
                risen = np.flatnonzero(self.covered > self.before[at])
                if len(risen) < SHARE * len(self.unit):
                    self.known[group] -= self._lost(group, risen, self.before[at][risen])
                    ways |= np.isin(rows, group)
        rest = rows[~ways]
        for start in range(0, len(rest), ROWS):
            self._of_all(rest[start : start + ROWS])
        self.at[rows] = self.taken
        return self.known[rows]

    def cover(self, row: int) -> None:
        """Takes a row."""
        if self.taken < EARLY:
            self.before.append(self.covered.copy())
        self.taken += 1
        np.maximum(self.covered, self.like(self.unit @ self.takers[row]), out=self.covered)

    def _products(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.like(np.matmul(rows, columns.T, out=self.scratch.room(len(rows), len(columns))))

    def _of_kept(self, row: int) -> float:
        columns, cosines = self.kept[row]
        more = cosines - self.covered[columns]
        return float(more[more > 0].sum(dtype=np.float64))

    def _lost(self, rows: np.ndarray, risen: np.ndarray, then: np.ndarray) -> np.ndarray:
        """(len(rows),) what they no longer add in columns whose covered has risen from `then`."""
        lost, unit, now = np.zeros(len(rows)), self.unit[risen], self.covered[risen]
        for start in range(0, len(rows), ROWS):
            block = slice(start, start + ROWS)
            for at in range(0, len(risen), COLUMNS):
                columns = slice(at, at + COLUMNS)
                part = self._products(self.takers[rows[block]], unit[columns])
                np.clip(part, then[columns], now[columns], out=part)
                part -= then[columns]
                lost[block] += part.sum(axis=1)
        return lost

    def _of_all(self, rows: np.ndarray) -> None:
        self.known[rows] = 0
        takers = self.takers[rows]
        strips = [rows[at : at + STRIP] for at in range(0, len(rows), STRIP)]
        found: list[list[Entries] | None] = [[] for _ in strips]
        for start in range(0, len(self.unit), COLUMNS):
            columns = slice(start, start + COLUMNS)
            products = self._products(takers, self.unit[columns])
            for number, strip in enumerate(strips):
                part = products[number * STRIP : (number + 1) * STRIP]
                self.known[strip] += above(part, self.covered[columns])
                found[number] = self._few(found[number], part, start)
        for strip, entries in zip(strips, found, strict=True):
            if entries:
                self._keep(strip, entries)

    def _few(self, found: list[Entries] | None, part: np.ndarray, start: int) -> list[Entries] | None:
        """What was found, and what of these columns is above the covered; None when it is not few."""
        if found is None or self.taken < FEW:
            return None
        row, column = np.nonzero(part > 0)
        if len(row) > part.size / FEW:
            return None
        cosines = part[row, column] + self.covered[start + column]
        return [*found, Entries(row, (start + column).astype(np.int32), cosines)]

    def _keep(self, strip: np.ndarray, found: list[Entries]) -> None:
        """Keeps the cosines of these rows, where there is room."""
        owner, columns, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
        self.room -= len(owner)
        if self.room > 0:
            order, ends = np.argsort(owner, kind="stable"), np.bincount(owner, minlength=len(strip)).cumsum()
            parts = (np.split(values[order], ends[:-1]) for values in (columns, cosines))
            self.kept.update(zip(strip.tolist(), zip(*parts, strict=True), strict=True))


class NearCosines:
    """near: for each of the rows that are to be covered its nearest takers, which alone cover it; m: takers in all."""

    def __init__(self, near: Nearest, m: int, like: Like = as_they_are):
        n, count = near.rows.shape
        cosines = np.maximum(like(1 - near.squared / 2), 0)
        covers = np.repeat(np.arange(n, dtype=np.int32), count)
        pairs = scipy.sparse.coo_array((cosines.ravel(), (near.rows.ravel(), covers)), shape=(m, n))
        self.cosines: scipy.sparse.csr_array = pairs.tocsr()
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
