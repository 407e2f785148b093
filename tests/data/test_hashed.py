"""Texts as numbers: two tokens share one where they are the same text, however the text around is written."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tacos.data import hashed as module
from tacos.data.builder import root, unique_names
from tacos.data.hashed import LAYOUT, WORDS, Split, hashed, hashed_whole
from tacos.data.row_numbers import gram_sets
from tacos.data.shingles import BATCH
from tacos.text import layout_tokens
from tacos.types import Pool, make_sample

TEXTS = st.lists(st.text("ab _1.,-\n\t \r\x0bAK–é用写\u093e\u200d茶!。\u0301", max_size=20), max_size=12)


def numbers(texts: list[str], split: Split) -> list[list[int]]:
    parts = [(t.values, t.starts) for t in hashed(texts, split)]
    return [v[a:b].tolist() for v, s in parts for a, b in pairwise(s)]


@pytest.mark.parametrize("split", [LAYOUT, WORDS])
@settings(max_examples=300, deadline=None)
@given(texts=TEXTS)
@example(texts=["", "a\n  b", "\n  ", "a\n\tb\n ", "é\n  a", "A a\u0301 á"])
def test_tokens_are_those_of_the_text(split: Split, texts: list[str]) -> None:
    known: dict[str, int] = {}
    for text, found in zip(texts, numbers(texts, split), strict=True):
        tokens = [token.casefold() if split.fold else token for token in split.cut(text)]
        assert len(found) == len(tokens)
        for token, number in zip(tokens, found, strict=True):
            assert known.setdefault(token, number) == number
    assert len(set(known.values())) == len(known)


def test_blocks_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one two\n  three", "", "four " * 50, "fünf", "one"]
    whole = numbers(texts, LAYOUT), hashed_whole(texts).tolist()
    monkeypatch.setattr(module, "BLOCK", 16)
    assert (numbers(texts, LAYOUT), hashed_whole(texts).tolist()) == whole
    assert len(list(hashed(texts, LAYOUT))) > 1


def test_order_counts_in_a_sequence() -> None:
    (found,) = hashed(["a b c", "c b a", "A, b - c", "", "a b"], WORDS)
    a, b, c, empty, short = found.sequences().tolist()
    assert a == c and len({a, b, empty, short}) == 4


def test_sets_of_more_texts_than_a_batch() -> None:
    texts = [f"a b c d {i % 7} a b c d" for i in range(BATCH + 5)] + [""]
    sets = gram_sets(texts)
    assert len(sets) == len(texts) and len(sets[len(texts) - 1]) == 0
    for i in (0, 1, BATCH - 1, BATCH, BATCH + 4):
        assert len(sets[i]) == len(set(zip(*(layout_tokens(texts[i])[k:] for k in range(3)), strict=False)))
        assert np.array_equal(sets[i], sets[i % 7])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["x", "y", "x#2", "x#3", "x#2#2", "#2", "x#", "y#2", "z\n#2"]), max_size=12))
def test_only_ids_that_stand_twice_and_their_kin_are_renamed(ids: list[str]) -> None:
    copies: dict[str, int] = {}
    wanted = []
    for id_ in ids:
        name = id_
        while name in copies:
            copies[id_] += 1
            name = f"{id_}#{copies[id_]}"
        copies[name] = 1
        wanted.append(name)
    column = Pool.from_samples(make_sample("a", "b", id=id_) for id_ in ids).table.column("id")
    again = np.array([i for i, id_ in enumerate(ids) if ids.count(id_) > 1], dtype=np.int64)
    names = unique_names(column, again) if len(again) else {}
    assert [names.get(i, id_) for i, id_ in enumerate(ids)] == wanted and len(set(wanted)) == len(ids)
    assert all(root(name) == root(id_) for name, id_ in zip(wanted, ids, strict=True))
