"""Reply parsers: hand-written replies as models write them, and properties over any text."""

from __future__ import annotations

import json

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
        "Score 1: -70, Score 2: 85",
        "Score 1: 1,000, Score 2: 85",
        "Score 1: 7-8, Score 2: 8-9",
        'First {"score_1": 70, "score_2": 85}, finally {"score_1": 170, "score_2": 85}',
        "70 85 90",
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
        ("0", 0.0),
        ("4.5\nThe answer is right.\nScore: 4", 4.0),
        ('{"rating": 4} and then {"score": 2}', 2.0),
    ],
)
def test_score(text: str, score: float) -> None:
    assert parse_score(text, 0, 5) == score


@pytest.mark.parametrize(
    "text", ["", "Score: good", "Score: 85/100", "Score: 6", "-1", "Score 1: 3", "[[4]]"]
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
