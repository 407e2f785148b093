"""Two orders, one result: the combination table, rates by hand, and published review files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.pairwise.five_sets import SETS, OutputFile, known_set, match, read_outputs, set_file
from eval.pairwise.judging import review
from eval.pairwise.reviews import ReviewFile, read_reviews, write_reviews
from eval.pairwise.rules import (
    first_position_rate,
    longer_wins,
    swap_consistency,
    tally,
    winning_score,
)
from eval.pairwise.score import score_reviews
from eval.questions import read_questions
from tacos.answering.judge import Comparison, LLMJudge, ReferenceJudge, Verdict
from tacos.answering.orders import Judged, combine, compare
from tacos.assets import PINNED
from tacos.errors import ConfigError, TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.types import Question

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
    counts = tally(rows * 3)
    assert (counts.win, counts.tie, counts.lose, counts.unparsed) == (0, 0, 0, 3)
    assert winning_score(rows * 3) is None and winning_score([]) is None


def test_longer_wins_by_hand():
    rows = [
        judged("win", "win", 30, 20),
        judged("lose", "lose", 10, 20),
        judged("win", "win", 10, 20),
        judged("win", "win", 20, 20),
        judged("tie", "tie", 10, 20),
    ]
    assert longer_wins(rows).mean == pytest.approx(2 / 3)
    assert longer_wins(rows[3:]) is None


def test_position_and_consistency_by_hand():
    """win+lose prefers the first both times; win+win prefers the first once; lose+win never does."""
    rows = [judged("win", "lose"), judged("win", "win"), judged("lose", "win"), judged("tie", "tie")]
    assert first_position_rate(rows).mean == 3 / 6
    assert swap_consistency(rows).mean == 2 / 4
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
    assert first_position_rate(rows).mean == 1.0 and swap_consistency(rows).mean == 0.0


def test_compare_with_the_reference_judge():
    rows = compare(ReferenceJudge(), ITEMS)
    assert [r.result for r in rows] == ["win", "lose", "tie", "unparsed"]
    assert [(r.length_a, r.length_b) for r in rows[:2]] == [(8, 8), (3, 4)]
    counts, score = tally(rows), winning_score(rows)
    assert (counts.win, counts.tie, counts.lose, counts.unparsed) == (1, 1, 1, 1)
    assert score is not None and score.mean == 1 and longer_wins(rows).mean == 1.0


def row(number: int, scores: object = "[9, 8]", reverse: object = "[7, 9]", **more: object) -> dict:
    """A review that A wins by 9 : 8 and 9 : 7, unless told otherwise."""
    texts = {"prompt": f"Question {number}?", "Answer1": f"one {number}", "Answer2": "two"}
    return texts | {"review": "x", "scores": scores, "scores_reverse": reverse} | more


def reviews(tmp_path: Path, rows: list, name: str = "mine.json", **meta: object) -> ReviewFile:
    path = tmp_path / name
    path.write_text(json.dumps({"Meta_Info": meta, "data": rows}))
    return read_reviews(path)


def results(file: ReviewFile, **settings) -> list[str]:
    return [item.judged(**settings).result for item in file.reviews]


def test_an_object_a_list_and_lines_read_the_same(tmp_path):
    rows = [row(1), row(2, [9, 8], [9, 7]), row(3, "[-1, -1]")]
    read = [reviews(tmp_path, rows)]
    for name, text in {"a.json": json.dumps(rows), "b.jsonl": "\n".join(map(json.dumps, rows))}.items():
        (tmp_path / name).write_text(text)
        read.append(read_reviews(tmp_path / name))
    assert read[0].reviews == read[1].reviews == read[2].reviews and not read[0].bad
    assert results(read[0]) == ["win", "tie", "unparsed"]
    assert results(read[0], unparsed="tie") == ["win", "tie", "win"]
    assert results(read[0], rule="strict") == ["win", "tie", "unparsed"]
    assert read[0].reviews[2].order_1.error and read[0].reviews[2].order_2.parsed


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ("[-1, -1]", "not read"),
        ([-1.0, -1.0], "not read"),
        ("[nan, 8]", "nan"),
        ([float("nan"), 8], "off the scale"),
        ("[9, 80]", "off the scale"),
        ("[9, -1]", "off the scale"),
        ("[9]", "scores"),
        ("9 8", "scores"),
        ('["9", "8"]', "scores"),
        ([True, 8], "scores"),
        ({"a": 1}, "scores"),
        (None, "no scores for this order"),
        ("__import__('os')", "scores"),
    ],
)
def test_scores_that_are_none_leave_the_question_unparsed_with_a_reason(tmp_path, scores, reason):
    file = reviews(tmp_path, [row(1), row(2, scores)])
    assert results(file) == ["win", "unparsed"]
    assert reason in file.reviews[1].order_1.error
    score = score_reviews([file]).sets["mine"]
    assert (score.n, score.unparsed, score.complete) == (1, 1, False)
    assert reason in score.notes[0] and score.winning_score.mean == 2.0


def test_a_zero_is_a_grade_and_a_missing_order_is_none(tmp_path):
    one_order = {key: value for key, value in row(2).items() if key != "scores_reverse"}
    file = reviews(tmp_path, [row(1, [0, 4], [4, 0]), one_order])
    assert results(file) == ["lose", "unparsed"]


@given(st.one_of(st.text(), st.lists(st.floats()), st.none(), st.integers()), st.text())
def test_whatever_the_scores_are_a_verdict_is_whole_or_explained(tmp_path_factory, scores, reply):
    path = tmp_path_factory.mktemp("reviews") / "r.json"
    path.write_text(json.dumps([row(1, scores, review=reply)]))
    verdict = read_reviews(path).reviews[0].order_1
    assert verdict.parsed == (verdict.error is None)
    if verdict.parsed:
        assert 0 <= verdict.score_1 <= 10 and 0 <= verdict.score_2 <= 10


def test_a_file_cut_in_the_middle_keeps_its_whole_rows(tmp_path):
    whole = json.dumps(
        {"Meta_Info": {"dataset_name": "vicuna"}, "data": [row(i) for i in range(9)]}, indent=1
    )
    path = tmp_path / "cut.json"
    for end in range(whole.index('"data"') + 9, len(whole) - 4, 29):
        path.write_text(whole[:end])
        complete = whole[:end].count("\n  }")
        if not complete:
            continue
        file = read_reviews(path)
        assert len(file.reviews) == complete and len(file.bad) == 1 and file.set_name == "vicuna"
        assert "cut off" in file.bad[0].reason and file.bad[0].line in (5 + 8 * complete, 6 + 8 * complete)
    score = score_reviews([file]).sets["vicuna"]
    assert (score.n, score.bad, score.expected, score.missing) == (complete, 1, 80, 80 - complete)
    assert "cut.json line" in score.notes[0] and not score.complete


def test_rows_that_are_no_reviews_are_counted_with_line_and_reason(tmp_path):
    path = tmp_path / "lines.jsonl"
    odd = row(4, Answer1=None, instances={"input": "no list"})
    bad = [{"scores": "[1, 2]"}, {k: v for k, v in row(2).items() if k != "prompt"}, 3, odd]
    path.write_text("\n".join(map(json.dumps, [row(1), *bad])) + '\n{"prompt": "torn')
    file = read_reviews(path)
    assert [b.line for b in file.bad] == [2, 3, 4, 5, 6]
    reasons = " | ".join(b.reason for b in file.bad)
    for part in ("no Answer1, Answer2, question", "no question", "found int", "no Answer1", "cut off"):
        assert part in reasons
    score = score_reviews([file]).sets["lines"]
    assert (score.n, score.bad, score.expected, score.missing) == (1, 5, None, None)
    assert score.coverage == 1 / 6


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[1]", '[{"scores": "x"}]', "3", '{"data": 7}', '{"data": []}']
)
def test_a_file_that_holds_no_reviews_is_named(tmp_path, text):
    path = tmp_path / "reviews.json"
    path.write_text(text)
    with pytest.raises(TacosError, match=r"reviews\.json is not a review file"):
        read_reviews(path)
    with pytest.raises(TacosError, match="cannot read"):
        read_reviews(tmp_path / "absent.json")


def test_the_first_review_of_a_question_stands(tmp_path):
    file = reviews(tmp_path, [row(1), row(2), row(1, "[1, 9]", "[9, 1]"), row(2, Answer1="another")])
    score = score_reviews([file]).sets["mine"]
    assert (score.win, score.n, score.duplicate) == (2, 2, 2)
    assert any("1 of these hold other answers" in note for note in score.notes)


def test_wizardlm_asks_two_texts_twice(tmp_path):
    """218 questions, 216 texts: without the set's file, two repeats are questions and a third is none."""
    rows = [row(1), row(1, review="y"), row(2), row(2, review="y"), row(1, review="z"), row(1)]
    score = score_reviews([reviews(tmp_path, rows, dataset_name="WizardLM")]).sets["wizardlm"]
    assert (score.n, score.duplicate, score.missing) == (4, 2, 214)
    assert score_reviews([reviews(tmp_path, rows)]).sets["mine"].duplicate == 4


