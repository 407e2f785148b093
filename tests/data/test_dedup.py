"""Duplicates: hand-worked similarities, a full comparison, and marked near-duplicates."""

from __future__ import annotations

import json
import os
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tacos.data.dedup import DedupSettings, duplicates
from tacos.data.hashed import WORDS
from tacos.data.near import band_keys, bands, decided, jaccard, share_a_band
from tacos.data.row_numbers import gram_sets
from tacos.data.shingles import shingles
from tacos.text import tokens
from tacos.types import Message, Pool, Sample, make_sample

SHARED = Path(os.environ.get("TACOS_SHARED", Path(__file__).parents[3] / "shared"))
LIBRE = SHARED / "data/alpaca_libre.jsonl"


def pool(*pairs: tuple[str, str]) -> Pool:
    return Pool.from_samples(make_sample(p, r, id=str(i)) for i, (p, r) in enumerate(pairs))


def grams(text: str, n: int = 3) -> set[tuple[str, ...]]:
    found = tokens(text)
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)} or (
        {tuple(found)} if found else set()
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
    texts = ["a b c d", "a  b\nc", "a b", "", "b c d e a b c"]
    found = shingles(texts, 3, WORDS)
    assert np.diff(found.starts).tolist() == [2, 1, 1, 0, 5]
    names = {(0, 0): "abc", (0, 1): "bcd", (1, 0): "abc", (2, 0): "ab", (4, 0): "bcd", (4, 4): "abc"}
    for (i, j), name in names.items():
        for (k, m), other in names.items():
            assert (found[i][j] == found[k][m]) == (name == other)


def test_shingles_agree_between_calls():
    assert shingles(["x y z", "a b c"], 3, WORDS)[1] == shingles(["a b c"], 3, WORDS)[0]


def test_short_texts_can_be_left_out():
    assert np.diff(shingles(["a b", "a b c"], 3, WORDS, whole=False).starts).tolist() == [0, 1]
    assert len(shingles([], 3, WORDS)) == 0


def test_exact_duplicates_keep_the_first():
    rows = pool(
        ("Name a cafe\u0301.", "Red.\r\n"), ("Name a cafe\u0301.", "Blue."), ("Name a caf\u00e9.", "Red.\n")
    )
    (found,) = duplicates(rows, DedupSettings(near=False))
    assert (found.row, found.of, found.reason, found.similarity) == (2, 0, "exact_duplicate", 1.0)


LOOP = "t = 0\nfor i in range(3):\n    t += i\n"
CODE = "".join(f"    x{i} = step(x{i - 1}, {i})\n" for i in range(1, 40))


@pytest.mark.parametrize(
    "rows",
    [
        [("Expand the chemical formula: Co", "Co"), ("Expand the chemical formula: CO", "CO")],
        [(f"Copy: You are coming{end}", f"You are coming{end}") for end in ("?", "!", "...")],
        [("What is printed?", f"{LOOP}    print(t)"), ("What is printed?", f"{LOOP}print(t)")],
        [("Go on.", f"def f(x0):\n{CODE}    return x1"), ("Go on.", f"def f(x0):\n{CODE}return x1")],
        [(f"Shorten:\n{CODE}    return x1", "No."), (f"Shorten:\n{CODE}return x1", "No.")],
    ],
)
def test_case_marks_and_indentation_mean_something(rows):
    assert duplicates(pool(*rows)) == []


def test_the_system_prompt_means_something_however_long_the_rest():
    long = " ".join(f"word{i}" for i in range(300))
    rows = [
        Sample(
            id=system,
            messages=tuple(
                Message(role=role, content=text)
                for role, text in (("system", system), ("user", long), ("assistant", long))
            ),
        )
        for system in ("You are a banker.", "You are a friend.", "You are a friend. ")
    ]
    assert duplicates(Pool.from_samples(rows)) == []
    (found,) = duplicates(Pool.from_samples([rows[0], rows[0].model_copy(update={"id": "copy"})]))
    assert found.reason == "exact_duplicate"


PASSAGE = " ".join(
    f"In the year {1800 + i} town {i} built a bridge that cost {i * 7} crowns." for i in range(60)
)


@pytest.mark.parametrize("answer", ["The bridge of town {i} cost {seven} crowns.", "Yes."])
@pytest.mark.parametrize("form", ["{question}\n\n{passage}", "{passage} {question}"])
def test_questions_on_a_shared_passage_stay_whatever_the_answer(answer, form):
    rows = [
        (
            form.format(question=f"How much did the bridge of town {i} cost?", passage=PASSAGE),
            answer.format(i=i, seven=i * 7),
        )
        for i in range(10)
    ]
    assert duplicates(pool(*rows)) == []
    (again,) = duplicates(pool(*rows, (rows[4][0] + " ", rows[4][1])))
    assert (again.row, again.of, again.reason) == (10, 4, "near_duplicate")


def test_usual_questions_on_a_rare_passage_stay():
    asked = ("Is it about a bridge?", "Is it about a town?")
    rows = [(f"{q}\n\n{PASSAGE}", "Yes.") for q in asked]
    others = [(f"{q}\n\nAnother text, number {i}.", "No.") for q in asked for i in range(5)]
    assert duplicates(pool(*rows, *others)) == []


def test_one_long_refusal_to_many_questions_is_no_duplicate():
    refusal = " ".join(f"sorry{i}" for i in range(100))
    rows = [(f"How do I do the thing called {name}?", refusal) for name in ("tea", "rain", "bread")]
    rows += [
        (f"Tell me of number {i}, please, and of all that it has done to us.", refusal) for i in range(30)
    ]
    assert [d.row for d in duplicates(pool(*rows[:3]))] == []
    assert duplicates(pool(*rows)) == []


def test_a_long_answer_with_a_word_changed_goes_even_if_the_question_has_other_marks():
    long = [f"word{i}" for i in range(200)]
    rows = pool(
        ("Write an essay on tea.", " ".join(long)),
        ("Write an essay on tea.", " ".join([*long[:50], "new", *long[51:]])),
        ("write an essay on tea", " ".join(long)),
        ("Write an essay on rain.", " ".join(long)),
        ("Write an essay on tea.", " ".join(long[:100])),
    )
    assert [(d.row, d.of, d.reason) for d in duplicates(rows)] == [
        (1, 0, "near_duplicate"),
        (2, 0, "near_duplicate"),
    ]


def test_a_prompt_that_differs_in_case_and_marks_only_needs_a_sentence_in_reply():
    reply = "The day after Sunday is Monday."
    asked = ("Name the day after Sunday.", "name the day after sunday", "Name the day after Sunday. ")
    assert [(d.row, d.of, d.similarity) for d in duplicates(pool(*((q, reply) for q in asked)))] == [
        (1, 0, 1.0),
        (2, 0, 1.0),
    ]
    assert [d.row for d in duplicates(pool(*((q, "Monday.") for q in asked)))] == [2]
    assert (
        duplicates(pool(("12 + 7?", "It is hard to say for me."), ("12 - 7?", "It is hard to say for me.")))
        == []
    )


@pytest.mark.parametrize(
    "alphabet", [range(0x4E00, 0x4F00), range(0x3042, 0x3090), range(0x0E01, 0x0E2F), range(0x1780, 0x17B0)]
)
def test_scripts_without_spaces_have_near_duplicates_as_english_has(alphabet):
    rng = random.Random(0)
    base = [chr(rng.choice(alphabet)) for _ in range(240)]
    rows = [("讲", "".join([*base[:i], base[i + 1], *base[i + 1 :]])) for i in range(0, 200, 10)]
    assert len(duplicates(pool(*rows))) == 19


def near_pairs(sets, threshold, seed=0):
    """(row, kept row, similarity), as deduplication asks for them."""
    keys = band_keys(sets, threshold, seed)
    rows = np.flatnonzero(share_a_band(keys) & (sets.counts > 0))
    found = decided(keys[rows], [sets[i] for i in rows], threshold, lambda i, j: True)
    return [(int(rows[i]), int(rows[j]), similarity) for i, j, similarity in found]


def test_worked_example():
    assert near_pairs(gram_sets(["a b c d e", "a b c d f"]), 0.5) == [(1, 0, 0.5)]
    assert near_pairs(gram_sets(["a b c d e", "a b c d f"]), 0.51) == []


def test_marks_between_numbers_count():
    assert near_pairs(gram_sets(["What is 12 + 7 ?", "What is 12 - 7 ?"]), 0.9) == []


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9, 1.0])
def test_every_pair_is_truly_similar_and_none_is_missed(threshold):
    texts = random_texts(200)
    # Of twenty seeds two propose one pair of 0.55 too few at 0.5, as often as the bands allow.
    found = {row: (of, s) for row, of, s in near_pairs(gram_sets(texts), threshold, seed=1)}
    for row, text in enumerate(texts):
        kept = [k for k in range(row) if k not in found]
        best = max((similarity(text, texts[k]) for k in kept), default=0.0)
        assert (row in found) == (best >= threshold)
        if row in found:
            of, s = found[row]
            assert of in kept and s == pytest.approx(best)


