"""MT-Bench: FastChat's files both ways, scores by hand and as published, and judging by any model."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from eval.mt_bench.files import read_pairs, read_single
from eval.mt_bench.judging import MTBenchJudgeSettings, judge_pairs, judge_single
from eval.mt_bench.pairs import score_pairs
from eval.mt_bench.prompts import lengths_from_prompts, pick, prompt_name, read_prompts, take_apart
from eval.mt_bench.score import CATEGORIES, NEED_REFERENCE, score_single, slots_of
from eval.mt_bench.write import write_pairs, write_single
from eval.questions import read_questions
from eval.verdicts import FAILED
from tacos.answering.answers import read_answers
from tacos.answering.given import read_given
from tacos.answering.presets import TEMPERATURES
from tacos.errors import ConfigError, LLMError, TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM
from tacos.llm.reading import REMINDER
from tacos.llm.settings import LLMSettings
from tacos.store.files import read_jsonl, write_jsonl
from tacos.types import Answer, Question
from tacos.usage import Ledger

QUESTIONS = [
    Question(id="1", turns=("Describe rain.", "Shorter."), category="writing"),
    Question(id="2", turns=("What is 2 + 3?", "Times 4?"), category="math"),
]
REFERENCES = {"2": Answer(question_id="2", model="ref", turns=("It is 5.", "It is 20."))}
ASK = {"single": "[[rating]]", "pair": "[[A]]"}
BODY = {
    "single-v1": "Q {question} | {answer}",
    "single-math-v1": "Q {question} | ref {ref_answer_1} | {answer}",
    "single-v1-multi-turn": "{question_1} | {answer_1} | {question_2} | {answer_2}",
    "single-math-v1-multi-turn": (
        "{question_1} ref {ref_answer_1} {question_2} ref {ref_answer_2} | {answer_1} | {answer_2}"
    ),
    "pair-v2": "Q {question} | A {answer_a} | B {answer_b} |",
    "pair-math-v1": "Q {question} | ref {ref_answer_1} | A {answer_a} | B {answer_b} |",
    "pair-v2-multi-turn": (
        "{question_1} | {answer_a_1} | {question_2} | {answer_a_2} | again "
        "{question_1} | {answer_b_1} | {question_2} | {answer_b_2} |"
    ),
    "pair-math-v1-multi-turn": (
        "{question_1} {ref_answer_1} {question_2} {ref_answer_2} | {answer_a_1} | {answer_a_2} | "
        "{answer_b_1} | {answer_b_2} |"
    ),
}


@pytest.fixture
def prompts(tmp_path):
    """Prompts of our own in upstream's format."""
    rows = [
        {
            "name": name,
            "type": "other",
            "system_prompt": f"Judge ({name}).",
            "prompt_template": body,
            "description": "not read",
            "category": "not read",
            "output_format": ASK[name.split("-")[0]],
        }
        for name, body in BODY.items()
    ]
    write_jsonl(tmp_path / "judge_prompts.jsonl", rows)
    return read_prompts(tmp_path / "judge_prompts.jsonl")


def answers(model, *turns):
    """turns: two per question."""
    return {
        question.id: Answer(question_id=question.id, model=model, turns=tuple(turns[2 * i : 2 * i + 2]))
        for i, question in enumerate(QUESTIONS)
    }


OURS = answers("ours", "Drops fall.", "Drops.", "5", "20")
THEIRS = answers("theirs", "Water comes from the sky.", "Water.", "6", "24")


