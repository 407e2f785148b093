"""Two orders, one result: the combination table, rates by hand, and published review files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from eval.judge import Comparison, ReferenceJudge, Verdict
from eval.pairwise import (
    Judged,
    combine,
    compare,
    first_position_rate,
    longer_wins,
    read_reviews,
    summarise,
    swap_consistency,
    tally,
    winning_score,
)
from tacos.errors import TacosError

SHARED = Path(os.environ.get("TACOS_SHARED", Path(__file__).parents[3] / "shared"))
ASSETS = Path(os.environ.get("TACOS_ASSETS", SHARED / "assets"))
UNREAD = Verdict(error="unread")


def verdict(a: float, b: float, a_first: bool = True) -> Verdict:
    return Verdict(score_1=a, score_2=b) if a_first else Verdict(score_1=b, score_2=a)


GRADES = {"win": (8, 5), "tie": (6, 6), "lose": (5, 8)}


def orders(first: str, second: str) -> tuple[Verdict, Verdict]:
    return verdict(*GRADES[first]), verdict(*GRADES[second], a_first=False)


def judged(first: str, second: str, length_a: int = 10, length_b: int = 20) -> Judged:
    order_1, order_2 = orders(first, second)
    result = combine(order_1, order_2)
    return Judged(order_1=order_1, order_2=order_2, result=result, length_a=length_a, length_b=length_b)


@pytest.mark.parametrize(
    ("pair", "lenient", "strict"),
    [
        (("win", "win"), "win", "win"),
        (("win", "tie"), "win", "tie"),
        (("win", "lose"), "tie", "tie"),
        (("tie", "tie"), "tie", "tie"),
        (("tie", "lose"), "lose", "tie"),
        (("lose", "lose"), "lose", "lose"),
    ],
)
def test_combination_table(pair, lenient, strict):
    for first, second in (pair, pair[::-1]):
        assert combine(*orders(first, second)) == lenient
        assert combine(*orders(first, second), rule="strict") == strict


def test_an_unread_order_is_counted_or_ties_by_option():
    won = verdict(8, 5)
    for pair in ((won, UNREAD), (UNREAD, verdict(8, 5, a_first=False)), (UNREAD, UNREAD)):
        assert combine(*pair) == combine(*pair, rule="strict") == "unparsed"
    assert combine(won, UNREAD, unparsed="tie") == "win"
    assert combine(won, UNREAD, rule="strict", unparsed="tie") == "tie"
    assert combine(UNREAD, UNREAD, unparsed="tie") == "tie"


def test_tally_and_winning_score_by_hand():
    unread = Judged(order_1=UNREAD, order_2=UNREAD, result="unparsed", length_a=1, length_b=2)
    rows = [judged("win", "win"), judged("win", "tie"), judged("tie", "tie"), judged("lose", "lose"), unread]
    assert tally(rows).model_dump() == {"win": 2, "tie": 1, "lose": 1, "unparsed": 1, "n": 4}
    score = winning_score(rows)
    assert score is not None and (score.mean, score.n) == (1.25, 4)
    assert 0 <= score.low <= score.mean <= score.high <= 2


def test_nothing_judged_has_no_score_and_counts_the_unparsed():
    rows = [Judged(order_1=UNREAD, order_2=UNREAD, result="unparsed", length_a=1, length_b=2)]
    summary = summarise(rows * 3, "random")
    assert (summary.win, summary.tie, summary.lose, summary.unparsed) == (0, 0, 0, 3)
    assert summary.winning_score is None and winning_score([]) is None


def test_longer_wins_by_hand():
    rows = [
        judged("win", "win", 30, 20),
        judged("lose", "lose", 10, 20),
        judged("win", "win", 10, 20),
        judged("win", "win", 20, 20),
        judged("tie", "tie", 10, 20),
    ]
    assert longer_wins(rows) == pytest.approx(2 / 3)
    assert longer_wins(rows[3:]) is None


def test_position_and_consistency_by_hand():
    """win+lose prefers the first both times; win+win prefers the first once; lose+win never does."""
    rows = [judged("win", "lose"), judged("win", "win"), judged("lose", "win"), judged("tie", "tie")]
    assert first_position_rate(rows) == 3 / 6
    assert swap_consistency(rows) == 2 / 4
    assert first_position_rate(rows[3:]) is None and swap_consistency([]) is None


class FirstIsBest:
    """A judge with nothing but position bias."""

    name, embedded = "first", True

    def __init__(self):
        self.calls = 0

    def judge(self, items):
        self.calls += 1
        return [Verdict(score_1=9, score_2=2) for _ in items]


ITEMS = [
    Comparison(question="q", answer_1="It is 7.", answer_2="It is 8.", answer="7", reference="It is 7."),
    Comparison(question="q", answer_1="No.", answer_2="So 7", answer="7", reference="It is 7."),
    Comparison(question="q", answer_1="7", answer_2="7", answer="7"),
    Comparison(question="q", answer_1="a", answer_2="b"),
]


def test_position_bias_cancels_in_one_call():
    judge = FirstIsBest()
    rows = compare(judge, ITEMS)
    assert [r.result for r in rows] == ["tie"] * 4 and judge.calls == 1
    assert first_position_rate(rows) == 1.0 and swap_consistency(rows) == 0.0


def test_compare_with_the_reference_judge():
    rows = compare(ReferenceJudge(), ITEMS)
    assert [r.result for r in rows] == ["win", "lose", "tie", "unparsed"]
    assert [(r.length_a, r.length_b) for r in rows[:2]] == [(8, 8), (3, 4)]
    summary = summarise(rows, "random")
    assert (summary.win, summary.tie, summary.lose, summary.unparsed) == (1, 1, 1, 1)
    assert summary.winning_score.mean == 1 and summary.opponent == "random"
    assert summary.longer_wins == 1.0


def review(scores: object, reverse: object) -> dict:
    return {"Answer1": "aa", "Answer2": "b", "review": "x", "scores": scores, "scores_reverse": reverse}


def test_review_files(tmp_path):
    rows = [review("[9, 8]", "[7, 9]"), review([9, 8], [9, 7]), review("[-1, -1]", "[7, 9]")]
    for content in (rows, {"Meta_Info": {}, "data": rows}):
        path = tmp_path / "reviews.json"
        path.write_text(json.dumps(content))
        read = read_reviews(path)
        assert [r.result for r in read] == ["win", "tie", "unparsed"]
        assert read[2].order_1.error and read[2].order_2.parsed
        assert [r.result for r in read_reviews(path, unparsed="tie")] == ["win", "tie", "win"]


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"scores": "x"}]', "3"])
def test_a_file_that_holds_no_reviews_is_named(tmp_path, text):
    path = tmp_path / "reviews.json"
    path.write_text(text)
    with pytest.raises(TacosError, match=r"reviews\.json is no review file"):
        read_reviews(path)
    with pytest.raises(TacosError, match="no review file"):
        read_reviews(tmp_path / "absent.json")


@pytest.mark.skipif(not (ASSETS / "judgments").is_dir(), reason="needs TACOS_ASSETS")
@pytest.mark.parametrize(
    ("name", "expected", "score"), [("vicuna", (44, 15, 21), 1.2875), ("koala", (85, 36, 59), 1 + 26 / 180)]
)
def test_published_counts(name, expected, score):
    rows = read_reviews(ASSETS / f"judgments/pairwise_reviews_{name}_gpt4.json")
    summary = summarise(rows, "published")
    assert (summary.win, summary.tie, summary.lose) == expected and summary.unparsed == 0
    assert summary.winning_score.mean == pytest.approx(score)
    assert summary.winning_score.low < score < summary.winning_score.high
