"""Pairs of similar sets among many, by MinHash LSH.

LSH proposes candidates and their true Jaccard similarity decides, so nothing is dropped on a hash's word; LSH misses
at most one true pair in a hundred at the threshold itself and fewer above it. A set is compared with those that stay,
so a chain of small changes is not swallowed whole.

Worked example, threshold 0.5: the 3-grams of "a b c d e" are abc bcd cde and those of "a b c d f" abc bcd cdf:
2 shared of 4, similarity 0.5.

A set's element is a random number already, so an odd multiplier orders all elements anew, and the smallest of a set
is its MinHash: numpy works out a batch of sets at once, and only rows that share a band are looked at one by one.
Libraries were slower at the same recall (`scripts/bench/README.md`, "Near duplicates").

On 5,540 raw generations LSH found all 651 rows (instructions, 0.7) that a full comparison drops, by each of
three seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from tacos.data.hashed import MULTIPLIER, odd_numbers
from tacos.data.shingles import Shingles

PERMUTATIONS = 128
MAX_MISS = 0.01
"""Share of true pairs exactly at the threshold that LSH may fail to propose."""
CANDIDATES = 200
"""Sets that one is compared with, the latest: a family of 10,000 that are alike but not duplicates takes a minute."""
BATCH = 1 << 15
"""Numbers that are multiplied at once, so that they stay in the processor's cache."""
Alike = Callable[[int, int], bool]
"""Whether two rows, by their places among the sets, may be a pair."""


def bands(threshold: float) -> tuple[int, int]:
    """(bands, rows per band): the longest bands that miss at most MAX_MISS of pairs at the threshold.

    A pair of similarity s shares a band of r rows with probability s^r, and is missed by b bands with
    (1 - s^r)^b: for 0.9 and 12 bands of 10 that is 0.6%.
    """
    rows = 1
    for r in range(2, PERMUTATIONS // 2 + 1):
        if (1 - threshold**r) ** (PERMUTATIONS // r) <= MAX_MISS:
            rows = r
    return PERMUTATIONS // rows, rows


def band_keys(sets: Shingles, threshold: float, seed: int) -> np.ndarray:
    """(n, bands) uint64: sets with the same key share the MinHashes of that band; 0 for an empty set."""
    shape = bands(threshold)
    factors = odd_numbers(shape, seed)
    keys = np.zeros((len(sets), shape[0]), dtype=np.uint64)
    full = np.flatnonzero(sets.counts)
    ends = sets.starts[full + 1]
    at = 0
    while at < len(full):
        first = sets.starts[full[at]]
        to = max(at + 1, int(np.searchsorted(ends, first + BATCH, side="right")))
        values, starts = sets.values[first : ends[to - 1]], sets.starts[full[at:to]] - first
        for band, own in enumerate(factors):
            key = np.zeros(to - at, dtype=np.uint64)
            for factor in own:
                key = (key ^ np.minimum.reduceat(values * factor, starts)) * MULTIPLIER
            keys[full[at:to], band] = key
        at = to
    return keys


def share_a_band(keys: np.ndarray) -> np.ndarray:
    """(n,) bool: whether another row has the same key in some band; keys: (n, bands)."""
    shared = np.zeros(len(keys), dtype=bool)
    for column in keys.T:
        shared |= has_equal(column)
    return shared


def has_equal(values: np.ndarray) -> np.ndarray:
    """(n,) bool: whether a value stands more than once."""
    ordered = np.sort(values)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(again):
        return np.zeros(len(values), dtype=bool)
    return again[np.searchsorted(again, values).clip(max=len(again) - 1)] == values


def decided(
    keys: np.ndarray, sets: Sequence[np.ndarray], threshold: float, alike: Alike
) -> list[tuple[int, int, float]]:
    """(row, kept row, similarity) for every set at least `threshold` like an earlier one that stays.

    keys: (n, bands), as `band_keys`. sets: n of them, ascending numbers such as the 3-grams of texts, none empty; one
    that shares no band with another is in no pair. alike: what must hold of two rows besides. The most similar kept row
    is named, the earliest on ties.
    """
    index: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(keys.shape[1])]
    pairs = []
    for i, row in enumerate(keys):
        own = row.tolist()
        met = {j for key, band in zip(own, index, strict=True) if key in band for j in band[key]}
        best = _best(sets, i, sorted(met)[-CANDIDATES:], threshold, alike)
        if best is not None:
            pairs.append((i, *best))
            continue
        for key, band in zip(own, index, strict=True):
            band[key].append(i)
    return pairs


def _best(
    sets: Sequence[np.ndarray], i: int, candidates: list[int], threshold: float, alike: Alike
) -> tuple[int, float] | None:
    """The candidate most like row i, with its similarity, if it reaches the threshold."""
    best, best_similarity = None, 0.0
    for j in candidates:
        similarity = jaccard(sets[i], sets[j], max(threshold, best_similarity))
        if similarity >= threshold and similarity > best_similarity and alike(i, j):
            best, best_similarity = j, similarity
    return None if best is None else (best, best_similarity)


def jaccard(a: np.ndarray, b: np.ndarray, at_least: float = 0.0) -> float:
    """Shared over all elements of two sorted sets of numbers; 0.0 as soon as sizes rule out `at_least`.

    Two empty sets are equal: 1.0.
    """
    if min(len(a), len(b)) < at_least * max(len(a), len(b)):
        return 0.0
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared) if len(a) or len(b) else 1.0