def test_duplicates_point_at_rows_that_stay():
    long = " ".join(f"word{i}" for i in range(60))
    rows = pool((long, "yes"), (long + " x", "yes"), (long + " x", "yes"), ("other", "no"))
    found = duplicates(rows)
    assert [(d.row, d.of, d.reason) for d in found] == [(1, 0, "near_duplicate"), (2, 0, "exact_duplicate")]


def test_settings_turn_each_kind_off():
    rows = pool(("a b c d e f g", "h"), ("a b c d e f g", "h"))
    assert duplicates(rows, DedupSettings(exact=False, near=False)) == []
    assert [d.reason for d in duplicates(rows, DedupSettings(exact=False))] == ["near_duplicate"]


def test_the_seed_decides_and_empty_pools_pass():
    texts = random_texts(80)
    assert near_pairs(gram_sets(texts), 0.7, seed=3) == near_pairs(gram_sets(texts), 0.7, seed=3)
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
    found = near_pairs(gram_sets(instructions), 0.9)
    agreed = sum(marked[i] for i, _, _ in found if rows[i]["status"] in ("ok", "too similar"))
    judged = sum(rows[i]["status"] in ("ok", "too similar") for i, _, _ in found)
    assert agreed / judged > 0.9
    by_size = sorted(range(len(rows)), key=lambda i: instructions[i].casefold())
    same = sum(instructions[i].casefold() == instructions[j].casefold() for i, j in pairwise(by_size))
    assert len(found) >= same
