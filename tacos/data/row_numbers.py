"""What deduplication has to know of all rows at once: a few numbers a row, and the sets of 3-grams that they decide.

A first pass over the pool numbers conversations, responses and sentences. Only then it is known which response is a
stock one and which sentence of a prompt is its rarest, and a second pass makes the sets that are compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tacos.data.comparable_rows import ComparableRows, comparable_rows
from tacos.data.hashed import LAYOUT, MULTIPLIER, hashed_whole, mixed, starts_of
from tacos.data.shingles import Shingles, as_sets, row_sums, shingles
from tacos.text import sentences
from tacos.types import Pool

NGRAM = 3
LONG = 20
"""3-grams from which a response that is similar says that the same was asked."""
STOCK = 20
"""Rows with the same response from which it says nothing."""
INDENTED = re.compile(r"\n[ \t]")


def gram_sets(texts: Sequence[str]) -> Shingles:
    """The distinct 3-grams of each text, ascending."""
    return as_sets(shingles(texts, NGRAM, LAYOUT))


@dataclass(frozen=True)
class RowNumbers:
    """One entry a row of the pool, for n rows.

    whole: (n,) int64, equal for equal conversations.
    said: (n,) uint64, equal for responses with the same 3-grams.
    said_grams: (n,) int64, how many those are.
    asked: (total,) uint64, a number for each sentence of a prompt; row i has asked[starts[i]:starts[i + 1]].
    starts: (n + 1,) int64.
    """

    whole: np.ndarray
    said: np.ndarray
    said_grams: np.ndarray
    asked: np.ndarray
    starts: np.ndarray


def row_numbers(pool: Pool) -> RowNumbers:
    """The first pass."""
    kept: list[tuple[np.ndarray, ...]] = []
    for some in comparable_rows(pool):
        said = gram_sets(some.responses)
        cut = list(map(sentences, some.prompts))
        kept.append(
            (
                np.array(list(map(hash, some.names)), dtype=np.int64),
                row_sums(mixed(said.values), said.starts),
                said.counts,
                hashed_whole(list(chain.from_iterable(cut))),
                np.array(list(map(len, cut)), dtype=np.int64),
            )
        )
    nothing = np.empty(0, np.int64), np.empty(0, np.uint64), *[np.empty(0, np.int64)] * 3
    whole, said_sums, counts, asked, lengths = map(np.concatenate, zip(nothing, *kept, strict=True))
    return RowNumbers(whole, said_sums, counts, asked.astype(np.uint64), starts_of(lengths))


class Sets:
    """The sets of 3-grams that near duplicates are told by.

    stock: (n,) bool, rows whose response many of `rest` have.
    evidence: (n,) bool, rows whose response is long and no stock one.
    """

    def __init__(self, numbers: RowNumbers, rest: np.ndarray):
        """rest: the rows that are compared."""
        self.numbers = numbers
        self.stock = _count(numbers.said, rest) >= STOCK
        self.evidence = (numbers.said_grams >= LONG) & ~self.stock
        self.rarest = _rarest(numbers, rest)
        """(total,) bool: whether a sentence is one of those of its prompt that stand in the fewest prompts."""

    def of(self, some: ComparableRows) -> tuple[Shingles, Shingles]:
        """The 3-grams of each row, and those of its response alone.

        One that stands in the prompt and in the response counts twice. A response that is no evidence counts as one,
        so that it cannot outweigh the prompt.
        """
        asked, said = (
            gram_sets(list(map(self._rare, some.rows.tolist(), some.prompts))),
            gram_sets(some.responses),
        )
        evidence = self.evidence[some.rows]
        owners = np.concatenate([asked.owners, said.owners[evidence[said.owners]], np.flatnonzero(~evidence)])
        mine = np.concatenate([said.values[evidence[said.owners]], said.sums()[~evidence]])
        values = mixed(np.concatenate([asked.values, mine * MULTIPLIER]))[np.argsort(owners, kind="stable")]
        counts = np.bincount(owners, minlength=len(some.rows))
        return as_sets(Shingles(values, starts_of(counts))), said

    def _rare(self, row: int, prompt: str) -> str:
        kept = self.rarest[self.numbers.starts[row] : self.numbers.starts[row + 1]]
        if kept.all() and INDENTED.search(prompt) is None:  # the same tokens
            return prompt
        parts = zip(sentences(prompt), kept.tolist(), strict=True)
        return "\n".join(part for part, rare in parts if rare)


def _count(values: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(n,) how many of `rest` have the value of each row."""
    if not len(rest):
        return np.zeros(len(values), dtype=np.int64)
    distinct, counts = np.unique(values[rest], return_counts=True)
    at = np.searchsorted(distinct, values).clip(max=len(distinct) - 1)
    return np.where(distinct[at] == values, counts[at], 0)


def _rarest(numbers: RowNumbers, rest: np.ndarray) -> np.ndarray:
    owners = np.repeat(np.arange(len(numbers.said)), np.diff(numbers.starts))
    order = np.lexsort((numbers.asked, owners))
    ordered, of = numbers.asked[order], owners[order]
    first = np.ones(len(order), dtype=bool)  # in its row: a sentence that a prompt repeats counts once
    first[1:] = (ordered[1:] != ordered[:-1]) | (of[1:] != of[:-1])
    counted = np.zeros(len(numbers.said), dtype=bool)
    counted[rest] = True
    rows = _count(numbers.asked, order[first & counted[of]])
    some = np.flatnonzero(np.diff(numbers.starts))
    least = np.zeros(len(numbers.said), dtype=rows.dtype)
    if len(some):
        least[some] = np.minimum.reduceat(rows, numbers.starts[some])
    return rows == least[owners]