QUESTIONS = [Question(id=str(i), turns=(f"Question {i}?",)) for i in (1, 2, 3)]


def test_a_set_whose_questions_are_given_knows_what_is_missing_and_unknown(tmp_path):
    file = reviews(tmp_path, [row(1), row(7), row(3, prompt=" Question  3? ")])
    score = score_reviews([file], {"mine": QUESTIONS}).sets["mine"]
    assert (score.n, score.unknown, score.expected, score.missing) == (2, 1, 3, 1)
    with pytest.raises(TacosError, match="none of the 1 reviews"):
        score_reviews([reviews(tmp_path, [row(7)])], {"mine": QUESTIONS})


def test_sets_and_pooled_by_hand(tmp_path):
    """a: win, lose; b: win, tie. Pooled 2 / 1 / 1 of 4, winning score 1 + 1/4."""
    lost, tied = ("[1, 9]", "[9, 1]"), ("[5, 5]", "[5, 5]")
    a = reviews(tmp_path, [row(1), row(2, *lost)], "a.json")
    b = reviews(tmp_path, [row(1), row(2, *tied, Answer2="")], "b.json")
    scores = score_reviews([a, b])
    found = scores.as_json()
    assert {k: found["sets"]["a"][k] for k in ("win", "tie", "lose", "unparsed", "n")} == {
        "win": 1,
        "tie": 0,
        "lose": 1,
        "unparsed": 0,
        "n": 2,
    }
    pooled = found["pooled"]
    assert (pooled["win"], pooled["tie"], pooled["lose"], pooled["n"]) == (2, 1, 1, 4)
    assert pooled["winning_score"] == 1.25 and pooled["ci"][0] <= 1.25 <= pooled["ci"][1]
    assert pooled["expected"] is None and pooled["empty"] == 1
    assert [pooled[name]["mean"] for name in ("swap_consistency", "first_position", "longer_wins")] == [
        1.0,
        0.5,
        2 / 3,
    ]
    json.dumps(found, allow_nan=False)