def single(question_id=1, turn=1, score=5.0, **changes):
    row = {
        "question_id": question_id,
        "model": "m",
        "judge": ["gpt", "single-v1"],
        "user_prompt": "?",
        "judgment": f"So [[{score}]]",
        "score": score,
        "turn": turn,
        "tstamp": 1.5,
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


def pair(first, second, question_id=1, turn=1, **changes):
    row = {
        "question_id": question_id,
        "model_1": "ours",
        "model_2": "theirs",
        "g1_winner": first,
        "g2_winner": second,
        "judge": ["gpt", "pair-v2"],
        "g1_user_prompt": "?",
        "g1_judgment": "[[A]]",
        "g2_user_prompt": "?",
        "g2_judgment": "[[A]]",
        "turn": turn,
        "tstamp": 1.5,
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


@pytest.fixture
def scored(tmp_path):
    """Scores of rows, written to a file first."""

    def score(*rows, **options):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
        asked = options.pop("questions", QUESTIONS)
        return (score_pairs if "g1_winner" in str(rows) else score_single)([path], asked, **options)

    return score


# ---- the bench ----


def test_the_built_in_set_is_80_questions_of_two_turns(shared):
    slots = slots_of(None)
    assert len(slots) == 160 and Counter(slots.values()) == dict.fromkeys(CATEGORIES, 20)
    assert slots["81", 1] == "writing" and slots["160", 2] == "humanities"
    assert slots == slots_of(read_questions(shared / "assets/mt_bench/question.jsonl"))


def test_every_category_has_a_temperature():
    assert set(TEMPERATURES) == set(CATEGORIES) > NEED_REFERENCE
    assert (TEMPERATURES["writing"], TEMPERATURES["stem"], TEMPERATURES["math"]) == (0.7, 0.1, 0)


# ---- published figures ----


@pytest.mark.parametrize("read_by", ["stored", "fastchat"])
def test_published_averages(shared, read_by):
    folder = shared / "assets/judgments"
    scores = score_single(sorted(folder.glob("mt_bench_single_*.jsonl")), read_by=read_by)
    (llama, mistral) = scores.models.values()
    assert mistral.average == pytest.approx(6.0825, abs=1e-9)
    assert (mistral.judged, mistral.unparsed, mistral.complete, mistral.coverage) == (160, 0, True, 1)
    assert round(llama.average, 6) == 5.474843
    assert (llama.judged, llama.expected, llama.unparsed, llama.missing) == (159, 160, 1, 0)
    assert (llama.complete, llama.coverage, llama.off_scale) == (False, 159 / 160, 1)
    assert llama.judge == "gpt-4" and set(llama.categories) == set(CATEGORIES)
    assert (scores.read, scores.bad_lines) == (320, 0)
    assert [p.reason for p in scores.problems] == ["unread: no [[rating]]"]


def test_read_anew_a_zero_is_off_the_scale(shared):
    path = shared / "assets/judgments/mt_bench_single_llama2-13b.jsonl"
    (llama,) = score_single([path], read_by="last").models.values()
    assert (llama.judged, llama.unparsed, llama.off_scale) == (158, 2, 0)
    assert llama.average == pytest.approx(870.5 / 158)


@pytest.mark.parametrize("read_by", ["stored", "fastchat", "last"])
def test_published_pairs(shared, read_by):
    assets = shared / "assets"
    lengths = lengths_from_prompts(read_prompts(assets / "mt_bench/judge_prompts.jsonl"))
    path = assets / "judgments/mt_bench_pair_vs_alpaca-52k.jsonl"
    scores = score_pairs([path], read_by=read_by, lengths=lengths)
    (pair,) = scores.pairs
    assert (pair.win, pair.tie, pair.lose, pair.error, pair.n) == (48, 83, 29, 0, 160)
    assert pair.win_rate_adjusted == 0.559375 and pair.complete and not scores.problems
    assert pair.swap_consistency.mean == (48 + 39 + 29) / 160
    assert pair.longer_wins.mean == 54 / 74  # of 77 decided turns, 3 have answers of one length
    assert sum(c.win for c in pair.categories.values()) == 48


def test_published_prompts_come_out_byte_for_byte(shared):
    """Answers taken out of the stored prompts, judged by a judge that repeats GPT-4, give the stored file."""
    mt_bench = shared / "assets/mt_bench"
    prompts = read_prompts(mt_bench / "judge_prompts.jsonl")
    questions = read_questions(mt_bench / "question.jsonl")
    references = read_given([mt_bench / "reference_answer_gpt-4.jsonl"]).models["gpt-4"]
    path = shared / "assets/judgments/mt_bench_single_mistral-7b-refined.jsonl"
    stored = {(row.question_id, row.turn): row for row in read_single(path).rows}
    replies = {row.user_prompt: row.judgment for row in stored.values()}
    shown = {slot: take_apart(prompts[row.prompt], row.user_prompt) for slot, row in stored.items()}
    given = {
        q.id: Answer(
            question_id=q.id,
            model=stored[q.id, 1].model,
            turns=(shown[q.id, 2]["answer_1"], shown[q.id, 2]["answer_2"]),
        )
        for q in questions
    }
    llm = ScriptedLLM(lambda request: replies[request.messages[-1].content], model="gpt-4")
    run = judge_single(llm, given, questions, references, prompts)
    assert len(run.rows) == 160 and not run.problems
    for row in run.rows:
        same = {"tstamp": 0.0, "where": ""}
        assert row.model_copy(update=same) == stored[row.question_id, row.turn].model_copy(update=same)


# ---- ratings by hand ----


def test_scores_by_hand(scored):
    """(8 + 6) / 2 = 7, 3 / 1 = 3, (8 + 6 + 3) / 3 = 17 / 3."""
    scores = scored(single(1, 1, 8), single(2, 1, 6), single(1, 2, 3))
    score = scores.models["m"]
    assert (score.turn_1, score.turn_2, score.average) == (7, 3, pytest.approx(17 / 3))
    assert (score.judged, score.expected, score.missing, score.complete) == (3, 4, 1, False)
    assert score.coverage == 0.75 and score.judge == "gpt"
    writing, maths = score.categories["writing"], score.categories["math"]
    assert (writing.average, maths.average, maths.turn_2, maths.judged) == (5.5, 6, None, 1)
    assert score.ci.low <= score.average <= score.ci.high and score.ci.n == 2


def test_unread_is_missing_never_zero(scored):
    scores = scored(single(1, 1, 9), single(1, 2, -1, judgment="I refuse."), single(2, 1, float("nan")))
    score = scores.models["m"]
    assert (score.average, score.turn_2, score.judged, score.unparsed, score.missing) == (9, None, 1, 2, 1)
    assert [p.reason for p in scores.problems] == [
        "unread: no [[rating]]",
        "unread: a stored score that is not a number, 'nan'",
    ]


@pytest.mark.parametrize(
    ("score", "judgment", "kept"),
    [
        (0, "none at all: [[0]]", 0),
        (0, "I refuse.", None),
        (11, "[[11]]", None),
        (-5, "[[-5]]", None),
        ("7", "[[7]]", None),
        (True, "[[1]]", None),
        (None, "[[7]]", None),
        (10**400, "", None),
        (9.5, "", 9.5),
    ],
)
def test_stored_scores(scored, score, judgment, kept):
    result = scored(single(score=score, judgment=judgment), single(1, 2, 5)).models["m"]
    assert (result.turn_1, result.unparsed) == (kept, 0 if kept is not None else 1)


def test_a_duplicate_counts_once_and_a_readable_row_goes_first(scored):
    scores = scored(single(1, 1, 8), single(1, 1, 2), single(1, 2, -1), single(1, 2, 4))
    score = scores.models["m"]
    assert (score.turn_1, score.turn_2, score.judged, score.duplicate, score.unparsed) == (8, 4, 2, 2, 0)
    first, second = scores.problems
    assert first.where.endswith("line 2") and first.reason.endswith("line 1")
    assert second.where.endswith("line 3") and second.reason.endswith("line 4")


def test_unknown_questions_and_turns_are_left_out(scored):
    score = scored(single(1, 1, 8), single(99, 1, 1), single(1, 3, 1)).models["m"]
    assert (score.average, score.judged, score.unknown) == (8, 1, 2)


def test_several_models_and_judges_are_scored_each(scored):
    rows = [single(1, 1, 8), single(1, 1, 2, model="other"), single(1, 1, 4, judge=["strict", "single-v1"])]
    models = scored(*rows).models
    assert {name: m.average for name, m in models.items()} == {"m [gpt]": 8, "m [strict]": 4, "other": 2}


def test_a_run_of_several_files_is_one(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [single(1, 1, 8), single(1, 2, 8)])
    write_jsonl(tmp_path / "b.jsonl", [single(2, 1, 4), single(2, 2, 4)])
    score = score_single([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], QUESTIONS).models["m"]
    assert (score.average, score.complete) == (6, True)


def test_bad_lines_are_counted_with_line_and_reason(scored):
    cut = json.dumps(single(2, 1))[:40]
    rows = [
        single(1, 1, 8),
        "",
        [1],
        single(question_id=...),
        single(question_id=True),
        single(turn=...),
        single(turn="1"),
        single(model=...),
        single(model=" "),
        single(score=...),
        single(judgment=5),
        cut,
    ]
    scores = scored(*rows)
    assert scores.bad_lines == 10 and scores.models["m"].judged == 1
    told = {int(p.where.split("line ")[1]): p.reason for p in scores.problems}
    assert sorted(told) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert (
        "cut off?" in told[12]
        and "expected an object" in told[3]
        and told[4] == "no question_id (found None)"
    )
    assert told[8] == "no model" and told[9] == "model is empty" and told[10] == "no score"


def test_a_cut_in_the_middle_of_a_character(tmp_path):
    path = tmp_path / "x.jsonl"
    line = json.dumps(single(2, 1, judgment="né [[4]]"), ensure_ascii=False).encode()
    path.write_bytes(json.dumps(single(1, 1, 8)).encode() + b"\n" + line[: line.index("é".encode()) + 1])
    scores = score_single([path], QUESTIONS)
    assert (scores.models["m"].judged, scores.bad_lines) == (1, 1)


def test_files_without_a_judgment_are_refused(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(TacosError, match=r"no judgment in .*empty.jsonl"):
        score_single([empty])
    with pytest.raises(TacosError, match="no file"):
        score_single([])
    with pytest.raises(TacosError, match=r"no file .*gone"):
        score_single([tmp_path / "gone.jsonl"])
    write_jsonl(empty, [pair("tie", "tie")])
    with pytest.raises(TacosError, match="--pair-judgments"):
        score_single([empty])
    write_jsonl(empty, [single()])
    with pytest.raises(TacosError, match="--judgments"):
        score_pairs([empty])


# ---- pairs by hand ----


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        ("model_1", "model_1", (1, 0, 0, 0)),
        ("model_2", "model_2", (0, 0, 1, 0)),
        ("tie", "tie", (0, 1, 0, 0)),
        ("model_1", "model_2", (0, 1, 0, 0)),
        ("model_1", "tie", (0, 1, 0, 0)),
        ("tie", "model_2", (0, 1, 0, 0)),
        ("model_1", "error", (0, 0, 0, 1)),
        ("error", "error", (0, 0, 0, 1)),
        ("model_3", "model_1", (0, 0, 0, 1)),
        (None, "model_1", (0, 0, 0, 1)),
    ],
)
def test_a_win_needs_both_orders(scored, first, second, counts):
    (score,) = scored(pair(first, second)).pairs
    assert (score.win, score.tie, score.lose, score.error) == counts


def test_pairs_by_hand(scored):
    """Win, tie (split), error, and nothing for the fourth: (1 + 1/2) / 2 = 0.75 over 2 of 4."""
    rows = [pair("model_1", "model_1"), pair("model_1", "model_2", 2), pair("error", "tie", 2, 2)]
    scores = scored(*rows, pair("model_2", "model_2"), pair("tie", "tie", 77))
    (score,) = scores.pairs
    assert (score.n, score.win_rate, score.win_rate_adjusted, score.error) == (2, 0.5, 0.75, 1)
    assert (score.missing, score.expected, score.coverage, score.complete) == (1, 4, 0.5, False)
    assert (score.duplicate, score.unknown, score.swap_consistency.mean) == (1, 1, 0.5)
    assert score.first_position_rate.mean == 3 / 4  # game 2 of the first row went to what was shown second
    assert score.longer_wins is None and score.categories["math"].tie == 1
    assert [p.reason.split(":")[0] for p in scores.problems] == [
        "duplicate",
        "question 77 turn 1 is not in the question set",
        "unread",
    ]


def test_pairs_without_a_verdict_have_no_rate(scored):
    (score,) = scored(pair("error", "error")).pairs
    assert (score.win_rate, score.win_rate_adjusted, score.ci, score.n) == (None, None, None, 0)


def test_longer_wins_with_lengths_handed_in(scored):
    rows = [pair("model_1", "model_1"), pair("model_2", "model_2", 2), pair("tie", "tie", 2, 2)]
    (score,) = scored(*rows, lengths=lambda row: (9, 3)).pairs
    assert score.longer_wins.mean == 0.5


def test_replies_of_pairs_are_read_anew(scored):
    """Stored winners are wrong on purpose. A in game 2 is model_2."""
    (score,) = scored(pair("tie", "tie", g1_judgment="[[A]]", g2_judgment="[[B]]"), read_by="last").pairs
    assert score.win == 1


def test_every_pair_of_models_is_scored(scored):
    rows = [pair("model_1", "model_1"), pair("tie", "tie", model_2="third"), pair("tie", "tie", model_1=...)]
    scores = scored(*rows)
    assert [(p.model_1, p.model_2, p.win, p.tie) for p in scores.pairs] == [
        ("ours", "theirs", 1, 0),
        ("ours", "third", 0, 1),
    ]
    assert scores.bad_lines == 1


# ---- files both ways ----


def test_published_files_come_back_as_they_were(shared, tmp_path):
    out = tmp_path / "out.jsonl"
    for path in sorted((shared / "assets/judgments").glob("mt_bench_*.jsonl")):
        if "pair" in path.name:
            write_pairs(out, read_pairs(path).rows)
        else:
            write_single(out, read_single(path).rows)
        for ours, theirs in zip(read_jsonl(out), read_jsonl(path), strict=True):
            assert {k: v for k, v in ours.items() if k != "error"} == theirs
            assert ("error" in ours) == (ours.get("score") == -1)


def test_real_references_cover_the_categories_that_need_them(shared):
    mt_bench = shared / "assets/mt_bench"
    references = read_answers(mt_bench / "reference_answer_gpt-4.jsonl")
    needed = {q.id for q in read_questions(mt_bench / "question.jsonl") if q.category in NEED_REFERENCE}
    assert not references.bad and {a.question_id for a in references.answers} == needed


# ---- prompts ----


def test_prompts_by_turn_and_category(prompts):
    assert prompt_name("single", "stem", 1) == "single-v1"
    assert prompt_name("single", "coding", 2) == "single-math-v1-multi-turn"
    assert prompt_name("pair", "writing", 2) == "pair-v2-multi-turn"
    with pytest.raises(ConfigError, match="no judge prompt 'single-v1'"):
        pick({}, "single", "stem", 1)
    wrong = {"single-v1": prompts["single-v1"].model_copy(update={"output_format": "[[rating_a,rating_b]]"})}
    with pytest.raises(ConfigError, match="can be read"):
        pick(wrong, "single", "stem", 1)


@pytest.mark.parametrize(
    "row",
    [{"name": "single-v1"}, 5, *({"prompt_template": odd} for odd in ("{", 3, "As {}", "{q[0]}")), "torn"],
)
def test_prompts_that_are_none_are_refused_with_their_line(tmp_path, row):
    path = tmp_path / "p.jsonl"
    full = {"name": "x", "system_prompt": "", "prompt_template": "{question}", "output_format": "[[A]]"}
    bad = row if not isinstance(row, dict) or "name" in row else full | row
    text = '{"name": "s' if row == "torn" else json.dumps(bad)
    path.write_text(json.dumps(full) + "\n" + text)
    with pytest.raises(ConfigError, match=r"p.jsonl line 2 is not a judge prompt"):
        read_prompts(path)


def test_a_prompt_is_taken_apart_again(prompts):
    prompt = prompts["pair-v2"]
    assert take_apart(prompt, "Q 1 | 2? | A x | B y |") == {
        "question": "1 | 2?",
        "answer_a": "x",
        "answer_b": "y",
    }
    assert take_apart(prompt, "something else") is None


# ---- judging ----


def test_single_judging_by_hand(prompts):
    llm = ScriptedLLM(lambda request: f"I see it. [[{len(llm.requests)}]]", model="judge-7b")
    run = judge_single(llm, OURS, QUESTIONS, REFERENCES, prompts, clock=lambda: 3.0)
    assert [(r.question_id, r.turn, r.score, r.prompt) for r in run.rows] == [
        ("1", 1, 1, "single-v1"),
        ("1", 2, 2, "single-v1-multi-turn"),
        ("2", 1, 3, "single-math-v1"),
        ("2", 2, 4, "single-math-v1-multi-turn"),
    ]
    assert run.rows[2].user_prompt == "Q What is 2 + 3? | ref It is 5. | 5"
    assert run.rows[3].user_prompt == "What is 2 + 3? ref It is 5. Times 4? ref It is 20. | 5 | 20"
    first = run.rows[0]
    assert (first.model, first.judge, first.judgment, first.tstamp) == (
        "ours",
        "judge-7b",
        "I see it. [[1]]",
        3,
    )
    request = llm.requests[0]
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "Judge (single-v1)."),
        ("user", "Q Describe rain. | Drops fall."),
    ]
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0, 2048)


