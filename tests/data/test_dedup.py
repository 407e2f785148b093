"""Duplicates: hand-worked similarities, a full comparison, and marked near-duplicates."""

from __future__ import annotations

import json
import os
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tacos.data.dedup import DedupSettings, bands, duplicates, jaccard, near_pairs
from tacos.data.shingles import TOKENS, shingles
from tacos.types import Pool, make_sample

SHARED = Path(os.environ.get("TACOS_SHARED", Path(__file__).parents[3] / "shared"))
LIBRE = SHARED / "data/alpaca_libre.jsonl"


def pool(*pairs: tuple[str, str]) -> Pool:
    return Pool.from_samples(make_sample(p, r, id=str(i)) for i, (p, r) in enumerate(pairs))


def grams(text: str, n: int = 3) -> set[tuple[str, ...]]:
    words = TOKENS.findall(text.casefold())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} or (
        {tuple(words)} if words else set()
    )


def similarity(a: str, b: str) -> float:
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


def random_texts(n: int) -> list[str]:
    """Families of texts that differ in 0 to 6 words of 40."""
    rng = random.Random(0)
    texts = []
    for _ in range(n // 4):
        base = [rng.choice("abcdefghijklmnopqrstuvwxyz") * rng.randint(1, 3) for _ in range(40)]
        for _ in range(4):
            copy = list(base)
            for place in rng.sample(range(40), rng.randint(0, 6)):
                copy[place] = "new"
            texts.append(" ".join(copy))
    return texts


def test_shingles_are_the_word_ngrams():
    texts = ["a b c d", "A  b\nc", "a b", "", "b c d e a b c"]
    found = shingles(texts, 3)
    assert np.diff(found.starts).tolist() == [2, 1, 1, 0, 5]
    names = {(0, 0): "abc", (0, 1): "bcd", (1, 0): "abc", (2, 0): "ab", (4, 0): "bcd", (4, 4): "abc"}
    for (i, j), name in names.items():
        for (k, m), other in names.items():
            assert (found[i][j] == found[k][m]) == (name == other)


def test_shingles_agree_between_calls():
    assert shingles(["x y z", "a b c"], 3)[1] == shingles(["a b c"], 3)[0]


def test_short_texts_can_be_left_out():
    assert np.diff(shingles(["a b", "a b c"], 3, whole=False).starts).tolist() == [0, 1]
    assert len(shingles([], 3)) == 0


def test_exact_duplicates_keep_the_first():
    rows = pool(("Name a colour.", "Red."), ("Name a colour.", "Blue."), ("name  a colour", "red"))
    (found,) = duplicates(rows, DedupSettings(near=False))
    assert (found.row, found.of, found.reason, found.similarity) == (2, 0, "exact_duplicate", 1.0)


def test_worked_example():
    assert near_pairs(["a b c d e", "a b c d f"], 0.5) == [(1, 0, 0.5)]
    assert near_pairs(["a b c d e", "a b c d f"], 0.51) == []


def test_marks_between_numbers_count():
    assert near_pairs(["What is 12 + 7 ?", "What is 12 - 7 ?"], 0.9) == []


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9, 1.0])
def test_every_pair_is_truly_similar_and_none_is_missed(threshold):
    texts = random_texts(200)
    found = {row: (of, s) for row, of, s in near_pairs(texts, threshold)}
    for row, text in enumerate(texts):
        kept = [k for k in range(row) if k not in found]
        best = max((similarity(text, texts[k]) for k in kept), default=0.0)
        assert (row in found) == (best >= threshold)
        if row in found:
            of, s = found[row]
            assert of in kept and s == pytest.approx(best)


def test_duplicates_point_at_rows_that_stay():
    long = " ".join(f"word{i}" for i in range(60))
    rows = pool((long, "yes"), (long + " x", "yes"), (long + " x", "yes."), ("other", "no"))
    found = duplicates(rows)
    assert [(d.row, d.of, d.reason) for d in found] == [(1, 0, "near_duplicate"), (2, 0, "exact_duplicate")]


def test_settings_turn_each_kind_off():
    rows = pool(("a b c d e f g", "h"), ("a b c d e f g", "h"))
    assert duplicates(rows, DedupSettings(exact=False, near=False)) == []
    assert [d.reason for d in duplicates(rows, DedupSettings(exact=False))] == ["near_duplicate"]


def test_the_seed_decides_and_empty_pools_pass():
    texts = random_texts(80)
    assert near_pairs(texts, 0.7, seed=3) == near_pairs(texts, 0.7, seed=3)
    assert duplicates(Pool.from_samples([])) == []


def test_bands_miss_at_most_one_in_a_hundred():
    assert bands(0.9) == (12, 10)
    for threshold in np.linspace(0.1, 1, 10):
        count, rows = bands(threshold)
        assert (1 - threshold**rows) ** count <= 0.01 and count >= 2


def test_jaccard():
    a, b = np.array([1, 2, 3], dtype=np.uint64), np.array([2, 3, 4, 5], dtype=np.uint64)
    assert jaccard(a, b) == 0.4
    assert jaccard(a, b, at_least=0.8) == 0.0


@pytest.mark.skipif(not LIBRE.exists(), reason="needs the shared generations with marks")
def test_marked_near_duplicates():
    """The marks compare instructions only, and batches that ran side by side missed each other."""
    rows = [json.loads(line) for line in LIBRE.read_text(encoding="utf-8").splitlines()]
    marked = [row["status"] == "too similar" for row in rows]
    pairs = pool(*((f"{r['instruction']}\n\n{r['input']}", r["output"]) for r in rows if r["output"].strip()))
    assert all(marked[d.row] for d in duplicates(pairs))

    instructions = [row["instruction"] for row in rows]
    found = near_pairs(instructions, 0.9)
    agreed = sum(marked[i] for i, _, _ in found if rows[i]["status"] in ("ok", "too similar"))
    judged = sum(rows[i]["status"] in ("ok", "too similar") for i, _, _ in found)
    assert agreed / judged > 0.9
    by_size = sorted(range(len(rows)), key=lambda i: instructions[i].casefold())
    same = sum(instructions[i].casefold() == instructions[j].casefold() for i, j in pairwise(by_size))
    assert len(found) >= same
