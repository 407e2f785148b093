"""What a model thinks aloud is told from what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.llm.reasoning import answer_start, answered, spoken


@pytest.mark.parametrize(
    ("reply", "text", "unfinished"),
    [
        ("<think>First [[3]]. No.</think>\n\nRating: [[9]]", "Rating: [[9]]", False),
        ("First [[3]]. No.\n</think>\n\nRating: [[9]]", "Rating: [[9]]", False),
        ("First [[3]]. No.</think>\nRating: [[9]]", "Rating: [[9]]", False),
        ("First [[3]]. No.</think>Rating: [[9]]", "Rating: [[9]]", False),
        ("First [[3]]. No.</think> I rate it nine.", "I rate it nine.", False),
        ("First [[3]]</think>I rate it nine.", "I rate it nine.", False),
        ('<think duration="3">[[3]]</think>nine', "nine", False),
        ("< think>[[3]]</ think>nine", "nine", False),
        ("<inner_thoughts>[[3]]</inner_thoughts>nine", "nine", False),
        ("<think>Perhaps [[3]]. But", "", True),
        ("<think>`x` is [[3]], so", "", True),
        ("  \n <think>Perhaps", "", True),
        ("<THINKING>a</THINKING>b", "b", False),
        ("[THINK]a [[3]][/THINK]Rating: [[4]]", "Rating: [[4]]", False),
        ("◁think▷a◁/think▷b", "b", False),
        ("<seed:think>a</seed:think>b", "b", False),
        ("<|START_THINKING|>a<|END_THINKING|>b", "b", False),
        (
            "<|channel|>analysis<|message|>hm [[3]]<|end|><|start|>assistant<|channel|>final<|message|>[[9]]",
            "[[9]]",
            False,
        ),
        ("<|channel|>analysis<|message|>hm [[3]]", "", True),
        ("analysisWe weigh [[3]]assistantfinalRating: [[9]]", "Rating: [[9]]", False),
        ("<think>a</think>b\n<think>[[3]]</think>c", "b\nc", False),
        ("<think>a</think>b\n<think>[[3]]", "b", True),
        ("Sure! <think>[[3]]</think> Nine.", "Sure!  Nine.", False),
    ],
)
def test_reasoning_is_taken_out_closed_or_cut(reply: str, text: str, unfinished: bool) -> None:
    assert spoken(reply) == (text, unfinished, True)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " as it stands\n",
        "It never closes its `<think>` tag: [[2]]",
        "It has a stray </think> in the middle: [[3]]",
        'The "<think>" mark is missing. [[3]]',
        "It opens with <think> and goes on. [[3]]",
        "analysis of the answer: [[3]]",
        "if a < b then [c]",
    ],
)
def test_a_reply_that_only_speaks_of_it_stays(reply: str) -> None:
    assert spoken(reply) == (reply, False, False)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("<think>hm</think>\n\nHere you go.", "Here you go."),
        ("hm\n</think>\n\nHere you go.", "Here you go."),
        ("<think>hm", ""),
        ("Wrap it:\n<think>\nlike this\n</think>\nDone.", "Wrap it:\n<think>\nlike this\n</think>\nDone."),
        ("<think>hm</think>Wrap it:\n<think>x</think>", "Wrap it:\n<think>x</think>"),
        ("analysisHmassistantfinalHi", "Hi"),
        (" plain ", " plain "),
    ],
)
def test_a_candidates_answer_loses_the_reasoning_it_begins_with(reply: str, text: str) -> None:
    assert answered(reply).text == text


PLAIN = st.text(st.characters(exclude_characters="<[◁"))


@given(PLAIN, PLAIN)
def test_nothing_of_a_closed_block_is_said(thought: str, said: str) -> None:
    assert spoken(f"<think>{thought}</think>\n{said}").text == said.strip()
    assert answered(f"<think>{thought}</think>\n{said}").text == said.strip()
    assert spoken(f"<think>{thought}").text == ""


@given(st.text(st.sampled_from("<>/think[]◁▷| \n`")))
def test_any_text_is_told_apart(reply: str) -> None:
    for found in (spoken(reply), answered(reply)):
        assert found.reasoned or found.text == reply


@pytest.mark.parametrize(
    ("tokens", "answer", "start"),
    [
        (["A"], "A", 0),
        ([" A"], "A", 0),
        (["\u2581A"], "A", 0),
        (["A", "<|im_end|>"], "A", 0),
        (["A", ""], "A", 0),
        (["Okay", ".", "\n\n", "A", "\n"], "A", 3),
        (["The", " answer", " is", " B"], "The answer is B", 0),
        (["The", " answer", " is", " B"], "A", None),
        (["Okay"], "A", None),
        ([], "A", None),
        (["A"], "", None),
        (["**", "A", "**"], "**A**", 1),
        (["<think>", "B?", "</think>", "\n\n", "A", "</s>"], "<think>B?</think>\n\nA", 4),
        (["Hm", "A"], "A", 1),
    ],
)
def test_where_an_answer_begins(tokens: list[str], answer: str, start: int | None) -> None:
    assert answer_start(tokens, answer) == start
