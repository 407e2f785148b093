"""Decontamination, and the whole way from a file to a clean pool."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tacos.data.decontaminate import contaminated
from tacos.data.prepare import prepare
from tacos.data.read import ReadResult, read_pool
from tacos.errors import PoolError
from tacos.types import Message, Pool, Question, Sample, make_sample

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


def test_combining_marks_are_letters():
    rows = pool("मैला क्या है?", "ข้าว คืออะไร", "मेला क्या है")
    assert hits(rows, "मेला क्या है?", "ข่าว คืออะไร") == [(2, 0, "same_words")]
    decomposed = pool("Wo liegt Ko\u0308ln?")
    assert hits(decomposed, "Wo liegt K\u00f6ln") == [(0, 0, "same_words")]


def test_a_question_without_spaces_shares_twenty_six_characters():
    asked = "用通俗的语言解释什么是黄河并举一个例子然后说明它为什么重要还有它的历史"
    held = [f"请注意，{asked[:n]}。谢谢。" for n in (25, 26)]
    assert hits(pool(*held), asked) == [(1, 0, "shared_ngram")]
    assert hits(pool(f"{asked[:10]} {RUN}"), f"Count {RUN} fourteen.") == [(0, 0, "shared_ngram")]


def write(path, rows) -> str:
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


LOVE = Question(id="q", turns=("Well?", "what is love"))


def test_every_row_is_in_the_pool_or_dropped_with_its_line(tmp_path):
    long = " ".join(f"word{i}" for i in range(60))
    rows = [
        {"id": "a", "instruction": long, "output": "yes"},
        {"id": "b", "instruction": long, "output": "yes"},
        {"id": "c", "instruction": long + " x", "output": "yes"},
        {"id": "d", "instruction": "What is love?", "output": "A feeling."},
        {"id": "e", "instruction": "Empty", "output": ""},
        {"id": "f", "instruction": "Fine?", "output": "Fine."},
    ]
    prepared = prepare(read_pool(write(tmp_path / "p.jsonl", rows)), questions=[LOVE])
    assert prepared.pool.ids == ["a", "f"]
    assert prepared.read == 6 == len(prepared.pool) + len(prepared.dropped)
    assert [(d.id, d.line, d.reason, d.of) for d in prepared.dropped] == [
        ("b", 2, "exact_duplicate", "a"),
        ("c", 3, "near_duplicate", "a"),
        ("d", 4, "contaminated", None),
        ("e", 5, "empty_response", None),
    ]
    assert prepared.dropped[2].detail == "same_words as test question q: 'what is love'"
    assert sum(prepared.reasons.values()) == 4


def conversation(id, *contents, system=None):
    turns = [Message(role="assistant" if i % 2 else "user", content=text) for i, text in enumerate(contents)]
    head = [Message(role="system", content=system)] if system else []
    return Sample(id=id, messages=(*head, *turns))


def result_of(*samples):
    n = len(samples)
    return ReadResult(Pool.from_samples(samples), [], n, np.arange(10, 10 + n), "messages")


def test_held_out_rows_pair_the_first_turn_with_its_own_reply_and_keep_their_line():
    read = result_of(
        conversation("a", "One?", "First.", "Two?", "Second.", system="Be brief."),
        conversation("b", "Q?", "A."),
        conversation("c", "x", "y"),
    )
    everything = {"a": (("One?",), "First."), "b": (("Q?",), "A."), "c": (("x",), "y")}
    prepared = prepare(read, holdout=2, holdout_seed=1)
    asked = {q.id: (q.turns, q.reference) for q in prepared.questions}
    assert len(prepared.pool) == 1 and len(asked) == 2 and "a" in asked
    assert asked == {id_: everything[id_] for id_ in asked}
    lines = {"a": 10, "b": 11, "c": 12}
    assert [(d.id, d.line, d.reason) for d in prepared.dropped] == [
        (i, lines[i], "held_out") for i in sorted(asked)
    ]
    assert prepare(read, holdout=2, holdout_seed=1).questions == prepared.questions


def test_rows_that_hold_a_held_out_question_go_too_unless_asked_to_stay():
    samples = [conversation(str(i), "What is love?", f"It is thing number {i}.") for i in range(4)]
    samples.append(conversation("other", "What is war?", "Another thing."))
    read = result_of(*samples)
    prepared = prepare(read, holdout=1, holdout_seed=2)
    assert prepared.questions[0].turns == ("What is love?",)
    assert prepared.pool.ids == ["other"]
    assert prepared.reasons == {"contaminated": 3, "held_out": 1}
    assert len(prepare(read, holdout=1, holdout_seed=2, decontaminate=False).pool) == 4


def test_a_holdout_that_leaves_nothing_names_the_setting():
    with pytest.raises(PoolError, match=r"holdout 2 leaves nothing of 2 samples: set pool\.holdout lower"):
        prepare(result_of(conversation("a", "x", "y"), conversation("b", "z", "w")), holdout=2)


def test_nothing_left_is_an_error(tmp_path):
    path = write(tmp_path / "p.jsonl", [{"instruction": "What is love?", "output": "A feeling."}])
    with pytest.raises(PoolError, match="no row is left of 1"):
        prepare(read_pool(path), questions=[LOVE])


@pytest.mark.parametrize(
    ("question", "prompt"),
    [
        ("What is 3 + 4?", "What is 3 - 4?"),
        ("What is 3*4?", "What is 3/4?"),
        ("Solve x = -5.", "Solve x = 5."),
        ("Write a loop in C.", "Write a loop in C++."),
        ("Write a loop in C#.", "Write a loop in C."),
        ("What does \U0001f600 mean?", "What does \U0001f602 mean?"),
    ],
)
def test_signs_make_another_question_and_marks_do_not(question: str, prompt: str) -> None:
    for asked, held, same in ((question, prompt, False), (question, f"# **{question[:-1]}** ...", True)):
        rows = Pool.from_samples([make_sample(held, "It is known.")])
        assert bool(contaminated(rows, [asked])) is same
