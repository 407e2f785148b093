"""Means of values whose rows and columns are drawn anew: what the crossed bootstrap of `eval.stats` rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

CELLS = 4_000_000
"""Numbers drawn at once; 32 MB of indices."""
Clusters = Sequence[str] | None
"""What each item is drawn with, such as its subtask; None draws items by themselves, and so does a single cluster."""


def resampled_means(cells: np.ndarray, seed: int, resamples: int, clusters: Clusters = None) -> np.ndarray:
    """(resamples,) means of `cells` (seeds, items) with rows and columns drawn anew."""
    rng = np.random.default_rng(seed)
    if clusters is not None and len(set(clusters)) > 1:
        return _clustered_means(cells, clusters, rng, resamples)
    return np.concatenate([_draw(cells, rng, n) for n in chunks(resamples, cells.shape[1])])


def _draw(cells: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    seeds, items = cells.shape
    columns = rng.integers(items, size=(n, items))
    if seeds == 1:
        return cells[0][columns].mean(axis=1)
    share = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=n) / seeds
    return np.take_along_axis(share @ cells, columns, axis=1).mean(axis=1)


def _clustered_means(
    cells: np.ndarray, clusters: Sequence[str], rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """The same with clusters of columns drawn, each with all its columns."""
    _, place = np.unique(list(clusters), return_inverse=True)
    sizes, seeds = np.bincount(place), len(cells)
    sums = np.stack([np.bincount(place, weights=row) for row in cells])  # (seeds, clusters)
    drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=resamples)
    share = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    return ((share @ sums) * drawn).sum(axis=1) / (drawn @ sizes)


def chunks(resamples: int, items: int) -> Iterator[int]:
    step = max(1, CELLS // items)
    for start in range(0, resamples, step):
        yield min(step, resamples - start)
