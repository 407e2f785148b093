"""Exact and near duplicates.

Exact: equal conversations, turn by turn, after Unicode and line-end normalization (`tacos.text.comparable`). Case,
marks, indentation and the system prompt count: "Co" is not "CO". The first row stays.

Near, either of two:

    alike       the response and the sentences of the prompt that stand in the fewest rows (so that a passage with ten
                questions on it is discounted) have a Jaccard similarity of 3-grams of words, marks and indents of at
                least `threshold`; so has the response alone, and what the prompts do not share. A response of fewer
                than 20 3-grams ("Yes."), or a stock one that 20 rows have, is no evidence: it must be equal.
    reworded    the prompts differ in case and sentence marks only, and the same response answers them, which is a
                sentence at least and no stock one.

In both the system prompts and the turns of weight 0 are the same, and the tokens are not the same at other indents,
which is another program.

So ten questions on one passage stay, whether the answers are sentences or a bare "Yes", and so do ten questions with
one long refusal; a long answer with a word changed goes, and "name the day after sunday" beside "Name the day after
Sunday." with the same answer. Scripts without spaces are compared by character.

What is known of all rows at once is a few numbers each (`tacos.data.row_numbers`); texts are read again where rows
look alike. Alpaca-52k: no exact and no near duplicate. (Two multiplication tables of 0.97 that are asked for in other
words stay.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import numpy as np
from pydantic import Field

from tacos.data.comparable_rows import comparable_rows
from tacos.data.near import band_keys, bands, decided, has_equal, jaccard, share_a_band
from tacos.data.row_numbers import RowNumbers, Sets, gram_sets, row_numbers
from tacos.text import layout_tokens, sentences, tokens
from tacos.types import Pool, Record

SENTENCE = 5
"""3-grams from which a response that is equal says that the same was asked."""
MARKS = frozenset(".,;:!?\"'\u3002\uff0c\uff01\uff1f\u0964\u061f")
"""Marks of a sentence; those of arithmetic and code always count."""
Near = dict[int, tuple[int, float]]
"""Row -> an earlier row that says the same, and their similarity."""


class DedupSettings(Record):
    """What counts as a duplicate."""

    exact: bool = True
    """Drop equal conversations."""
    near: bool = True
    """Drop near duplicates."""
    threshold: float = Field(default=0.9, gt=0, le=1)
    """Jaccard similarity of 3-grams from which a row is a near duplicate, 0-1; see the module."""
    seed: int = 0
    """Of the MinHash permutations; it changes only which borderline pairs are proposed."""


class Duplicate(Record):
    """A row that repeats an earlier one: `row` goes, `of` stays. Both are positions in the pool."""

    row: int
    of: int
    reason: str
    """"exact_duplicate" or "near_duplicate"."""
    similarity: float
    """Jaccard similarity, 0-1; 1 for an exact duplicate and where only case and marks of the prompt differ."""


def duplicates(pool: Pool, settings: DedupSettings | None = None) -> list[Duplicate]:
    """The rows to drop, by row number; each points at a row that stays."""
    settings = settings or DedupSettings()
    numbers = row_numbers(pool)
    exact = _first_of_equals(pool, np.flatnonzero(has_equal(numbers.whole))) if settings.exact else {}
    near: Near = {}
    if settings.near:
        rest = np.ones(len(pool), dtype=bool)
        rest[list(exact)] = False
        near = _near(pool, numbers, np.flatnonzero(rest), settings)

    def stays(row: int) -> int:
        while row in near:
            row = near[row][0]
        return row

    found = [
        Duplicate(row=i, of=stays(j), reason="exact_duplicate", similarity=1.0) for i, j in exact.items()
    ]
    found += [
        Duplicate(row=i, of=stays(j), reason="near_duplicate", similarity=s) for i, (j, s) in near.items()
    ]
    return sorted(found, key=lambda d: d.row)


def _first_of_equals(pool: Pool, rows: np.ndarray) -> dict[int, int]:
    """Row -> the first with the same conversation."""
    first: dict[Hashable, int] = {}
    found = {}
    for some in comparable_rows(pool, rows):
        for row, name in zip(some.rows.tolist(), some.names, strict=True):
            kept = first.setdefault(name, row)
            if kept != row:
                found[row] = kept
    return found


def _near(pool: Pool, numbers: RowNumbers, rest: np.ndarray, settings: DedupSettings) -> Near:
    sets = Sets(numbers, rest)
    same = has_equal(numbers.said[rest]) & ~sets.stock[rest] & (numbers.said_grams[rest] >= SENTENCE)
    found = _reworded(pool, rest[same])
    left = np.setdiff1d(rest, list(found), assume_unique=True)
    keys = np.empty((len(left), bands(settings.threshold)[0]), dtype=np.uint64)
    at = 0
    for some in comparable_rows(pool, left):
        keys[at : at + len(some.rows)] = band_keys(sets.of(some)[0], settings.threshold, settings.seed)
        at += len(some.rows)
    close = share_a_band(keys)
    alike = _Alike(pool, left[close], sets, settings.threshold)
    pairs = decided(keys[close], alike.whole, settings.threshold, alike)
    return found | {alike.rows[i]: (alike.rows[j], similarity) for i, j, similarity in pairs}


def _reworded(pool: Pool, rows: np.ndarray) -> Near:
    """Row -> the first with the same words and response, and their similarity, 1."""
    first: dict[Hashable, tuple[int, str, str]] = {}
    found = {}
    for some in comparable_rows(pool, rows):
        for row, asked, said, frame in zip(
            some.rows.tolist(), some.prompts, some.responses, some.frames, strict=True
        ):
            folded = tuple(token for token in tokens(asked.casefold()) if token not in MARKS)
            kept = first.setdefault((frame, folded, tuple(tokens(said))), (row, asked, said))
            if kept[0] != row and not (_at_other_indents(asked, kept[1]) or _at_other_indents(said, kept[2])):
                found[row] = kept[0], 1.0
    return found


class _Alike:
    """Whether two rows that are similar as a whole are near duplicates; see the module. `rows` are those that may be,
    and all else is aligned with them."""

    def __init__(self, pool: Pool, rows: np.ndarray, sets: Sets, threshold: float):
        self.rows: list[int] = rows.tolist()
        self.evidence: list[bool] = sets.evidence[rows].tolist()
        self.threshold = threshold
        self.whole: list[np.ndarray] = []
        self.said: list[np.ndarray] = []
        self.prompts: list[str] = []
        self.responses: list[str] = []
        self.frames: list[Hashable] = []
        for some in comparable_rows(pool, rows):
            whole, said = sets.of(some)
            self.whole += whole
            self.said += said
            self.prompts += some.prompts
            self.responses += some.responses
            self.frames += some.frames

    def __call__(self, i: int, j: int) -> bool:
        if self.frames[i] != self.frames[j] or self.evidence[i] != self.evidence[j]:
            return False
        if self.evidence[i]:
            close = jaccard(self.said[i], self.said[j], self.threshold) >= self.threshold
        else:
            close = np.array_equal(self.said[i], self.said[j])
        return (
            close
            and _ask_the_same(self.prompts[i], self.prompts[j], self.threshold)
            and not _at_other_indents(self.prompts[i], self.prompts[j])
            and not _at_other_indents(self.responses[i], self.responses[j])
        )


def _ask_the_same(one: str, other: str, threshold: float) -> bool:
    """Whether two prompts are similar in what they do not share.

    A passage of 50 sentences with "Was it in 1801?" or "Was it in 1802?" after it: only the questions are compared.
    """
    if one == other:
        return True
    a, b = Counter(sentences(one)), Counter(sentences(other))
    left = gram_sets([" ".join((a - b).elements()), " ".join((b - a).elements())])
    return jaccard(left[0], left[1], threshold) >= threshold


def _at_other_indents(one: str, other: str) -> bool:
    return one != other and tokens(one) == tokens(other) and layout_tokens(one) != layout_tokens(other)
