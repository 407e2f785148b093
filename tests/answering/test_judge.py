"""Judges: grades by hand, and replies that cannot be read."""

from __future__ import annotations

import json

import pytest

from tacos.answering.judge import (
    Comparison,
    LLMJudge,
    LLMJudgeSettings,
    ReferenceJudge,
    grade,
    judge_request,
    likeness,
)
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Completion, Sampling

ITEM = Comparison(
    question="What is 3 plus 4?",
    answer_1="It is 7.",
    answer_2="The sum of 3 and 4 is 8.",
    reference="The sum of 3 and 4 is 7.",
    answer="7",
)


def test_reference_judge_by_hand():
    """7 of 8 words in common on both sides: F1 7/8, grade 1 + 8 x 7/8 = 8."""
    (verdict,) = ReferenceJudge().judge([ITEM])
    assert (verdict.score_1, verdict.score_2, verdict.error) == (10, 8, None)
    assert grade("Bananas.", ITEM) == 1
    assert grade("", ITEM) == 1


def test_the_reference_itself_is_9_where_nothing_can_be_checked():
    item = ITEM.model_copy(update={"answer": None})
    assert grade("The sum of 3 and 4 is 7.", item) == 9


def test_likeness_is_rouge_l():
    assert likeness("the cat sat", "the cat") == pytest.approx(2 * 2 / 5)
    assert likeness("cat the", "the cat") == pytest.approx(2 * 1 / 4)
    assert likeness("", "") == 0


def test_likeness_in_scripts_without_spaces_is_over_characters():
    assert likeness("\u5317\u4eac\u662f\u9996\u90fd", "\u9996\u90fd\u662f\u5317\u4eac") == pytest.approx(
        2 * 2 / 10
    )
    assert likeness("\u6211\u7231\u7528 C++ \u5199", "\u6211\u7528 C++ \u5199") == pytest.approx(2 * 4 / 9)
    assert likeness("\u0e02\u0e49\u0e32\u0e27\u0e2a\u0e27\u0e22", "\u0e02\u0e49\u0e32\u0e27") > 0.5


def test_order_does_not_matter_to_the_reference_judge():
    first, second = ReferenceJudge().judge([ITEM, ITEM.swapped()])
    assert (first.score_1, first.score_2) == (second.score_2, second.score_1)


def test_nothing_to_compare_with_is_no_verdict():
    (verdict,) = ReferenceJudge().judge([Comparison(question="q", answer_1="a", answer_2="b")])
    assert not verdict.parsed and verdict.score_1 is None and "no reference" in verdict.error


def test_answer_without_reference():
    item = Comparison(question="q", answer_1="so 7", answer_2="8", answer="7")
    (verdict,) = ReferenceJudge().judge([item])
    assert (verdict.score_1, verdict.score_2) == (10, 1)


def test_llm_judge_reads_scores_and_sends_both_answers():
    llm = ScriptedLLM(lambda request: json.dumps({"feedback": "x", "score_1": 8, "score_2": 3}))
    judge = LLMJudge(llm)
    (verdict,) = judge.judge([ITEM])
    assert (verdict.score_1, verdict.score_2) == (8, 3) and verdict.raw
    request = judge_request(ITEM, judge.settings)
    prompt = request.messages[-1].content
    assert prompt.index(ITEM.question) < prompt.index(ITEM.answer_1) < prompt.index(ITEM.answer_2)
    assert request.sampling.temperature == 0
    assert (judge.embedded, judge.name) == (False, "LLM judge (scripted)")


def test_llm_judge_takes_its_sampling():
    sampling = Sampling(temperature=0.7, max_tokens=9)
    judge = LLMJudge(ScriptedLLM(lambda request: ""), LLMJudgeSettings(sampling=sampling))
    assert judge_request(ITEM, judge.settings).sampling == sampling


AUTHORS_FORM = """[Question]
$question

[First]
$answer_1

[Second]
$answer_2

Two scores from 1 to 10 on the first line, for example 3 4, then why.
"""


@pytest.mark.parametrize(
    ("text", "finish", "scores"),
    [
        ("8 6\nThe first is right, and the second would get a 9 if it", "length", (8, 6)),
        ("7.5, 8\n\nBoth are short.", "stop", (7.5, 8)),
        ("9 7\nAnswer 1 gives 5 reasons; answer 2: 3 reasons.", "stop", (9, 7)),
        ("The first is right, and the second", "length", None),
        ("8", "length", None),
    ],
)
def test_scores_on_the_first_line_count_though_the_explanation_is_cut(tmp_path, text, finish, scores):
    (tmp_path / "theirs.txt").write_text(AUTHORS_FORM)
    settings = LLMJudgeSettings(
        prompt=str(tmp_path / "theirs.txt"), sampling=Sampling(max_tokens=512), reask=0
    )
    llm = ScriptedLLM(lambda request: Completion(text=text, finish_reason=finish))
    (verdict,) = LLMJudge(llm, settings).judge([ITEM])
    (request,) = llm.requests
    assert request.messages[-1].content.startswith(f"[Question]\n{ITEM.question}\n\n[First]\n{ITEM.answer_1}")
    assert (request.json_schema, request.sampling.max_tokens) == (None, 512)
    assert (verdict.score_1, verdict.score_2) == (scores or (None, None))
    assert verdict.raw == text  # the explanation too, as far as it goes
    assert scores or "cut off at the token limit (raise sampling.max_tokens above 512" in verdict.error


def test_no_items_cost_nothing():
    assert LLMJudge(ScriptedLLM(lambda request: "")).judge([]) == []


@pytest.mark.parametrize("reply", ["I cannot say.", "", '{"score_1": 8}', '{"score_1": 80, "score_2": 3}'])
def test_a_reply_that_cannot_be_read_is_no_verdict(reply):
    (verdict,) = LLMJudge(ScriptedLLM(lambda request: reply)).judge([ITEM])
    assert verdict.score_1 is None and verdict.score_2 is None
    assert verdict.error and verdict.raw == reply


def test_a_failed_call_is_no_verdict_and_others_go_on():
    def answer(request):
        if "Bananas" in request.messages[-1].content:
            return RuntimeError("boom")
        return '{"score_1": 5, "score_2": 5}'

    bad = ITEM.model_copy(update={"question": "Bananas?"})
    first, second = LLMJudge(ScriptedLLM(answer)).judge([bad, ITEM])
    assert not first.parsed and "boom" in first.error
    assert second.parsed