def test_bad_replies_never_stop_the_rest(prompts, tmp_path):
    said = iter(["fine [[7]]", RuntimeError("boom"), "I refuse.", "draft [[3]] no: [[08]]"])
    once = MTBenchJudgeSettings(reask=0)
    run = judge_single(ScriptedLLM(lambda request: next(said)), OURS, QUESTIONS, REFERENCES, prompts, once)
    assert [row.score for row in run.rows] == [7, None, None, 8]
    assert run.rows[1].judgment == FAILED and "boom" in run.rows[1].error
    assert run.rows[2].judgment == "I refuse."
    write_single(tmp_path / "j.jsonl", run.rows)
    assert [row["score"] for row in read_jsonl(tmp_path / "j.jsonl")] == [7, -1, -1, 8]
    scores = score_single([tmp_path / "j.jsonl"], QUESTIONS)
    assert (scores.models["ours"].average, scores.models["ours"].unparsed) == (7.5, 2)
    assert "boom" in scores.problems[0].reason


def test_an_unreadable_verdict_is_asked_again_and_the_last_reply_is_kept(prompts):
    llm = ScriptedLLM(lambda request: "[[A]] and [[6]]" if request.repeat else "I refuse.")
    single = judge_single(llm, OURS, QUESTIONS, REFERENCES, prompts)
    assert {(row.score, row.judgment) for row in single.rows} == {(6, "[[A]] and [[6]]")}
    pairs = judge_pairs(llm, OURS, OURS, QUESTIONS, REFERENCES, prompts)
    assert {game.judgment for row in pairs.rows for game in row.games} == {"[[A]] and [[6]]"}
    assert llm.calls == 2 * len(single.rows) + 4 * len(pairs.rows)
    assert REMINDER in llm.requests[-1].messages[-1].content
    assert all(REMINDER not in row.user_prompt for row in single.rows)