def test_two_comparisons_of_one_set_are_not_pooled_but_parts_are(tmp_path):
    first, second = reviews(tmp_path, [row(1)], "koala_1.json"), reviews(tmp_path, [row(2)], "koala_2.json")
    assert score_reviews([first, second]).sets["koala"].n == 2
    with pytest.raises(TacosError, match="two comparisons"):
        score_reviews([first, first])
    with pytest.raises(TacosError, match="no review files"):
        score_reviews([])


def test_more_questions_than_a_set_has_are_no_complete_set(tmp_path):
    file = reviews(tmp_path, [row(i) for i in range(81)], dataset_name="vicuna")
    scores = score_reviews([file])
    score = scores.sets["vicuna"]
    assert (score.n, score.missing, score.coverage, score.complete) == (81, 0, 1.0, False)
    assert "81 different questions, where the set has 80" in score.notes[0] and scores.incomplete == [
        "vicuna"
    ]
    assert score_reviews([file], {"vicuna": QUESTIONS}).sets["vicuna"].unknown == 78


def test_nothing_parsed_has_no_score(tmp_path):
    score = score_reviews([reviews(tmp_path, [row(1, None)])])
    assert score.pooled.winning_score is None and score.pooled.coverage == 0
    assert score.as_json()["pooled"]["ci"] is None


