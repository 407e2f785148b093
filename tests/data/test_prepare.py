"""Decontamination, and the whole way from a file to a clean pool."""

from __future__ import annotations

import json

import pytest

from tacos.data.decontaminate import contaminated
from tacos.data.dedup import DedupSettings
from tacos.data.prepare import load_pool
from tacos.errors import PoolError
from tacos.types import Message, Pool, Sample, make_sample

RUN = "one two three four five six seven eight nine ten eleven twelve thirteen"


def pool(*prompts: str, response: str = "An answer.") -> Pool:
    return Pool.from_samples(make_sample(p, response, id=str(i)) for i, p in enumerate(prompts))


def hits(rows: Pool, *questions: str, ngram: int = 13) -> list[tuple[int, int, str]]:
    return [(c.row, c.question, c.how) for c in contaminated(rows, questions, ngram)]


def test_the_same_words_whatever_case_marks_and_spaces():
    rows = pool("name  three causes of the war", "Name two causes of the war.")
    assert hits(rows, "Why?", "Name three causes of the war!") == [(0, 1, "same_words")]


def test_a_shared_run_of_thirteen_words():
    rows = pool(f"Please: {RUN}, and more.", f"Please {RUN.removesuffix('thirteen')}")
    assert hits(rows, f"Count {RUN} fourteen.") == [(0, 0, "shared_ngram")]
    assert hits(rows, f"Count {RUN} fourteen.", ngram=12) == [(0, 0, "shared_ngram"), (1, 0, "shared_ngram")]


def test_a_run_in_the_response_counts_and_across_turns_does_not():
    assert hits(pool("Hi", response=f"Well, {RUN}"), RUN) == [(0, 0, "shared_ngram")]
    half = RUN.split()
    assert hits(pool(" ".join(half[:7]), response=" ".join(half[7:])), f"{RUN} more") == []


def test_any_user_turn_of_a_conversation():
    chat = [("user", "Hi"), ("assistant", "Hello"), ("user", "What is love?"), ("assistant", "Hi")]
    sample = Sample(id="a", messages=tuple(Message(role=r, content=c) for r, c in chat))
    rows = Pool.from_samples([sample])
    assert hits(rows, "what is love") == [(0, 0, "same_words")]
    assert hits(rows, "Hi What is love") == [(0, 0, "same_words")]
    assert hits(rows, "Hello") == []


def test_questions_without_words():
    assert hits(pool("2 + 2", "???"), "", "...", "???") == [(1, 2, "same_words")]
    assert hits(pool("x")) == []


def write(path, rows) -> str:
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_load_pool_accounts_for_every_row(tmp_path):
    long = " ".join(f"word{i}" for i in range(60))
    rows = [
        {"id": "a", "instruction": long, "output": "yes"},
        {"id": "b", "instruction": long, "output": "Yes."},
        {"id": "c", "instruction": long + " x", "output": "yes"},
        {"id": "d", "instruction": "What is love?", "output": "A feeling."},
        {"id": "e", "instruction": "Empty", "output": ""},
        {"id": "f", "instruction": "Fine?", "output": "Fine."},
    ]
    prepared = load_pool(write(tmp_path / "p.jsonl", rows), questions=["what is love"])
    assert prepared.pool.ids == ["a", "f"]
    assert prepared.read == 6 == len(prepared.pool) + len(prepared.dropped)
    assert {(d.id, d.line, d.reason, d.of) for d in prepared.dropped} == {
        ("b", 2, "exact_duplicate", "a"),
        ("c", 3, "near_duplicate", "a"),
        ("d", 4, "contaminated", None),
        ("e", 5, "empty_response", None),
    }
    assert sum(prepared.reasons.values()) == 4


def test_nothing_left_is_an_error(tmp_path):
    path = write(tmp_path / "p.jsonl", [{"instruction": "What is love?", "output": "A feeling."}])
    with pytest.raises(PoolError, match="no row is left of 1"):
        load_pool(path, dedup=DedupSettings(near=False), questions=["what is love"])
