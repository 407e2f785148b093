"""Words, sentences and pieces in several scripts, and the rule for "this reply gives that answer"."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.text import (
    comparable,
    ends_finished,
    exact_match,
    is_spaceless,
    join_pieces,
    normalize,
    phrases,
    pieces,
    sentences,
    tokens,
    words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, x_2!", ["Don", "t", "stop", "x_2"]),
        ("na\u00efve x\u00b2", ["na\u00efve", "x\u00b2"]),
        ("मैला क्या है?", ["मैला", "क्या", "है"]),  # vowel signs belong to their letter
        ("هَذَا كِتَاب", ["هَذَا", "كِتَاب"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),  # a joiner inside a word
        ("한국어 문장", ["한국어", "문장"]),
        ("长城很长", ["长", "城", "很", "长"]),
        ("ラーメン", ["ラ", "ー", "メ", "ン"]),
        ("ข้าว", ["ข้", "า", "ว"]),  # the tone mark stays on its consonant
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("用Python写2行", ["用", "Python", "写", "2", "行"]),
        ("?! \u2764\ufe0f", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_tokens_keep_single_marks():
    assert tokens("12 + 7.") == ["12", "+", "7", "."]
    assert tokens("好，是。") == ["好", "，", "是", "。"]
    assert tokens("मेला?") == ["मेला", "?"]


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_text_is_split_as_ever(text):
    assert words(text) == re.findall(r"\w+", text)
    assert tokens(text) == re.findall(r"\w+|[^\w\s]", text)


@given(st.text(st.sampled_from("ab .,\n!?我们。，ข้C1मै\u200d\u00e9\u2019"), max_size=12))
def test_the_pieces_joined_are_the_text(text):
    assert "".join(pieces(text)) == text
    assert join_pieces(pieces(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two?\nThree", ["One.", "Two?", "Three"]),
        ("很好！然后呢？他说：“好。”对", ["很好！", "然后呢？", "他说：", "“好。”", "对"]),
        ("好!对", ["好!", "对"]),  # after NFKC
        ("यह एक है। दूसरा है॥", ["यह एक है।", "दूसरा है॥"]),
        ("ما هذا؟ كتاب.", ["ما هذا؟", "كتاب."]),
        ("v2.0 costs 3.5", ["v2.0 costs 3.5"]),
        (" \n ", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize("text", ["Yes.", "是的。", "是吗？", "है।", "نعم؟", "(a)", "他说“好”", "x:", "`y`"])
def test_a_finished_ending(text):
    assert ends_finished(text)


@pytest.mark.parametrize("text", ["and", "它不仅影响经济", "first,", "第一，", "है", ""])
def test_an_unfinished_ending(text):
    assert not ends_finished(text)


def test_pieces_in_another_order_are_spaced_as_their_scripts_are():
    assert join_pieces(["is ", "hot.", "Tea "]) == "is hot. Tea "
    assert join_pieces(["长。", "城"]) == "长。城"
    assert join_pieces(["A.", "B."]) == "A. B."
    assert join_pieces(["", "一。", "", "二。"]) == "一。二。"


def test_candidates_for_keyphrases():
    assert phrases("The top 3 Tea-shops", 2, {"the"}) == ["top", "tea-shops", "top tea-shops"]
    assert phrases("介绍长城", 1) == ["介绍", "绍长", "长城"]
    assert phrases("C 3rd मेला", 1) == ["मेला"]
    assert phrases("Learn C++, C# and i++3 a+b", 1, {"and"}) == ["learn", "c++", "c#"]
    assert "绍长城" in phrases("介绍长城", 2) and "介绍长城" in phrases("介绍长城", 2)


def test_scripts_without_spaces():
    assert [is_spaceless(w) for w in ("长", "ข้", "あ", "한국어", "मेला", "tea", "")] == [True] * 3 + [
        False
    ] * 4


def test_comparable_texts_differ_in_storage_only():
    assert comparable("cafe\u0301\r\n x") == "caf\u00e9\n x"
    assert comparable("Co ") != comparable("CO")


@pytest.mark.parametrize(
    ("reply", "answer", "expected"),
    [
        ("42", "42", True),
        ("So the total is **42**.", "42", True),
        ("The answer:\n 42 !", " 42.", True),
        ("It is RED", "red", True),
        ("cafe\u0301", "caf\u00e9", True),
        ('JSON: {"a": 1}', '{"a": 1}', True),
        ("It costs $14", "14", True),
        ("It is 142.", "42", False),
        ("It is infrared.", "red", False),
        ("It is twenty-one.", "one", False),
        ("The answer is 'odd'.", "odd", True),
        ("The items are a,\n b, c", "a, b, c", True),
        ("42 is the answer", "42", False),
        ("3.14", "14", False),
        ("1/14", "14", False),
        ("It is -14", "14", False),
        ("It is -14", "-14", True),
        ("答案是北京。", "北京", True),
        ("答案是42。", "42", True),
        ("答案是142。", "42", False),
        ("उत्तर दिल्ली है।", "है", True),
        ("यह मैला", "ला", False),  # a vowel sign before it is no boundary
        ("", "42", False),
        ("anything", "", False),
        ("anything", "...", False),
    ],
)
def test_exact_match(reply, answer, expected):
    assert exact_match(reply, answer) is expected


def test_normalize():
    assert normalize("  The  ANSWER\n is: Red!? ") == "the answer is: red"
    assert normalize("好的。") == "好的"