def test_a_known_set_has_a_file_and_another_is_asked_for_one():
    assert set_file("CoachLM") == "test_sets/coachlm150.json"
    assert all(SETS[name].file in PINNED for name in SETS)
    with pytest.raises(ConfigError, match=r"'panda' is not a known .* --questions: did you mean 'pandalm'"):
        set_file("panda")


def test_set_names():
    assert known_set("pairwise_reviews_koala_gpt4") == "koala"
    assert known_set("Self-Instruct") == known_set("user_sinstruct") == "sinstruct"
    assert known_set("vicuna_and_koala") == "vicuna_and_koala" and known_set("mine") == "mine"
    assert known_set("climate_questions") == "climate_questions"  # holds lima, inside a word


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def test_answers_in_every_form(tmp_path):
    path = lines(
        tmp_path / "a.jsonl",
        {"question_id": 1, "model_id": "m", "choices": [{"index": 0, "turns": ["first", "second"]}]},
        {"instruction": "Question  2?", "output": "two", "generator": "m"},
        {"question_id": "3", "model": "m", "turns": [""]},
        {"question_id": 3, "answer_id": "x", "model_id": "m", "text": "older"},
        {"question_id": 9, "model_id": "m", "text": "who asked?"},
        {"prompt": "Question 4?", "response": "unknown"},
        {"output": "of nothing"},
        {"question_id": 4, "output": None},
        "[7]",
        '{"question_id": 4, "out',
    )
    answers = read_outputs(path)
    assert answers.model == "m" and [b.line for b in answers.bad] == [7, 8, 9, 10]
    matched = match(QUESTIONS, answers)
    assert matched.outputs == {"1": "first", "2": "two", "3": ""} and matched.missing == []
    assert (matched.duplicate, matched.unknown, matched.empty) == (1, 2, 1)


def test_a_text_asked_twice_is_answered_twice():
    questions = [
        Question(id=str(i), turns=(t,)) for i, t in enumerate(["Why?", "Why?", "How?\n\nLike this."])
    ]
    rows = [
        {"line": 1, "question": t, "output": str(i)}
        for i, t in enumerate(["Why? ", "why ?", "Why?", "How?", "Why?"])
    ]
    matched = match(questions, OutputFile(source="f", model="m", rows=rows))
    assert matched.outputs == {"0": "0", "1": "2", "2": "3"}
    assert (matched.duplicate, matched.unknown) == (1, 1)


def test_two_models_in_one_answer_file_are_told_apart(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", *({"question_id": i, "model": m, "output": m} for i in (1, 2) for m in "xy")
    )
    with pytest.raises(TacosError, match=r"2 models: x \(2\), y \(2\)"):
        read_outputs(path)
    assert match(QUESTIONS, read_outputs(path, "y")).outputs == {"1": "y", "2": "y"}
    with pytest.raises(TacosError, match="no answers of 'z'"):
        read_outputs(path, "z")
    with pytest.raises(TacosError, match=r"empty\.jsonl holds no answers"):
        read_outputs(lines(tmp_path / "empty.jsonl"))


def answers_of(tmp_path: Path, name: str, outputs: dict[int, str]):
    return read_outputs(
        lines(tmp_path / name, *({"question_id": i, "output": o} for i, o in outputs.items()))
    )


def judge_by_reply(request):
    """Likes "good" by 9 : 3, refuses whatever is asked about question 2."""
    prompt = request.messages[-1].content
    if "Question 2?" in prompt:
        return "I'm sorry, I cannot judge that."
    first = prompt.index("good") < prompt.index("poor")
    return json.dumps({"score_1": 9 if first else 3, "score_2": 3 if first else 9})