def test_fastchat_parser_for_parity(prompts):
    llm = ScriptedLLM(lambda request: "see [1], [[4]] or rather [[6]]")
    settings = MTBenchJudgeSettings(parser="fastchat")
    run = judge_single(llm, OURS, QUESTIONS, REFERENCES, prompts, settings)
    assert {row.score for row in run.rows} == {4}


def test_what_cannot_be_judged_is_told(prompts):
    given = {"1": OURS["1"].model_copy(update={"turns": ("only one",)}), "9": OURS["1"], "2": OURS["2"]}
    run = judge_single(ScriptedLLM(lambda r: "[[5]]"), given, QUESTIONS, {}, prompts)
    assert [(row.question_id, row.turn) for row in run.rows] == [("1", 1)]
    assert [str(p) for p in run.problems] == [
        "ours question 9: an answer to a question that is not in the set",
        "question 1 turn 2: model 1 of 1 gave no answer",
        "question 2 turn 1: no reference answer, which math needs",
        "question 2 turn 2: no reference answer, which math needs",
    ]


def test_empty_answers_and_braces_are_judged_as_they_stand(prompts):
    given = answers("ours", "", "{question} {x}", "%s", "{{}}")
    run = judge_single(ScriptedLLM(lambda r: "[[1]]"), given, QUESTIONS, REFERENCES, prompts)
    assert run.rows[0].user_prompt == "Q Describe rain. | "
    assert run.rows[1].user_prompt.endswith("| {question} {x}") and len(run.rows) == 4


