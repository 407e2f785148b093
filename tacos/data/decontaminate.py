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

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tacos.data.shingles import shingles
from tacos.text import comparable, is_spaceless, words, words_and_signs
from tacos.types import Pool, Record

CHARACTERS = 2
"""Characters of a script without spaces to a word, about."""


class Contaminated(Record):
    """A row that holds a question; both are positions, the question the first that was found."""

    row: int
    question: int
    how: Literal["same_words", "shared_ngram"]


def contaminated(pool: Pool, questions: Sequence[str], ngram: int = 13) -> list[Contaminated]:
    """The contaminated rows, ascending; a row is named once."""
    by_words: dict[str, int] = {}
    for i, question in enumerate(questions):
        if key := _key(question):
            by_words.setdefault(key, i)
    if not by_words:
        return []
    owners, turns, prompts = _turns(pool)
    found: dict[int, Contaminated] = {}
    for owner, turn in zip(owners, prompts, strict=True):
        same = by_words.get(_key(turn)) if turn else None
        if same is not None:
            found.setdefault(owner, Contaminated(row=owner, question=same, how="same_words"))
    for turn_index, shared in _shared(turns, questions, ngram):
        owner = owners[turn_index]
        found.setdefault(owner, Contaminated(row=owner, question=shared, how="shared_ngram"))
    return [found[row] for row in sorted(found)]


def _words(text: str) -> list[str]:
    return words(comparable(text).casefold())


def _key(text: str) -> str:
    """The words and signs, or the text itself where it has none."""
    return " ".join(words_and_signs(comparable(text).casefold())) or text.strip()


def _turns(pool: Pool) -> tuple[list[int], list[str], list[str]]:
    """Per turn: its row, its text, and its text again if it is the user's. A conversation of several
    user turns gets one more entry for its whole prompt."""
    owners, texts, prompts = [], [], []
    for row, sample in enumerate(pool):
        users = 0
        for message in sample.messages:
            users += message.role == "user"
            owners.append(row)
            texts.append(message.content)
            prompts.append(message.content if message.role == "user" else "")
        if users > 1:
            owners.append(row)
            texts.append("")
            prompts.append(sample.prompt)
    return owners, texts, prompts


def _shared(texts: Sequence[str], questions: Sequence[str], ngram: int) -> list[tuple[int, int]]:
    """(text, question) for every n-gram of a text that stands in a question, in reading order of the texts."""
    kinds: dict[int, list[int]] = {}
    for i, question in enumerate(questions):
        found = _words(question)
        spaceless = 2 * sum(map(is_spaceless, found)) > len(found)
        kinds.setdefault(ngram * CHARACTERS if spaceless else ngram, []).append(i)
    pairs = []
    for n, at in kinds.items():
        asked = [questions[i] for i in at]
        pairs += [(text, at[question]) for text, question in _runs(texts, asked, n)]
    return sorted(pairs, key=lambda pair: pair[0])


def _runs(texts: Sequence[str], questions: Sequence[str], n: int) -> list[tuple[int, int]]:
    asked = shingles(questions, n, _words, whole=False)
    held = shingles(texts, n, _words, whole=False)
    values, first = np.unique(asked.values, return_index=True)
    if not len(values):
        return []
    at = np.searchsorted(values, held.values).clip(max=len(values) - 1)
    hits = np.flatnonzero(values[at] == held.values)
    text_of, question_of = held.owners[hits], asked.owners[first[at[hits]]]
    return list(zip(text_of.tolist(), question_of.tolist(), strict=True))
