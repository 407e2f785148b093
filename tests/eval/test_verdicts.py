"""Readers of judges' replies: every quirk by hand, and properties over any text."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.verdicts import FAILED, read_choice, read_rating

UNREAD = None


@pytest.mark.parametrize(
    ("reply", "last", "fastchat"),
    [
        ("Clear and right. Rating: [[7]]", 7, 7),
        ("Draft [[7]], on second thought [[5]]", 5, 7),
        ("see [1] and also [6]", 6, 1),
        ("Rating: [6.5]", 6.5, 6.5),
        ("Rating: [[7/10]]", 7, UNREAD),
        ("Rating: [[7]]/10", 7, 7),
        ("Rating: [[3/5]]", UNREAD, UNREAD),
        ("Rating: [[3]] / 5", UNREAD, 3),
        ("[[4]] out of 5", UNREAD, 4),
        ("Rating: [[4 out of 5]]", UNREAD, UNREAD),
        ("Rating: [[4]] (out of 5 stars)", UNREAD, 4),
        ("Rating: [[4]], on a scale of 1 to 5", 4, 4),
        ("Rating: [[4]] on a scale of 1 to 5", UNREAD, 4),
        ("Rating: [[4]] on a scale from 1 to 10", 4, 4),
        ("Rating: [[8]] out of 10", 8, 8),
        ("[[4]] out of five", UNREAD, 4),
        ("Rating: [[4]] of 5", UNREAD, 4),
        ("Rating: [[4]] on a 5-point scale", UNREAD, 4),
        ("Rating: [[4]]\uff08\u6ee1\u52065\u5206\uff09", UNREAD, 4),
        ("[[9]] out of ten", 9, 9),
        ("[[7]] to [[8]]", UNREAD, 7),
        ("Rating: [[7]]-[[8]]", UNREAD, 7),
        ("- [[7]]\n- [[8]]", 8, 7),
        ("Rating: [[9]]\nConfidence: [[3]]", 9, 9),
        ("Rating: [[9]]. Had it been wrong, I'd have said [[2]].", 9, 9),
        ("A [[6]] rather than a [[7]], since a step is missing.", 6, 6),
        ("Rating: [[08]]", 8, UNREAD),
        ("Rating: [[8.]]", 8, 8),
        ("Rating: [[ 8 ]]", 8, UNREAD),
        ("[[Rating: 8]]", 8, UNREAD),
        ("Rating: [[0]]", UNREAD, 0),
        ("Rating: [[11]]", UNREAD, 11),
        ("Rating: [[-3]]", UNREAD, UNREAD),
        ("First [[5]]. Finally [[50]]", UNREAD, 5),
        ("I write [[rating]] as told: [[4]]", 4, 4),
        ("I write [[rating]] as told: [4]", 4, 4),
        ("see [1], so [[N/A]]", UNREAD, 1),
        ("[[7-8]]", UNREAD, UNREAD),
        ("[[7]] or [[8]]", UNREAD, 7),
        ("[[7]] or [[7]]", 7, 7),
        ("`a[1] = b[2]` fails", UNREAD, 1),
        ("look at [1](http://x)", UNREAD, 1),
        ("rows [[1, 2], [3, 4]]", UNREAD, UNREAD),
        ("7", UNREAD, UNREAD),
        ("[[nan]] [[inf]]", UNREAD, UNREAD),
        ("I cannot judge this.", UNREAD, UNREAD),
        ("[[\u0667]]", UNREAD, UNREAD),
        ("Rating: [[8]]. A perfect answer would have earned [[10]].", 8, 8),
        ("Rating: [[8]]. For example, an answer with sources gets [[10]]", 8, 8),
        ("Rating: [[8]]. Compare that with [[9]] for the other one.", 8, 8),
        ("Rating: [[8]]\n\n(A [[3]] is for wrong answers.)", 8, 8),
        ("If it had cited sources, [[9]]. So: [[7]]", 7, 9),
        ("Rating: [[8]], it would have been better with sources", 8, 8),
        ("[[7]] for style. Rating: [[8]], it would have been better with sources.", 8, 7),
        ("I would give this a [[7]]", 7, 7),
        ("Rating: [[6]] at first.\n\n**[[5]]**\n\nThat is my view.", 5, 6),
        ("<think>First: [[3]]. no.</think>\n\nGood. Rating: [[9]]", 9, 9),
        ("<think>A first draft would be [[3]].</think>\n\nI rate it nine out of ten.", UNREAD, UNREAD),
        ("<think>Rating: [[3]]. But wait", UNREAD, UNREAD),
        ("", UNREAD, UNREAD),
        ("  \n", UNREAD, UNREAD),
        (FAILED, UNREAD, UNREAD),
    ],
)
def test_ratings_by_hand(reply, last, fastchat):
    for parser, expected in (("last", last), ("fastchat", fastchat)):
        rating = read_rating(reply, parser)
        assert rating.score == expected, parser
        assert (rating.error is None) == (expected is not None)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Rating: [[11]]", "off the scale 1 to 10"),
        ("Rating: [[3/5]]", "out of 5"),
        ("[[7]] or [[8]]", "undecided between 7 and 8"),
        ("[[4]] out of 5", "out of 5"),
        ("<think>Rating: [[3]]. But wait", "ends in its reasoning"),
        ("<think>[[3]]</think>", "nothing but reasoning"),
        ("so [[N/A]]", r"no number in '\[\[N/A\]\]'"),
        ("It is good.", r"no \[\[rating\]\]"),
        ("", "empty"),
        (FAILED, "call failed"),
    ],
)
def test_an_unread_rating_says_why(reply, reason):
    assert re.search(reason, read_rating(reply).error)


def test_where_fastchat_itself_would_stop_the_reader_says_so():
    assert "FastChat stops at '[[08]]'" in read_rating("[[08]]", "fastchat").error
    assert read_rating("[[" + "9" * 5000 + "]]", "fastchat").score is None


@pytest.mark.parametrize(
    ("reply", "last", "fastchat"),
    [
        ("A is clearer. [[A]]", "A", "A"),
        ("[[B]]", "B", "B"),
        ("Neither. [[C]]", "tie", "tie"),
        ("I lean to [[A]], but it is wrong: [[B]]", "B", "A"),
        ("[[C]] at first; then [[B]]", "B", "B"),
        ("My verdict: [[A]]. If B had cited sources, [[B]] would win.", "A", "A"),
        ("Final verdict: [[B]], rather than [[A]]", "B", "A"),
        ("<think>A looks better, [[A]], but let me check whether B", UNREAD, UNREAD),
        ("<think>[[A]]?</think>So [[B]]", "B", "B"),
        ("[[ B ]]", "B", UNREAD),
        ("[[A]] or [[B]]", UNREAD, "A"),
        ("[[B]] rather than [[A]]", "B", "A"),
        ("[[B]], not [[A]]", "B", "A"),
        ("Neither [[A]] nor [[B]] \u2014 [[C]]", "tie", "A"),
        ('Say "[[A]]" or "[[B]]"', UNREAD, "A"),
        ("[A]", UNREAD, UNREAD),
        ("[[a]]", UNREAD, UNREAD),
        ("[[D]]", UNREAD, UNREAD),
        ("Tie.", UNREAD, UNREAD),
        ("", UNREAD, UNREAD),
        (FAILED, UNREAD, UNREAD),
    ],
)
def test_choices_by_hand(reply, last, fastchat):
    for parser, expected in (("last", last), ("fastchat", fastchat)):
        preference = read_choice(reply, parser)
        assert preference.winner == expected, parser
        assert (preference.error is None) == (expected is not None)


BRACKETS = st.text(st.sampled_from("[]ABC0189./-, orN\n"), max_size=60)


@given(st.one_of(st.text(max_size=80), BRACKETS), st.sampled_from(["last", "fastchat"]))
def test_any_text_gives_a_value_or_a_reason(text, parser):
    rating, preference = read_rating(text, parser), read_choice(text, parser)
    assert (rating.score is None) != (rating.error is None)
    assert (preference.winner is None) != (preference.error is None)
    if parser == "last" and rating.score is not None:
        assert 1 <= rating.score <= 10


@given(BRACKETS, st.integers(1, 10))
def test_the_last_rating_wins_whatever_stands_before(text, score):
    assert read_rating(f"{text}\nIn the end: [[{score}]]").score == score


@given(BRACKETS, st.sampled_from("ABC"))
def test_the_last_choice_wins_whatever_stands_before(text, choice):
    assert read_choice(f"{text}\nIn the end: [[{choice}]]").winner == {"C": "tie"}.get(choice, choice)


@given(st.one_of(st.integers(-100, 0), st.integers(11, 10**12)), BRACKETS)
def test_off_the_scale_is_never_a_rating(score, text):
    assert read_rating(f"{text}\nIn the end: [[{score}]]").score is None


@given(st.text(st.characters(exclude_characters="[]"), max_size=80))
def test_without_brackets_there_is_no_verdict(text):
    assert read_rating(text).score is None and read_choice(text).winner is None


def test_a_hostile_reply_is_read_in_no_time():
    read_rating("[" * 50_000 + "]" * 50_000)
    read_rating("[[1" * 30_000)


def test_both_readers_agree_with_published_judgments(shared):
    """FastChat's own scores come out; ours differs only where GPT-4 wrote a 0."""
    differing = []
    for path in sorted((shared / "assets/judgments").glob("mt_bench_single_*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            fastchat, ours = (
                read_rating(row["judgment"], "fastchat").score,
                read_rating(row["judgment"]).score,
            )
            assert (-1 if fastchat is None else fastchat) == row["score"]
            if fastchat != ours:
                differing.append((fastchat, ours))
    assert differing == [(0, None)]