def test_a_prompt_with_an_unknown_field_is_refused(prompts):
    odd = prompts | {"single-v1": prompts["single-v1"].model_copy(update={"prompt_template": "{reply}"})}
    with pytest.raises(ConfigError, match="'single-v1' wants 'reply'; known: answer, question"):
        judge_single(ScriptedLLM(lambda r: ""), OURS, QUESTIONS, REFERENCES, odd)


def test_pair_judging_by_hand(prompts, tmp_path):
    """A judge that likes Drops and 5, whoever says it, and always the first in question 2's second turn."""

    def answer(request):
        text = request.messages[-1].content
        if "24" in text:
            return "[[A]]"
        a, b = (text.find(words) for words in (("Drops", "Water") if "rain" in text else ("| A 5", "| B 5")))
        if "rain" in text:
            return "[[A]]" if a < b else "[[B]]"
        return "[[A]]" if a >= 0 else "[[B]]"

    llm = ScriptedLLM(answer, model="judge")
    run = judge_pairs(llm, OURS, THEIRS, QUESTIONS, REFERENCES, prompts)
    assert llm.calls == 8 and not run.problems
    assert [tuple(g.winner for g in row.games) for row in run.rows] == [
        ("model_1", "model_1"),
        ("model_1", "model_1"),
        ("model_1", "model_1"),
        ("model_1", "model_2"),
    ]
    assert (
        run.rows[0].games[0].user_prompt == "Q Describe rain. | A Drops fall. | B Water comes from the sky. |"
    )
    assert (
        run.rows[0].games[1].user_prompt == "Q Describe rain. | A Water comes from the sky. | B Drops fall. |"
    )
    write_pairs(tmp_path / "p.jsonl", run.rows)
    (score,) = score_pairs([tmp_path / "p.jsonl"], QUESTIONS, lengths=lengths_from_prompts(prompts)).pairs
    assert (score.win, score.tie, score.win_rate_adjusted, score.complete) == (3, 1, 0.875, True)
    assert score.longer_wins.mean == 0  # "Drops fall." and "Drops." are shorter; "5" is as long as "6"
    assert next(read_jsonl(tmp_path / "p.jsonl"))["g2_judgment"] == "[[B]]"


