"""The words and marks of many texts as 64-bit numbers, told apart byte by byte in numpy.

One rule cuts all texts. For ASCII it is applied to the bytes themselves; any other text is first cut by `tacos.text`
and its tokens are put back with a byte between them that no text holds:

    "Don't stop"     Don|'|t| |stop
    "用 C 写"         用\\xffC\\xff写

A token's number is a polynomial of its bytes modulo 2^64, with a random coefficient for each byte value, so that the
same word has the same number in every text, call and process. Two words share one with probability 2^-64, about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tacos.text import comparable, layout_tokens, words

BLOCK = 1 << 18
"""Bytes that are worked on at once, so that the numbers stay in the processor's cache."""
BETWEEN_TOKENS, BETWEEN_TEXTS = b"\xff", b"\x1f"
SPACE, MARK, WORD, NOTHING = range(4)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(int(MULTIPLIER), -1, 1 << 64))
TAB, NEWLINE, BLANK = 9, 10, 32


def _kinds() -> np.ndarray:
    """(256,) uint8: what each byte is. Bytes of other scripts are of words: what stands alone is cut beforehand."""
    kinds = np.full(256, WORD, dtype=np.uint8)
    for byte in range(128):
        character = chr(byte)
        word = character.isalnum() or character == "_"
        kinds[byte] = WORD if word else SPACE if character.isspace() else MARK
    kinds[BETWEEN_TOKENS[0]] = NOTHING
    return kinds


def odd_numbers(shape: int | tuple[int, ...], seed: int) -> np.ndarray:
    """uint64, drawn at random; multiplying by one modulo 2^64 loses nothing."""
    drawn = np.random.default_rng(seed).integers(1 << 63, size=shape, dtype=np.uint64)
    return drawn * np.uint64(2) + np.uint64(1)


def starts_of(counts: np.ndarray) -> np.ndarray:
    """(n + 1,) int64: where each of n runs of these lengths begins, and the end of the last."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


KINDS = _kinds()
COEFFICIENTS = odd_numbers(256, 0)
LOWER = np.array([ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256)])


@dataclass(frozen=True)
class Split:
    """How texts are cut.

    cut: the tokens of a text, of any script.
    marks: whether marks, and the white space that a line after the first begins with, are tokens.
    fold: whether case is ignored.
    """

    cut: Callable[[str], Sequence[str]]
    marks: bool
    fold: bool


def _folded_words(text: str) -> list[str]:
    return words(comparable(text).casefold())


LAYOUT = Split(layout_tokens, marks=True, fold=False)
WORDS = Split(_folded_words, marks=False, fold=True)


@dataclass(frozen=True)
class HashedTokens:
    """The tokens of a list of texts, in reading order.

    values: (total,) uint64; text i holds values[starts[i]:starts[i + 1]].
    starts: (n_texts + 1,) int64.
    """

    values: np.ndarray
    starts: np.ndarray

    def sequences(self) -> np.ndarray:
        """(n_texts,) uint64: equal for texts of the same tokens in the same order."""
        lengths = np.diff(self.starts)
        place = np.arange(len(self.values)) - np.repeat(self.starts[:-1], lengths)
        up, _ = _powers(1 << int(lengths.max(initial=1)).bit_length())
        sums = np.zeros(len(self.values) + 1, dtype=np.uint64)
        np.cumsum(self.values * up[place], out=sums[1:])
        return sums[self.starts[1:]] - sums[self.starts[:-1]]


def hashed(texts: Sequence[str], split: Split) -> Iterator[HashedTokens]:
    """The tokens of the texts, some texts at a time."""
    cut = [_prepared(text, split) for text in texts]
    sizes = np.cumsum([len(text) + 1 for text in cut])
    at = 0
    while at < len(cut):
        end = max(at + 1, int(np.searchsorted(sizes, (sizes[at - 1] if at else 0) + BLOCK, side="right")))
        yield _tokens(cut[at:end], split)
        at = end


def hashed_whole(texts: Sequence[str]) -> np.ndarray:
    """(n_texts,) uint64: a number for each whole text."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([0, *map(len, raw)])
    return _numbers(np.frombuffer(b"".join(raw), dtype=np.uint8), ends[:-1], ends[1:], COEFFICIENTS)


def _prepared(text: str, split: Split) -> bytes:
    if text.isascii():
        return text.encode()
    parts = (f"\n{token}" if token.isspace() else token for token in split.cut(text))
    return BETWEEN_TOKENS.join(part.encode("utf-8", "surrogatepass") for part in parts)


def _tokens(texts: Sequence[bytes], split: Split) -> HashedTokens:
    data = np.frombuffer(BETWEEN_TEXTS.join([*texts, b""]), dtype=np.uint8)
    begins = starts_of(np.array([len(text) + 1 for text in texts], dtype=np.int64))
    kinds = KINDS[data]
    first, last = _edges(kinds == WORD)
    if split.marks:
        marks = kinds == MARK
        first |= marks
        last |= marks
        indents, ends = _indents(data, kinds)
        first[indents] = last[ends] = True
    starts = np.flatnonzero(first)
    coefficients = COEFFICIENTS[LOWER] if split.fold else COEFFICIENTS
    values = _numbers(data, starts, np.flatnonzero(last) + 1, coefficients)
    return HashedTokens(values, np.searchsorted(starts, begins))


def _edges(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each run begins, and where it has its last byte; both (n,) bool. A run ends before the last byte."""
    first, last = inside.copy(), inside.copy()
    first[1:] &= ~inside[:-1]
    last[:-1] &= ~inside[1:]
    return first, last


def _indents(data: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last byte of the blanks after a line's end that something follows; positions."""
    blank = (data == BLANK) | (data == TAB)
    after = np.flatnonzero(data[:-1] == NEWLINE) + 1
    after = after[blank[after]]
    last = np.flatnonzero(_edges(blank)[1])
    ends = last[np.searchsorted(last, after)]
    followed = kinds[ends + 1] != SPACE
    return after[followed], ends[followed]


@lru_cache(maxsize=2)
def _powers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """MULTIPLIER to the 0, 1, ..., and one over these; (n,) uint64 each."""
    made = []
    for base in (MULTIPLIER, INVERSE):
        powers = np.full(n, base, dtype=np.uint64)
        powers[:1] = 1
        made.append(np.multiply.accumulate(powers))
    return made[0], made[1]


def _numbers(data: np.ndarray, starts: np.ndarray, ends: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """A number for each range of bytes; the ranges follow each other."""
    parts, at = [np.empty(0, dtype=np.uint64)], 0
    while at < len(starts):
        first = starts[at]
        to = max(at + 1, int(np.searchsorted(ends, first + BLOCK, side="right")))
        own = coefficients[data[first : ends[to - 1]]]
        parts.append(_differences(own, starts[at:to] - first, ends[at:to] - first))
        at = to
    return mixed(np.concatenate(parts))


def _differences(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """A polynomial for each range: a difference of sums, shifted to the place where it would stand first."""
    up, down = _powers(1 << max(BLOCK, len(values)).bit_length())
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * up[: len(values)], out=sums[1:])
    return (sums[ends] - sums[starts]) * down[starts]


def mixed(values: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser: neighbouring numbers become unrelated ones (Steele et al., OOPSLA 2014)."""
    x = values.astype(np.uint64) + MULTIPLIER
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
