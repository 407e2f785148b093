"""Reply parsers: hand-written replies as models write them, and properties over any text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.llm.parse import ParseError, Tag, parse_pair_scores, parse_score, parse_tags

TAG_LIST = (
    '[{"tag": "maths", "explanation": "It asks for a sum."}, {"tag": "code", "explanation": "Python."}]'
)
TAGS = [Tag(tag="maths", explanation="It asks for a sum."), Tag(tag="code", explanation="Python.")]


@pytest.mark.parametrize(
    "text",
    [
        TAG_LIST,
        f"```json\n{TAG_LIST}\n```",
        f"Sure! [Note] Here are the tags:\n\n```\n{TAG_LIST}\n```\nHope it helps [1].",
        f'{{"tags": {TAG_LIST}}}',
        TAG_LIST.replace("}]", "},]"),
        TAG_LIST.replace('"', "\u201d"),
        TAG_LIST.replace('"', "\u201c").replace("},", ",},"),
        TAG_LIST.replace('"tag"', '"Tag"'),
        TAG_LIST.strip("[]"),
        TAG_LIST.strip("[]").replace("}, ", "}\n"),
        TAG_LIST[:-1] + ', {"tag": "cut o',
        f'First idea: [{{"tag": "draft", "explanation": ""}}]. Better: {TAG_LIST}',
        TAG_LIST[:-1] + ', {"explanation": "no tag"}, {"tag": " "}]',
    ],
)
def test_tags(text: str) -> None:
    assert parse_tags(text) == TAGS


def test_a_single_tag_object() -> None:
    assert parse_tags('{"tag": " maths ", "explanation": "line\nbreak"}') == [
        Tag(tag="maths", explanation="line\nbreak")
    ]
    assert parse_tags('["maths", "code"]') == [Tag(tag="maths"), Tag(tag="code")]


def test_smart_quotes_inside_sound_json_stay() -> None:
    assert parse_tags('[{"tag": "a", "explanation": "the “word”"}]')[0].explanation == "the “word”"


@pytest.mark.parametrize(
    "text", ["", "I cannot do that.", "[]", "[1, 2]", "{}", '{"tag": 3}', "[[[", '["tag"']
)
def test_no_tags(text: str) -> None:
    with pytest.raises(ParseError):
        parse_tags(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"feedback": "ok", "score_1": 70, "score_2": 85}',
        '```json\n{"feedback": "ok", "score_1": 70, "score_2": 85,}\n```',
        '{"feedback": "a “b” c", "Score 1": "70/100", "Score 2": 85.0}',
        "{“feedback”: “ok”, “score_1”: 70, “score_2”: 85}",
        '{"feedback": "he said "hi" twice", "score_1": 70, "score_2": 85}',
        '{"result": {"feedback": "score 1: 3, score 2: 4", "score_1": 70, "score_2": 85}}',
        "Score: fine.\n**Score 1:** 70\n**Score 2:** 85.",
        "Score 1: 70/100, Score 2: 85/100",
        "score_1 = 70, score_2 = 85",
        "Score 1 is 70 out of 100 and score 2 is 85 out of 100",
        'Draft {"score_1": 1, "score_2": 2}, no: {"score_1": 70, "score_2": 85}',
        'Score 1: 1, Score 2: 2. Final:\n{"score_1": 70, "score_2": 85}',
        'Draft {"score_1": 1, "score_2": 2}. On reflection Score 1: 70, Score 2: 85',
        '<think>{"score_1": 500, "score_2": 2}</think>{"score_1": 70, "score_2": 85}',
        "Score_1: `70`, Score_2: `85`",
        "Score 1: 70\nIt has 3 errors.\nScore 2: 85",
        "Score 1: 10, no, Score 1: 70\nScore 2: 85",
        "{'score_1': 70, 'score_2': 85}",
        "70 85",
        "70, 85\n",
        "70 85\nThe first answer has 2 errors, the second 1.",
        "Both are fine; the second is clearer.\n\n70 85",
        "Score 1: [70], Score 2: [85]",
        "\u2018score_1\u2019: 70, \u2018score_2\u2019: 85",
        '{"score_1": 70, "score_2": 85}\n\nFor example, a wrong answer would get score 1: 5, score 2: 5.',
        'Score 1: 1, Score 2: 2 as a draft. So {"score_1": 70, "score_2": 85}, and that is final.',
        'The format is {"score_1": 1, "score_2": 2}. {"score_1": 70, "score_2": 85}',
        "Score 1: 70 (out of 100), Score 2: 85 (out of 100)",
    ],
)
def test_pair_scores(text: str) -> None:
    assert parse_pair_scores(text, 1, 100) == (70.0, 85.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no verdict",
        '{"score_1": 70}',
        '{"score_1": 70, "score_2": null}',
        '{"score_1": true, "score_2": 5}',
        '{"score_1": 0, "score_2": 85}',
        '{"score_1": 70, "score_2": 101}',
        '{"score_1": NaN, "score_2": 5}',
        '{"score_1": Infinity, "score_2": 5}',
        '{"score_1": 1' + "0" * 400 + ', "score_2": 5}',
        '{"score_1": 1' + "0" * 5000 + ', "score_2": 5}',
        '{"score_1": "7/10", "score_2": "8/10"}',
        '{"score_1": "7 out of 10", "score_2": "8 out of 10"}',
        "Score 1: 7 on a scale of 1 to 10, Score 2: 8 on a scale of 1 to 10",
        "Score 1: -70, Score 2: 85",
        "Score 1: 1,000, Score 2: 85",
        "Score 1: 7-8, Score 2: 8-9",
        'First {"score_1": 70, "score_2": 85}, finally {"score_1": 170, "score_2": 85}',
        "70 85 90",
        "70\n85",
        "The answers got 70 85 points.",
        "[" * 100_000,
        '{"a":' * 20_000,
    ],
)
def test_unreadable_pairs_raise(text: str) -> None:
    with pytest.raises(ParseError):
        parse_pair_scores(text, 1, 100)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"feedback": "x", "score": 4.5}', 4.5),
        ('{"rating": "4/5"}', 4.0),
        ("Score: 4.5/5", 4.5),
        ("**Rating:** 3", 3.0),
        ("Score\uff1a3", 3.0),
        ("Score: 3\nConfidence score: 5", 3.0),
        ("Score: 3\nE.g. score: 5 means perfect", 3.0),
        ("Score: 4 out of five", 4.0),
        ("Score: 4\n- 2 slips\n- 1 omission", 4.0),
        ("0", 0.0),
        ("4.5\nThe answer is right.\nScore: 4", 4.0),
        ('{"rating": 4} and then {"score": 2}', 2.0),
        ("4\nThe answer is right, with 1 slip.", 4.0),
        ("It misses a step, so\n\n3.5\n", 3.5),
        ("5\nOn reflection it is worse:\n2", 2.0),
        ("My rating is: [[4]].", 4.0),
        ("I would rate it as [[ 4 ]], for a = [[7, 8]] is wrong", 4.0),
        ('I give it a "[[4]]" for style', 4.0),
        ("Rating: [[4]]", 4.0),
        ("Rating: [4/5]", 4.0),
        ("[[4]] out of 5", 4.0),
        ("Rating: [[4 out of 5]]", 4.0),
        ("I rate it [[4]] (on a scale from 0 to 5).", 4.0),
        ("Score: 4. A perfect answer would have earned a score: 5 here.", 4.0),
        ("Score: 4\nFor instance, an answer without sources gets a rating: 2 from me.", 4.0),
        ("If the second step were right, score: 5. As it stands, score: 4", 4.0),
        ("I would rate it [[4]]", 4.0),
    ],
)
def test_score(text: str, score: float) -> None:
    assert parse_score(text, 0, 5) == score


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Score: good",
        "Score: 85/100",
        "Score: 4 out of ten",
        "Score: 3 or 4",
        "Score: 3~4",
        "Score: 6",
        "-1",
        "Score 1: 3",
        "[4]",
        "[[7]]",
        "[[4]] out of 10",
        "Score: 4 (out of 10)",
        "[[3]] or [[4]]",
        "Score: 4 stars out of 10",
    ],
)
def test_unreadable_scores_raise(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_score(text, 0, 5)
    assert caught.value.reason


def test_score_of_a_hundred() -> None:
    assert parse_score("Score: 85/100", 1, 100) == 85.0


PIECES = [
    "tag",
    "score_1",
    "score_2",
    "score",
    "70",
    "-5",
    "1e999",
    "NaN",
    "null",
    "/100",
    "```json",
    "“x”",
    "\\ud83d",
]
LABELS = ("Score 1: ", "Score 2: ", "Score: ", " is ")
FRAGMENTS = st.sampled_from([*'[]{}:,"\n“”', *PIECES, *(f'"{piece}"' for piece in PIECES), *LABELS])
ANY = st.one_of(st.text(), st.lists(FRAGMENTS, max_size=40).map("".join))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["tag", "tags", "score", "score_1", "score_2", "explanation"]), inner
        )
    ),
).map(json.dumps)


@given(ANY | ANY_JSON)
def test_any_text_gives_tags_or_a_parse_error(text: str) -> None:
    try:
        tags = parse_tags(text)
    except ParseError:
        return
    assert tags and all(tag.tag.strip() for tag in tags)


@given(ANY | ANY_JSON)
def test_any_text_gives_scores_on_the_scale_or_a_parse_error(text: str) -> None:
    for parse in (parse_score, parse_pair_scores):
        try:
            result = parse(text, 1, 100)
        except ParseError:
            continue
        scores = result if isinstance(result, tuple) else (result,)
        assert all(1 <= score <= 100 for score in scores)


@given(st.integers(1, 100), st.integers(1, 100), st.text())
def test_a_verdict_after_any_feedback_is_read(first: int, second: int, feedback: str) -> None:
    reply = json.dumps({"feedback": feedback, "score_1": first, "score_2": second})
    assert parse_pair_scores(reply, 1, 100) == (first, second)


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1))
def test_tags_survive_the_round_trip(pairs: list[tuple[str, str]]) -> None:
    pairs = [(tag.strip() or "x", why.strip()) for tag, why in pairs]
    reply = json.dumps([{"tag": tag, "explanation": why} for tag, why in pairs])
    assert [(t.tag, t.explanation) for t in parse_tags(f"Here:\n```json\n{reply}\n```")] == pairs


@given(st.integers(1, 10), st.integers(1, 10), st.text(alphabet=st.characters(exclude_characters="[]{}")))
def test_two_numbers_on_the_first_line_before_any_review(first: int, second: int, review: str) -> None:
    """Unless the review holds a verdict of its own."""
    review = review.replace("core", "")
    lines = [line for line in review.splitlines() if line.strip()]
    if lines and re.fullmatch(r"[\s,0-9.%/-]*", lines[-1]):
        return
    assert parse_pair_scores(f"{first} {second}\n{review}", 1, 10) == (first, second)


def stored(shared: Path, name: str) -> Any:
    text = (shared / "assets" / "judgments" / name).read_text()
    return json.loads(text)["data"] if name.endswith(".json") else [json.loads(x) for x in text.splitlines()]


def test_real_reviews_are_read_as_their_authors_read_them(shared: Path) -> None:
    """GPT-4 on vicuna and koala, both orders: 520 replies, 7 of them "0 0", which is off the scale 1 to 10."""
    read, off_scale = 0, 0
    for row in [
        row for name in ("koala", "vicuna") for row in stored(shared, f"pairwise_reviews_{name}_gpt4.json")
    ]:
        for order in ("", "_reverse"):
            wanted = tuple(json.loads(row[f"scores{order}"]))
            assert parse_pair_scores(row[f"review{order}"], 0, 10) == wanted
            try:
                parse_pair_scores(row[f"review{order}"], 1, 10)
                read += 1
            except ParseError:
                assert wanted == (0, 0)
                off_scale += 1
    assert (read, off_scale) == (513, 7)


def test_real_ratings_are_read_as_fastchat_read_them(shared: Path) -> None:
    """MT-Bench: 320 replies, one without a rating and one of 0."""
    rows = [
        row
        for name in ("llama2-13b", "mistral-7b-refined")
        for row in stored(shared, f"mt_bench_single_{name}.jsonl")
    ]
    unread = []
    for row in rows:
        try:
            assert parse_score(row["judgment"], 1, 10) == row["score"]
        except ParseError:
            unread.append(row["score"])
    assert (len(rows), sorted(unread)) == (320, [-1, 0])


def test_prose_holds_no_tags_and_choices_no_scores(shared: Path) -> None:
    """800 replies that were asked for something else."""
    choices = stored(shared, "mt_bench_pair_vs_alpaca-52k.jsonl")
    texts = [row[key] for row in choices for key in ("g1_judgment", "g2_judgment")]
    for text in texts:
        for parse in (parse_pair_scores, parse_score):
            with pytest.raises(ParseError):
                parse(text, 1, 10)
    for row in stored(shared, "pairwise_reviews_koala_gpt4.json"):
        with pytest.raises(ParseError):
            parse_tags(row["review"])


@pytest.mark.parametrize(
    "reply",
    [
        "Overall analysis: both fine.\nCompleteness: 80\n[Response 1]: [85]\n\nClarity: 70\n[Response 2]: [90]",
        "[Response 1] Score:<85>\n[Response 2] Score:<90>",
        "**[Response 1]**: [ 85 ]\n\nThe second explains itself.\n**[Response 2]**: [ 90 ]",
        "Sample 1: 85/100\nSample 2: 90/100",
    ],
)
def test_a_score_behind_each_label_as_the_released_prompts_ask_for(reply: str) -> None:
    assert parse_pair_scores(reply, 0, 100) == (85.0, 90.0)


def test_one_label_alone_is_no_verdict() -> None:
    with pytest.raises(ParseError, match="no score"):
        parse_pair_scores("[Response 1]: [85]. The other one cannot be scored.", 0, 100)
