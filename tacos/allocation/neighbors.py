"""The nearest rows of every row, and which rows are copies: at any size, and never as one n x m matrix.

    up to `EXACT` rows   every row is compared with all           100,000 rows: 10e9 products
    above                with some 8,192 of the nearest cells    1,000,000 rows: 8e9 of 1,000e9

Cells are k-means clusters, about 2 sqrt(m) of them, drawn by the seed. All rows of a cell are compared with the rows of
as many cells, from the one whose centre is nearest to its own, as hold `compared` rows. That is one matrix product;
faiss's inverted file goes row by row and took seven times as long (2026-11-26), so only its k-means is used. What is
missed is replaced by a row that is farther, so a distance is never too small.

Worked example, rows at 0, 1, 10, 11, cells {0, 1} and {10, 11}, `compared` 2: those of the row at 1 are 1 and 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from tacos.progress import counted

EXACT = 100_000
"""Rows up to which all are compared with all, unless `compared` says otherwise: about 2 minutes on two cores."""
COMPARED = 8192
"""Rows that each is compared with above that."""
POINTS_PER_CELL = 64
"""Rows that place a cell's centre; faiss wants at least 39, and more only cost time."""
PRODUCTS = 2**24
"""Of a block: 64 MiB."""
BLOCK = 4096


class Nearest(NamedTuple):
    """rows: (n, count) int32, of the targets, in no order. squared: (n, count) float32, Euclidean distances."""

    rows: np.ndarray
    squared: np.ndarray


def nearest(queries: np.ndarray, targets: np.ndarray, count: int, compared: int | None, seed: int) -> Nearest:
    """The `count` nearest targets of each query, or all where there are fewer.

    queries, targets: (n, dim) and (m, dim) float32, may be the same. compared: targets that each query is compared with
    at least; None is all up to `EXACT` targets, and `COMPARED` above.
    """
    count = min(count, len(targets))
    found = Nearest(
        np.empty((len(queries), count), dtype=np.int32), np.empty((len(queries), count), dtype=np.float32)
    )
    if not count:
        return found
    lengths = squares(targets)
    compared = compared or (len(targets) if len(targets) <= EXACT else COMPARED)
    everything = compared >= len(targets)
    pairs = (
        all_with_all(queries, targets)
        if everything
        else by_cell(queries, targets, max(compared, count), seed)
    )
    gathered, products = Scratch(), Scratch()
    with counted("neighbors", len(queries), "rows") as done:
        for asked, among in pairs:
            step = max(1, PRODUCTS // len(among))
            against = targets if everything else gathered.take(targets, among)
            for at in range(0, len(asked), step):
                rows = asked[at : at + step]
                apart = products.room(len(rows), len(among))
                np.matmul(queries[rows], against.T, out=apart)
                apart *= -2
                apart += lengths[among]
                best = np.argpartition(apart, count - 1, axis=1)[:, :count]
                found.rows[rows] = among[best]
                own = squares(queries[rows])[:, None]
                found.squared[rows] = np.maximum(np.take_along_axis(apart, best, axis=1) + own, 0)
                done(len(rows))
    return found


class Scratch:
    """Memory of float32 that is used again: to get it anew from the system took longer than the product in it."""

    def __init__(self) -> None:
        self.flat = np.empty(0, dtype=np.float32)

    def room(self, *shape: int) -> np.ndarray:
        """An array whose values are left over."""
        if math.prod(shape) > len(self.flat):
            self.flat = np.empty(math.prod(shape), dtype=np.float32)
        return self.flat[: math.prod(shape)].reshape(shape)

    def take(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """values[rows], of float32."""
        return np.take(values, rows, axis=0, out=self.room(len(rows), *values.shape[1:]), mode="clip")


def cells_of(count: int) -> int:
    """How many cells rows are put into."""
    return max(1, min(2 * math.isqrt(count), count // POINTS_PER_CELL))


def all_with_all(queries: np.ndarray, targets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield np.arange(len(queries)), np.arange(len(targets))


def by_cell(
    queries: np.ndarray, targets: np.ndarray, compared: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The queries of a cell, and the targets of as many cells as hold `compared`, from the nearest to it on."""
    import faiss

    cells = cells_of(len(targets))
    means = faiss.Kmeans(
        targets.shape[1], cells, niter=10, max_points_per_centroid=POINTS_PER_CELL, seed=seed
    )
    means.train(targets)
    centres = np.asarray(means.centroids)
    members = split(homes(targets, centres), cells)
    sizes = np.array([len(rows) for rows in members])
    asked = members if queries is targets else split(homes(queries, centres), cells)
    for cell, rows in enumerate(asked):
        if len(rows):
            order = np.argsort(squares(centres) - 2 * (centres @ centres[cell]), kind="stable")
            enough = int(np.searchsorted(sizes[order].cumsum(), compared)) + 1
            yield rows, np.concatenate([members[near] for near in order[:enough]])


def homes(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(n,) the number of each row's nearest centre."""
    half = squares(centres) / 2
    blocks = range(0, len(vectors), BLOCK)
    parts = [(vectors[at : at + BLOCK] @ centres.T - half).argmax(axis=1) for at in blocks]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def split(home: np.ndarray, cells: int) -> list[np.ndarray]:
    """The rows of each cell, ascending."""
    counts = np.bincount(home, minlength=cells)
    return np.split(np.argsort(home, kind="stable"), np.cumsum(counts)[:-1])


def squares(vectors: np.ndarray) -> np.ndarray:
    """(n,) squared lengths."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors))


def kinds(vectors: np.ndarray) -> np.ndarray:
    """(n,) a number for each different vector, in the order in which they appear; copies share one."""
    numbers: dict[bytes, int] = {}

    def number(row: np.ndarray) -> int:
        return numbers.setdefault(blake2b(row.tobytes(), digest_size=16).digest(), len(numbers))

    blocks = (vectors[at : at + BLOCK] + 0.0 for at in range(0, len(vectors), BLOCK))  # -0 is 0 here
    return np.fromiter((number(row) for block in blocks for row in block), np.int64, len(vectors))