def test_answers_in_reviews_out_and_back(tmp_path):
    a = answers_of(tmp_path, "a.jsonl", {1: "good", 2: "good", 3: "good"})
    b = answers_of(tmp_path, "b.jsonl", {1: "poor", 2: "poor", 8: "poor"})
    llm = ScriptedLLM(judge_by_reply)
    run = review(LLMJudge(llm), "koala", QUESTIONS, a, b)
    assert llm.calls == 4 + 2  # two unreadable replies are asked for again
    assert run.missing == ["3"] and run.matched_b.unknown == 1
    path = tmp_path / "out.json"
    write_reviews(path, run.file)
    back = read_reviews(path)
    assert back.reviews == run.file.reviews
    assert (back.set_name, back.model_a, back.model_b, back.judge) == (
        "koala",
        "a",
        "b",
        "LLM judge (scripted)",
    )
    content = json.loads(path.read_text())
    assert (
        content["data"][0]["scores"] == "[9.0, 3.0]" and content["data"][0]["scores_reverse"] == "[3.0, 9.0]"
    )
    assert content["data"][1]["scores"] == "[-1.0, -1.0]" and "sorry" in content["data"][1]["review"]
    assert content["Meta_Info"]["average_scores"] == "[9.0, 3.0]"
    score = score_reviews([back], {"koala": QUESTIONS}).sets["koala"]
    assert (score.win, score.n, score.unparsed, score.missing) == (1, 1, 1, 1)
    reason = "orders unparsed: unreadable reply, asked 2 times: no score"
    assert any(reason in note for note in score.notes)


def test_answers_to_another_set_are_refused(tmp_path):
    a, b = answers_of(tmp_path, "a.jsonl", {1: "x"}), answers_of(tmp_path, "b.jsonl", {2: "y"})
    with pytest.raises(TacosError, match=r"no question of 'koala' is answered in both"):
        review(ReferenceJudge(), "koala", QUESTIONS, a, b)


@pytest.mark.parametrize("name", SETS)
def test_the_known_sets(shared, name):
    questions = read_questions(shared / "assets" / SETS[name].file)
    texts = {" ".join(q.turns[0].split()) for q in questions}
    assert (len(questions), len(texts)) == (SETS[name].questions, SETS[name].distinct)
    rows = [{"line": 1, "question": q.turns[0], "output": q.id} for q in questions]
    matched = match(questions, OutputFile(source="f", model="m", rows=rows))
    assert len(matched.outputs) == len(questions) and not matched.missing and not matched.duplicate


@pytest.mark.parametrize("name", ["pandalm", "coachlm"])
def test_rows_in_a_sets_own_form_are_matched_by_text(shared, tmp_path, name):
    path = shared / "assets" / SETS[name].file
    rows = [{**row, "output": "x"} for row in json.loads(path.read_text())]
    matched = match(read_questions(path), read_outputs(lines(tmp_path / "answers.jsonl", *rows)))
    assert len(matched.outputs) == len(rows) and not matched.unknown


PUBLISHED = {"vicuna": ((44, 15, 21), 1.2875), "koala": ((85, 36, 59), 1 + 26 / 180)}


def test_published_counts(shared, tmp_path):
    files = [read_reviews(shared / f"assets/judgments/pairwise_reviews_{n}_gpt4.json") for n in PUBLISHED]
    questions = {n: read_questions(shared / f"assets/test_sets/{n}.jsonl") for n in PUBLISHED}
    for known in (None, questions):
        scores = score_reviews(files, known)
        for name, (counts, winning) in PUBLISHED.items():
            score = scores.sets[name]
            assert (score.win, score.tie, score.lose) == counts and score.unparsed == 0
            assert score.winning_score.mean == pytest.approx(winning)
            assert (score.expected, score.missing, score.complete) == (sum(counts), 0, True)
            assert (score.duplicate, score.unknown, score.bad, score.notes) == (0, 0, 0, [])
        pooled = scores.pooled
        assert (pooled.win, pooled.tie, pooled.lose, pooled.n) == (129, 51, 80, 260)
        assert pooled.winning_score.low < 1 + 49 / 260 < pooled.winning_score.high
    for file in files:
        write_reviews(tmp_path / "again.json", file)
        assert read_reviews(tmp_path / "again.json").reviews == file.reviews
