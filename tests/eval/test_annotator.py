"""AlpacaEval's own annotators: published preferences out of published replies, and folders of their form."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from eval.alpaca_eval.annotator import LEADERBOARD, TEMPLATE, Annotator, read_annotator, turns_of, with_judge
from eval.alpaca_eval.judging import PreferenceSettings, annotate
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Completion, Request
from tacos.llm.parse import ParseError
from tacos.pipeline.evaluate import EvaluateSettings

PROMPT = """<|im_start|>system
You compare.
<|im_end|>
<|im_start|>user
{"asked": "{instruction}"}
x: {output_1}
y: {output_2}
<|im_end|>
"""
CONFIG: dict[str, Any] = {
    "prompt_template": "mine/prompt.txt",
    "fn_completions": "openai_completions",
    "completions_kwargs": {"model_name": "some-judge", "max_tokens": 1, "logprobs": True, "top_logprobs": 4},
    "fn_completion_parser": "logprob_parser",
    "completion_parser_kwargs": {
        "numerator_token": "x",
        "denominator_tokens": ["x", "y"],
        "is_binarize": False,
    },
    "completion_key": "completions_all",
    "batch_size": 1,
}


def no_asset(name: str) -> Path:
    raise AssertionError(f"{name} is not needed")


def folder(parent: Path, prompt: str = PROMPT, **changes: Any) -> str:
    """An annotator's folder, in upstream's form."""
    (parent / "mine").mkdir()
    (parent / "mine" / "prompt.txt").write_text(prompt)
    (parent / "mine" / "configs.yaml").write_text(yaml.safe_dump({"own": CONFIG | changes}))
    return str(parent / "mine")


@pytest.fixture
def leaderboard(shared: Path) -> Annotator:
    return read_annotator(LEADERBOARD, lambda name: shared / "assets" / name)


def test_what_the_leaderboards_annotator_asks(leaderboard: Annotator, shared: Path) -> None:
    request = leaderboard.request("Why {output_2}?", "<|im_end|> one", "two {output_1}")
    system, user = request.messages
    assert [message.role for message in request.messages] == ["system", "user"]
    text = (shared / "assets" / TEMPLATE).read_text()
    assert system.content in text and "<|im" not in system.content
    assert user.content.count("Why {output_2}?") == user.content.count("<|im_end|> one") == 1
    assert user.content.index('"m"') < user.content.index("<|im_end|> one") < user.content.index('"M"')
    assert user.content.index('"M"') < user.content.index("two {output_1}")
    assert user.content.endswith("Identifier")
    asked = request.sampling
    assert (asked.temperature, asked.top_p, asked.max_tokens, request.top_logprobs) == (1, 1, 1, 5)


@pytest.mark.parametrize(("name", "held"), [("alpaca-7b", 802), ("claude-2", 804)])
def test_published_preferences_come_out_of_published_replies(
    leaderboard: Annotator, shared: Path, name: str, held: int
) -> None:
    rows = json.loads((shared / f"assets/alpaca_eval/annotations/{name}.json").read_text())
    rows = [row for row in rows if top_logprobs(row)]
    replies = iter(rows)

    def judge(request: Request) -> Completion:
        return Completion(text="?", finish_reason="length", logprobs=top_logprobs(next(replies)))

    outputs = [{"instruction": row["instruction"], "output": row["output_2"]} for row in rows]
    baseline = [{"instruction": row["instruction"], "output": row["output_1"]} for row in rows]
    llm = ScriptedLLM(judge, model="gpt-4-1106-preview")
    found = annotate(llm, outputs, baseline, leaderboard).rows
    assert len(found) == llm.calls == held
    off = [abs(row.preference - float(r["preference"])) for row, r in zip(found, rows, strict=True)]
    assert max(off) < 1e-9
    assert {row.annotator for row in found} == {LEADERBOARD} == {row["annotator"] for row in rows}
    assert 0.4 < sum(row.model_first for row in found) / held < 0.6


def top_logprobs(row: dict[str, Any]) -> dict[str, float]:
    """The alternatives that upstream stored; empty where a row has none of a verdict."""
    raw = row["raw_completion"]
    reply = ast.literal_eval(raw) if isinstance(raw, str) and raw.startswith("{") else raw
    if not isinstance(reply, dict):
        return {}
    found = {one["token"]: one["logprob"] for one in reply["logprobs"]["content"][0]["top_logprobs"]}
    return found if {"m", "M"} & set(found) else {}


def test_another_judge_is_named_beside_the_annotator(leaderboard: Annotator) -> None:
    assert leaderboard.named("gpt-4-1106-preview") == "weighted_alpaca_eval_gpt4_turbo"
    assert leaderboard.named("gpt-4o") == "weighted_alpaca_eval_gpt4_turbo/gpt-4o"


def test_a_folder_of_upstreams_form_is_read(tmp_path: Path) -> None:
    found = read_annotator(folder(tmp_path), no_asset)
    assert (found.name, found.model, found.tokens, found.asks) == ("own", "some-judge", ("x", "y"), 0)
    assert (found.sampling.temperature, found.top_logprobs) == (0.7, 4)  # upstream's default temperature
    request = found.request("Q?", "A1", "A2")
    assert request.messages[1].content == '{"asked": "Q?"}\nx: A1\ny: A2'


@pytest.mark.parametrize(
    ("logprobs", "share", "whole"),
    [
        ({"x": math.log(0.6), "y": math.log(0.2), "The": math.log(0.1)}, 0.75, 1),
        ({"x": -30.0, "y": -31.0}, 1 / (1 + math.exp(-1)), 1),
        ({"y": -0.5, " x": -0.6}, 0, 0),
        ({"x": -0.7, "y": -0.7}, 0.5, 0),
    ],
)
def test_the_share_is_of_the_verdicts_own_tokens(
    tmp_path: Path, logprobs: dict[str, float], share: float, whole: float
) -> None:
    one = read_annotator(folder(tmp_path), no_asset)
    reply, request = Completion(text="The", logprobs=logprobs), one.request("Q?", "A1", "A2")
    assert one.share(reply, request) == pytest.approx(share)
    assert one.model_copy(update={"binary": True}).share(reply, request) == whole


def test_a_reply_without_a_verdict_is_missing_and_asked_for_once(tmp_path: Path) -> None:
    one = read_annotator(folder(tmp_path), no_asset)
    request = one.request("Q?", "A1", "A2")
    with pytest.raises(ParseError, match="gives no log-probabilities, which own reads"):
        one.share(Completion(text="x"), request)
    judge = ScriptedLLM(lambda request: Completion(text="The", logprobs={"The": -0.1, "X": -3.0}))
    rows = [{"instruction": "Q?", "output": "A"}]
    (row,) = annotate(judge, rows, [{"instruction": "Q?", "output": "B"}], one).rows
    assert (row.preference, judge.calls) == (None, 1)
    assert row.error == "unread: neither x nor y is among the likeliest tokens"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "fn_completion_parser": "ranking_parser",
                "completions_kwargs": {"model_name": "j", "max_tokens": 9},
            },
            r"no annotator that reads one token by its log-probability: own\.fn_completion_parser: .*\(got 'ranking_",
        ),
        ({"batch_size": 5}, r"batch_size: Input should be 1 \(got 5\)"),
        ({"fn_completions": "cohere_completions"}, "fn_completions: .*'openai_completions'"),
        (
            {"completions_kwargs": CONFIG["completions_kwargs"] | {"max_tokens": 300}},
            r"completions_kwargs\.max_tokens: Input should be 1 \(got 300\)",
        ),
        (
            {"completion_parser_kwargs": CONFIG["completion_parser_kwargs"] | {"log_prob_index": -1}},
            "unknown setting .*completion_parser_kwargs.log_prob_index",
        ),
        (
            {"completion_parser_kwargs": {"numerator_token": "z", "denominator_tokens": ["x"]}},
            "numerator_token is not in denominator_tokens",
        ),
        ({"prompt_template": "other/none.txt"}, r"prompt_template is neither .*other/none\.txt nor"),
        (
            {"prompt": "<|im_start|>user\n{instruction} {output_1}<|im_end|>"},
            r"expected each of .*\{output_2\} once",
        ),
        ({"prompt": "Which? {instruction} {output_1} {output_2}"}, "a prompt is turns between"),
        ({"prompt": PROMPT.replace("system", "critic")}, "unknown role 'critic'"),
    ],
)
def test_what_a_folder_asks_beyond_this_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_annotator(folder(tmp_path, **changes), no_asset)


def test_a_name_that_is_neither_annotator_nor_folder_is_answered(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"is not a folder with a configs\.yaml: did you mean 'weighted_alpaca"
    ):
        read_annotator("weighted_alpaca_eval_gpt4", no_asset)
    two = Path(folder(tmp_path)) / "configs.yaml"
    two.write_text(yaml.safe_dump({"a": CONFIG, "b": CONFIG}))
    with pytest.raises(ConfigError, match=r"must hold one annotator.*it holds 2 \(a, b\)"):
        read_annotator(str(two.parent), no_asset)


def test_a_template_is_read_by_its_turns(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(PROMPT)
    assert [turn.role for turn in turns_of(tmp_path / "p.txt")] == ["system", "user"]


def test_the_judge_is_the_annotators_where_the_settings_name_none(tmp_path: Path) -> None:
    def model(**said: Any) -> str:
        settings = parse(EvaluateSettings, said)
        return settings.llms[settings.judge].model

    board = {"annotator": LEADERBOARD}
    assert model(alpaca_eval=board) == "gpt-4-1106-preview"
    assert model(alpaca_eval=board, llms={"judge": {"max_cost_usd": 9}}) == "gpt-4-1106-preview"
    assert model(alpaca_eval=board, llms={"judge": {"model": "gpt-4o"}}) == "gpt-4o"
    assert model(alpaca_eval={"annotator": folder(tmp_path)}, judge="j") == "some-judge"
    for said in ({}, {"alpaca_eval": {"seed": 1}}, {"alpaca_eval": board, "llms": 3}, 7):
        assert with_judge(said) == said


def test_an_annotator_and_settings_of_ones_own_prompt_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="annotator brings its own seed: leave one of the two out"):
        parse(PreferenceSettings, {"annotator": LEADERBOARD, "seed": 3})
