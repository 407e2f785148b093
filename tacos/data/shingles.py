"""Word n-grams of many texts as 64-bit numbers, hashed together in numpy.

Two n-grams that differ share a number with probability 2^-64, so sets of these numbers stand for
sets of n-grams. Hashing 52,002 Alpaca rows takes about 1.5 s on one core, nearly all of it splitting words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Split = Callable[[str], Sequence[str]]
"""A text as words; see `tacos.text`."""
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Shingles:
    """The n-grams of a list of texts.

    values: (total,) uint64; text i holds values[starts[i]:starts[i + 1]], in reading order.
    starts: (n_texts + 1,) int64.
    """

    values: np.ndarray
    starts: np.ndarray

    def __getitem__(self, i: int) -> np.ndarray:
        return self.values[self.starts[i] : self.starts[i + 1]]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def owners(self) -> np.ndarray:
        """(total,) int64: the text each value belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))


def shingles(texts: Iterable[str], n: int, split: Split, whole: bool = True) -> Shingles:
    """The n-grams of the words that `split` makes of each text.

    whole: a text of fewer than n words gives one shingle of all its words (an empty text none);
        False gives it none.
    """
    words, lengths = _hashed_words(texts, split)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    grams = np.zeros(len(words), dtype=np.uint64)
    for offset in range(min(n, len(words))):
        grams[: len(words) - offset] = grams[: len(words) - offset] * MULTIPLIER + words[offset:]
    counts = np.maximum(lengths - n + 1, 0)
    keep = _inside(starts, counts)
    short = (lengths > 0) & (lengths < n) & whole
    for i in np.flatnonzero(short):
        keep[starts[i]] = True
        grams[starts[i]] = _fold(words[starts[i] : starts[i + 1]])
    counts = np.where(short, 1, counts)
    return Shingles(_mix(grams[keep]), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


class _Vocabulary(dict[str, int]):
    """word -> 64 bits of its BLAKE2b; the same in every call and process, worked out once a word."""

    def __missing__(self, word: str) -> int:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self[word] = value = int.from_bytes(digest, "little")
        return value


def _hashed_words(texts: Iterable[str], split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Every word as a number, and the number of words of each text."""
    vocabulary = _Vocabulary()
    chunks, lengths = [np.empty(0, dtype=np.uint64)], []
    for text in texts:
        words = split(text)
        lengths.append(len(words))
        chunks.append(np.array([vocabulary[word] for word in words], dtype=np.uint64))
    return np.concatenate(chunks), np.array(lengths, dtype=np.int64)


def _inside(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(total words,) bool: positions where an n-gram starts and stays inside its text."""
    steps = np.zeros(starts[-1] + 1, dtype=np.int64)
    np.add.at(steps, starts[:-1], 1)
    np.add.at(steps, starts[:-1] + counts, -1)
    return np.cumsum(steps)[:-1] > 0


def _fold(words: np.ndarray) -> np.uint64:
    value = np.zeros(1, dtype=np.uint64)
    for word in words:
        value = value * MULTIPLIER + word
    return value[0]


def _mix(values: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser: neighbouring numbers become unrelated ones (Steele et al., OOPSLA 2014)."""
    x = values.astype(np.uint64) + MULTIPLIER
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
