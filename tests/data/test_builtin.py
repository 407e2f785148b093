from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.data.builtin.build import BuiltinSettings, build
from tacos.data.builtin.defects import DEFECTS
from tacos.data.builtin.skills import SKILLS
from tacos.text import exact_match

SETTINGS = BuiltinSettings(size=1000, seed=3, test_size=150, corpus_size=3000)


@pytest.fixture(scope="module")
def built():
    return build(SETTINGS)


def test_same_settings_same_pool(built):
    again = build(SETTINGS)
    assert again.pool.table.equals(built.pool.table)
    assert (again.truth, again.questions, again.corpus) == (built.truth, built.questions, built.corpus)
    assert not build(BuiltinSettings(size=1000, seed=4, corpus_size=0)).pool.table.equals(built.pool.table)


@settings(deadline=None)
@given(st.integers(1, 60))
def test_any_size_works(size):
    built = build(BuiltinSettings(size=size, test_size=5, corpus_size=0))
    assert len(built.pool) == len(built.truth) == size


def test_defects_come_at_their_rates(built):
    counts = Counter(row.defect for row in built.truth)
    assert counts[None] == 600
    for name, (share, _) in DEFECTS.items():
        assert abs(counts[name] - 400 * share) <= 1
    assert sum(share for share, _ in DEFECTS.values()) == pytest.approx(1)


def test_clean_replies_end_with_the_answer_and_plain_defects_do_not(built):
    for sample, row in zip(built.pool, built.truth, strict=True):
        assert sample.id == row.id
        ends = exact_match(sample.response, row.answer)
        if row.defect is None:
            assert ends, sample
        elif row.defect in ("wrong", "truncated", "boilerplate", "padded", "wrong_format", "echo"):
            assert not ends, (sample, row)


def test_truth_cannot_be_read_from_the_samples(built):
    assert {sample.source for sample in built.pool} == {"builtin"}
    assert [sample.id for sample in built.pool] == [f"builtin-{i:06d}" for i in range(1000)]
    half = [row.defect is None for row in built.truth]
    assert 250 < sum(half[:500]) < 350  # the order says nothing either


def test_skills_are_skewed_in_the_pool_and_even_in_the_test(built):
    pool = Counter(row.skill for row in built.truth)
    test = Counter(question.category for question in built.questions)
    assert len(SKILLS) >= 28 and len(pool) == len(test) == len(SKILLS)
    assert max(pool.values()) > 5 * min(pool.values())
    assert max(test.values()) - min(test.values()) <= 1


def test_test_questions_are_not_in_the_pool_or_the_corpus(built):
    asked = {question.turns[0] for question in built.questions}
    assert not any(prompt in text for text in built.corpus for prompt in asked)
    for prompt in asked:
        assert not any(prompt.rstrip("?.").lower() in other.lower() for other in built.pool.prompts)


def test_references_hold_the_answer(built):
    assert all(exact_match(q.reference or "", q.answer or "") for q in built.questions)


def test_long_replies_are_more_often_bad(built):
    longest = sorted(range(1000), key=lambda i: -len(built.pool.responses[i]))[:100]
    bad = sum(built.truth[i].defect is not None for i in longest)
    assert 60 < bad < 100  # the pool holds 40 in 100; and some long replies are good
