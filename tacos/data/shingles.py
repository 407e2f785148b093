"""N-grams of many texts as numbers, hashed together in numpy, and sets of them.

An n-gram is a number of 64 bits, in a set one of 52. Two different ones are taken for one with probability 2^-52, so
sets of numbers stand for sets of n-grams.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tacos.data.hashed import MULTIPLIER, HashedTokens, Split, hashed, mixed, starts_of

OWNER_BITS = 12
"""Of a number, which text of a batch it is of, while sets are made: numbers and owners are sorted at once."""
BATCH = 1 << OWNER_BITS
VALUE_BITS = np.uint64(64 - OWNER_BITS)
VALUE = np.uint64((1 << (64 - OWNER_BITS)) - 1)


@dataclass(frozen=True)
class Shingles(Sequence[np.ndarray]):
    """The n-grams of a list of texts.

    values: (total,) uint64; text i holds values[starts[i]:starts[i + 1]], in reading order, in a set ascending.
    starts: (n_texts + 1,) int64.
    """

    values: np.ndarray
    starts: np.ndarray

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]
        return self.values[self.starts[i] : self.starts[i + 1]]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> np.ndarray:
        """(n_texts,) int64: how many n-grams each text has."""
        return np.diff(self.starts)

    @property
    def owners(self) -> np.ndarray:
        """(total,) int64: the text each value belongs to."""
        return np.repeat(np.arange(len(self)), self.counts)

    def sums(self) -> np.ndarray:
        """(n_texts,) uint64: the sum of each text's numbers, modulo 2^64."""
        return row_sums(self.values, self.starts)


def row_sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(n,) the sum of values[starts[i]:starts[i + 1]], 0 where that is empty."""
    total = np.concatenate([np.zeros(1, values.dtype), np.cumsum(values, dtype=values.dtype)])
    return total[starts[1:]] - total[starts[:-1]]


def joined(parts: Iterable[Shingles]) -> Shingles:
    """The texts of all parts, one after the other."""
    kept = list(parts)
    counts = np.concatenate([np.empty(0, np.int64), *(part.counts for part in kept)])
    values = np.concatenate([np.empty(0, np.uint64), *(part.values for part in kept)])
    return Shingles(values, starts_of(counts))


def shingles(texts: Sequence[str], n: int, split: Split, whole: bool = True) -> Shingles:
    """The n-grams of the tokens that `split` makes of each text.

    whole: a text of fewer than n tokens gives one shingle of all its tokens (an empty text none);
        False gives it none.
    """
    return joined(ngrams(tokens, n, whole) for tokens in hashed(texts, split))


def ngrams(tokens: HashedTokens, n: int, whole: bool = True) -> Shingles:
    """The n-grams of texts that are cut; see `shingles`."""
    values, starts = tokens.values, tokens.starts
    grams = np.zeros(len(values), dtype=np.uint64)
    for offset in range(min(n, len(values))):
        grams[: len(values) - offset] = grams[: len(values) - offset] * MULTIPLIER + values[offset:]
    lengths = np.diff(starts)
    left = np.repeat(starts[1:], lengths) - np.arange(len(values))
    keep = left >= n
    short = np.flatnonzero((lengths > 0) & (lengths < n)) if whole else np.empty(0, np.int64)
    first = starts[short]
    keep[first] = True
    grams[first] = 0
    for offset in range(n - 1):
        at = first[lengths[short] > offset]
        grams[at] = grams[at] * MULTIPLIER + values[at + offset]
    counts = np.maximum(lengths - n + 1, 0)
    counts[short] = 1
    return Shingles(mixed(grams[keep]), starts_of(counts))


def as_sets(grams: Shingles) -> Shingles:
    """The distinct numbers of each text, ascending; their upper 52 bits."""
    parts = []
    for at in range(0, len(grams), BATCH):
        starts = grams.starts[at : at + BATCH + 1]
        owners = np.repeat(np.arange(len(starts) - 1, dtype=np.uint64), np.diff(starts))
        keys = grams.values[starts[0] : starts[-1]] >> np.uint64(OWNER_BITS)
        keys |= owners << VALUE_BITS
        keys.sort()
        if len(keys):
            keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
        ends = np.searchsorted(keys, np.arange(1, len(starts), dtype=np.uint64) << VALUE_BITS)
        if len(starts) - 1 == BATCH:  # the last shift runs over
            ends[-1] = len(keys)
        parts.append(Shingles(keys & VALUE, np.concatenate([[0], ends])))
    return joined(parts)