def test_a_failed_game_is_an_error_not_a_tie(prompts, tmp_path):
    said = iter(["[[A]]", RuntimeError("boom"), "[[C]]", "[[C]]", "?", "[[A]]", "[[B]]", "[[B]]"])
    run = judge_pairs(ScriptedLLM(lambda r: next(said)), OURS, THEIRS, QUESTIONS, REFERENCES, prompts)
    write_pairs(tmp_path / "p.jsonl", run.rows)
    scores = score_pairs([tmp_path / "p.jsonl"], QUESTIONS)
    (score,) = scores.pairs
    assert (score.win, score.tie, score.lose, score.error, score.n) == (0, 2, 0, 2, 2)
    assert "boom" in scores.problems[0].reason and FAILED in (tmp_path / "p.jsonl").read_text()


def test_pairs_where_one_model_is_silent(prompts):
    run = judge_pairs(
        ScriptedLLM(lambda r: "[[C]]"), OURS, {"1": THEIRS["1"]}, QUESTIONS, REFERENCES, prompts
    )
    assert len(run.rows) == 2 and {p.reason for p in run.problems} == {"model 2 of 2 gave no answer"}


def test_a_stopped_run_pays_nothing_twice(prompts, tmp_path):
    """The endpoint dies after three replies; the second run asks for the fourth only."""
    settings = LLMSettings(model="scripted", backend="scripted", max_failed_share=0.0)

    def client(answer):
        backend = ScriptedLLM(answer)
        return backend, CachedLLM(backend, ReplyCache(tmp_path / "cache.sqlite"), Ledger(), settings)

    said = iter(["[[1]]", "[[2]]", "[[3]]", RuntimeError("down")])
    _, llm = client(lambda r: next(said))
    with pytest.raises(LLMError):
        judge_single(llm, OURS, QUESTIONS, REFERENCES, prompts)
    backend, llm = client(lambda r: "[[4]]")
    run = judge_single(llm, OURS, QUESTIONS, REFERENCES, prompts)
    assert [row.score for row in run.rows] == [1, 2, 3, 4] and backend.calls == 1
