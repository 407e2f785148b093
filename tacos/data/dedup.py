"""Exact and near duplicates.

Exact: equal conversations, turn by turn, after Unicode and line-end normalisation (`tacos.text.comparable`). Case,
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

Alpaca-52k on one core: 7 s, no exact and no near duplicate. (Two multiplication tables of 0.97 that are asked for in
other words stay.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field

from tacos.data.near import jaccard, near_pairs
from tacos.data.shingles import MULTIPLIER, shingles
from tacos.text import comparable, layout_tokens, sentences, tokens
from tacos.types import Pool, Record

NGRAM = 3
LONG, SENTENCE = 20, 5
"""3-grams from which a response that is similar, or equal, says that the same was asked."""
MARKS = frozenset(".,;:!?\"'\u3002\uff0c\uff01\uff1f\u0964\u061f")
"""Marks of a sentence; those of arithmetic and code always count."""
STOCK = 20
"""Rows with the same response from which it says nothing."""


class DedupSettings(Record):
    """What counts as a duplicate."""

    exact: bool = True
    near: bool = True
    threshold: float = Field(default=0.9, gt=0, le=1)
    """Jaccard similarity of 3-grams from which a row is a near duplicate, 0-1; see the module."""
    seed: int = 0
    """Seed of the MinHash permutations; it moves only which borderline pairs are proposed."""


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
    talks = _conversations(pool)
    found = _exact(talks) if settings.exact else []
    if settings.near:
        gone = {d.row for d in found}
        rest = [i for i in range(len(pool)) if i not in gone]
        parts = _Parts([talks[i] for i in rest])
        near = parts.reworded()
        sets = [parts.whole[i][: 0 if i in near else None] for i in range(len(rest))]
        pairs = near_pairs(sets, settings.threshold, settings.seed, parts.alike(settings.threshold))
        near |= {i: (j, similarity) for i, j, similarity in pairs}
        found += [
            Duplicate(row=rest[i], of=rest[j], reason="near_duplicate", similarity=s)
            for i, (j, s) in near.items()
        ]
        found = _resolve(found)
    return sorted(found, key=lambda d: d.row)


def _resolve(found: list[Duplicate]) -> list[Duplicate]:
    """Point copies of a row that is itself a near duplicate at the row that stays."""
    near = {d.row: d.of for d in found if d.reason == "near_duplicate"}

    def stays(row: int) -> int:
        while row in near:
            row = near[row]
        return row

    return [d.model_copy(update={"of": stays(d.of)}) for d in found]


Turn = tuple[object, ...]
"""role, comparable content, weight."""


def _conversations(pool: Pool) -> list[tuple[Turn, ...]]:
    return [
        tuple((m["role"], comparable(m["content"]), m["weight"]) for m in messages)
        for messages in pool.table.column("messages").to_pylist()
    ]


def _exact(talks: Sequence[tuple[Turn, ...]]) -> list[Duplicate]:
    first: dict[tuple[Turn, ...], int] = {}
    found = []
    for i, talk in enumerate(talks):
        kept = first.setdefault(talk, i)
        if kept != i:
            found.append(Duplicate(row=i, of=kept, reason="exact_duplicate", similarity=1.0))
    return found


class _Parts:
    """The parts of conversations that near duplicates are told by; all aligned."""

    def __init__(self, talks: Sequence[tuple[Turn, ...]]):
        self.prompts, self.responses = (
            ["\n\n".join(str(turn[1]) for turn in talk if turn[0] == role) for talk in talks]
            for role in ("user", "assistant")
        )
        self.frames = [_frame(talk) for talk in talks]
        self.said = gram_sets(self.responses)
        copies = Counter(grams.tobytes() for grams in self.said)
        self.stock = [copies[grams.tobytes()] >= STOCK for grams in self.said]
        self.evidence = [len(g) >= LONG and not stock for g, stock in zip(self.said, self.stock, strict=True)]
        rare = zip(gram_sets(_rarest(self.prompts)), self.said, self.evidence, strict=True)
        self.whole = [_joined(prompt, said, evidence) for prompt, said, evidence in rare]
        """3-grams of each row; one that stands in the prompt and in the response counts twice."""

    def reworded(self) -> dict[int, tuple[int, float]]:
        """Row -> the first row with the same words and response, and their similarity, 1."""
        first: dict[tuple[object, ...], int] = {}
        found = {}
        for i, prompt in enumerate(self.prompts):
            if self.stock[i] or len(self.said[i]) < SENTENCE:
                continue
            asked = tuple(token for token in tokens(prompt.casefold()) if token not in MARKS)
            kept = first.setdefault((self.frames[i], asked, tuple(tokens(self.responses[i]))), i)
            if kept != i and not self.other_program(i, kept):
                found[i] = (kept, 1.0)
        return found

    def alike(self, threshold: float) -> Callable[[int, int], bool]:
        """Whether two rows that are similar as a whole are near duplicates; see the module."""

        def alike(i: int, j: int) -> bool:
            if self.frames[i] != self.frames[j] or self.evidence[i] != self.evidence[j]:
                return False
            if self.evidence[i]:
                close = jaccard(self.said[i], self.said[j], threshold) >= threshold
            else:
                close = np.array_equal(self.said[i], self.said[j])
            close = close and _ask_the_same(self.prompts[i], self.prompts[j], threshold)
            return close and not self.other_program(i, j)

        return alike

    def other_program(self, i: int, j: int) -> bool:
        return any(_at_other_indents(side[i], side[j]) for side in (self.prompts, self.responses))


def _frame(talk: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """What has to be equal: the system prompt, and which turns are left out of the loss."""
    return tuple(
        (i, *turn) if turn[0] == "system" else (i,)
        for i, turn in enumerate(talk)
        if turn[0] == "system" or not turn[2]
    )


def _rarest(prompts: Sequence[str]) -> list[str]:
    """Of each prompt the sentences that stand in the fewest prompts."""
    parts = [sentences(prompt) for prompt in prompts]
    rows = Counter(part for row in parts for part in set(row))
    fewest = (min((rows[part] for part in row), default=0) for row in parts)
    return [
        "\n".join(part for part in row if rows[part] == least)
        for row, least in zip(parts, fewest, strict=True)
    ]


def _joined(prompt: np.ndarray, said: np.ndarray, evidence: bool) -> np.ndarray:
    """One set of 3-grams; a response that is no evidence counts as one, so that it cannot outweigh the prompt."""
    mine = (said if evidence else said.sum(keepdims=True)) * MULTIPLIER
    return np.unique(np.concatenate([prompt, mine]))


def _ask_the_same(one: str, other: str, threshold: float) -> bool:
    """Whether two prompts are similar in what they do not share.

    A passage of 50 sentences with "Was it in 1801?" or "Was it in 1802?" after it: only the questions are compared.
    """
    a, b = Counter(sentences(one)), Counter(sentences(other))
    left = gram_sets([" ".join((a - b).elements()), " ".join((b - a).elements())])
    return jaccard(left[0], left[1], threshold) >= threshold


def _at_other_indents(one: str, other: str) -> bool:
    return tokens(one) == tokens(other) and layout_tokens(one) != layout_tokens(other)


def gram_sets(texts: Sequence[str]) -> list[np.ndarray]:
    """The distinct 3-grams of each text, sorted uint64."""
    grams = shingles(texts, NGRAM, layout_tokens)
    return [np.unique(grams[i]) for i in range(len(grams))]
