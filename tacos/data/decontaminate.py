"""Rows that hold an evaluation question, so that a model is not trained on what it is judged by.

A row is contaminated when one of its user turns, or its whole prompt, has the same words and signs as a
question, or when any turn shares a run of 13 words with one (the length GPT-3 used, arXiv 2005.14165,
appendix C; there the text around was cut, here the row goes). Words are those of `tacos.text`, case folded;
punctuation is ignored, but "3 + 4" is not "3 - 4", nor C++ C.

    question  "Name three causes of the First World War."
    prompt    "name three causes of the first world war"        -> the same words

A question in a script without spaces has to share a run of 26 characters, which is about 13 words. A shorter
question is found by equality only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow.compute as pc

from tacos.data.comparable_rows import messages_of
from tacos.data.hashed import WORDS, HashedTokens, hashed
from tacos.data.shingles import ngrams, shingles
from tacos.text import comparable, is_spaceless, words_and_signs
from tacos.types import Pool, Record

CHARACTERS = 2
"""Characters of a script without spaces to a word, about."""
ENDS = np.uint64(1 << 20)


class Contaminated(Record):
    """A row that holds a question; both are positions, the question the first that was found."""

    row: int
    question: int
    how: Literal["same_words", "shared_ngram"]


def contaminated(
    pool: Pool, questions: Sequence[str], ngram: int = 13, rows: np.ndarray | None = None
) -> list[Contaminated]:
    """The contaminated rows, ascending; a row is named once. rows: those that are looked at, ascending; None is all."""
    asked = _Asked(questions, ngram)
    same: dict[int, int] = {}
    shared: dict[int, int] = {}
    for turns in _turns(pool, rows) if asked.by_words else ():
        for found, pairs in zip((same, shared), asked.held_by(turns), strict=True):
            for row, question in pairs:
                found.setdefault(row, question)
    return [
        Contaminated(row=row, question=same[row], how="same_words")
        if row in same
        else Contaminated(row=row, question=shared[row], how="shared_ngram")
        for row in sorted(same | shared)
    ]


class _Turns(NamedTuple):
    """Turns, aligned: their rows, texts, and whether they are the user's. joined: whole prompts of several turns, in
    which no n-grams are looked for."""

    rows: list[int]
    texts: list[str]
    prompts: list[bool]
    joined: bool = False


def _turns(pool: Pool, rows: np.ndarray | None) -> Iterator[_Turns]:
    for some, messages in messages_of(pool, rows):
        turns = messages.flatten()
        owners = np.repeat(some, messages.value_lengths().to_numpy())
        texts = turns.field("content").to_pylist()
        users = pc.equal(turns.field("role"), "user").to_numpy(zero_copy_only=False)
        yield _Turns(owners.tolist(), texts, users.tolist())
        asking, first, counts = np.unique(owners[users], return_index=True, return_counts=True)
        if (counts > 1).any():
            asked = [texts[i] for i in np.flatnonzero(users)]
            several = [i for i, count in enumerate(counts.tolist()) if count > 1]
            whole = ["\n\n".join(asked[first[i] : first[i] + counts[i]]) for i in several]
            yield _Turns(asking[several].tolist(), whole, [True] * len(whole), joined=True)


def _key(text: str) -> str:
    """The words and signs, or the text itself where it has none."""
    return " ".join(words_and_signs(comparable(text).casefold())) or text.strip()


class _Ngrams(NamedTuple):
    """Those of n words that stand in a question: numbers, ascending, and the first question of each.

    ends: (ENDS,) bool, with which bits one of them ends: few others do, and only those are searched for.
    """

    n: int
    values: np.ndarray
    questions: np.ndarray
    ends: np.ndarray


class _Asked:
    """The questions, as they are looked for. by_words: `_key` -> the first question."""

    def __init__(self, questions: Sequence[str], ngram: int):
        self.by_words = {key: i for i, key in reversed(list(enumerate(map(_key, questions)))) if key}
        cut = list(hashed(questions, WORDS))
        self.sequences = np.unique(np.concatenate([np.empty(0, np.uint64), *(t.sequences() for t in cut)]))
        kinds = (_ngrams(questions, at, n) for n, at in _kinds(questions, ngram).items())
        self.ngrams = [known for known in kinds if len(known.values)]

    def held_by(self, turns: _Turns) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(row, question) for each prompt that is a question, and for each n-gram that stands in one; in reading order.

        Only of prompts with the words of a question the signs are compared.
        """
        same, shared, at = [], [], 0
        for tokens in hashed(turns.texts, WORDS):
            likely = np.isin(tokens.sequences(), self.sequences).tolist()
            for i, maybe in enumerate(likely, start=at):
                question = self.by_words.get(_key(turns.texts[i])) if maybe and turns.prompts[i] else None
                if question is not None:
                    same.append((turns.rows[i], question))
            if not turns.joined:
                shared += [(turns.rows[at + i], question) for i, question in self._shared(tokens)]
            at += len(likely)
        return same, shared

    def _shared(self, tokens: HashedTokens) -> list[tuple[int, int]]:
        """(text, question)"""
        pairs = []
        for known in self.ngrams:
            held = ngrams(tokens, known.n, whole=False)
            hits = np.flatnonzero(known.ends[held.values % ENDS])
            at = np.searchsorted(known.values, held.values[hits]).clip(max=len(known.values) - 1)
            true = known.values[at] == held.values[hits]
            owners = np.searchsorted(held.starts, hits[true], side="right") - 1
            pairs += list(zip(owners.tolist(), known.questions[at[true]].tolist(), strict=True))
        return sorted(pairs, key=lambda pair: pair[0])


def _kinds(questions: Sequence[str], ngram: int) -> dict[int, list[int]]:
    """How many words in a row a question shares -> the questions."""
    kinds: dict[int, list[int]] = {}
    for i, question in enumerate(questions):
        found = WORDS.cut(question)
        spaceless = 2 * sum(map(is_spaceless, found)) > len(found)
        kinds.setdefault(ngram * CHARACTERS if spaceless else ngram, []).append(i)
    return kinds


def _ngrams(questions: Sequence[str], at: list[int], n: int) -> _Ngrams:
    asked = shingles([questions[i] for i in at], n, WORDS, whole=False)
    values, first = np.unique(asked.values, return_index=True)
    ends = np.zeros(ENDS, dtype=bool)
    ends[values % ENDS] = True
    return _Ngrams(n, values, np.array(at)[asked.owners[first]], ends)
