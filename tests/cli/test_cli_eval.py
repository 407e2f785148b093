"""`tacos eval`: published figures from stored files, exit codes, and whole runs against a local server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from eval.alpaca_eval.files import BASELINE
from tacos.cli.app import app
from tests.cli.helpers import last_json, tacos
from tests.llm.server import FaultServer, reply


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TACOS_ASSETS", raising=False)


def tacos_eval(*words: str | Path) -> Result:
    return tacos("eval", *words)


def test_mt_bench_averages_are_the_published_ones(assets: Path) -> None:
    files = sorted((assets / "judgments").glob("mt_bench_single_*.jsonl"))
    models = last_json(tacos_eval("mt-bench", "--judgments", *files, "--json"))["models"]
    llama, mistral = sorted(models.values(), key=lambda m: m["average"])
    assert round(llama["average"], 6) == 5.474843
    assert (llama["judged"], llama["expected"], llama["unparsed"], llama["complete"]) == (159, 160, 1, False)
    assert (round(mistral["average"], 9), mistral["judged"], mistral["complete"]) == (6.0825, 160, True)
    assert {"turn_1", "turn_2"} <= set(mistral)


def test_fastchats_parser_differs_in_one_released_reply_which_is_a_zero(assets: Path) -> None:
    files = sorted((assets / "judgments").glob("mt_bench_single_*.jsonl"))
    figures = {}
    for parser in ("fastchat", "last"):
        models = last_json(tacos_eval("mt-bench", "--judgments", *files, "--parser", parser, "--json"))[
            "models"
        ]
        figures[parser] = sorted((round(m["average"], 3), m["judged"]) for m in models.values())
    assert figures == {"fastchat": [(5.475, 159), (6.083, 160)], "last": [(5.509, 158), (6.083, 160)]}


def test_models_are_compared_by_question(assets: Path) -> None:
    files = sorted((assets / "judgments").glob("mt_bench_single_*.jsonl"))
    scores = last_json(tacos_eval("mt-bench", "--judgments", *files, "--json"))
    worse = min(scores["models"], key=lambda name: scores["models"][name]["average"])
    compared = last_json(tacos_eval("mt-bench", "--judgments", *files, "--against", worse, "--json"))
    (difference,) = compared["comparisons"].values()
    assert difference["difference"]["n"] == 79  # one question lacks a turn
    assert difference["unpaired"] == 1
    assert difference["difference"]["mean"] == pytest.approx(6.0825 - 5.474843, abs=0.05)
    assert difference["p_holm"] == difference["p_value"]
    assert tacos_eval("mt-bench", "--judgments", *files, "--against", "nobody").exit_code == 1


def test_mt_bench_pairs_are_the_published_ones(assets: Path) -> None:
    (file,) = (assets / "judgments").glob("mt_bench_pair_*.jsonl")
    (pair,) = last_json(tacos_eval("mt-bench", "--pair-judgments", file, "--json"))["pairs"]
    assert (pair["win"], pair["tie"], pair["lose"], pair["error"]) == (48, 83, 29, 0)
    assert pair["win_rate_adjusted"] == 0.559375
    assert pair["longer_wins"] is not None


LEADERBOARD = {
    "alpaca-7b": (2.5915, 0.4871, 5.8755),
    "claude-2": (17.1882, 1.1748, 28.1552),
    "FuseChat-Gemma-2-9B-Instruct": (70.4971, 1.3426, 70.1811),
}
"""win rate, standard error, length-controlled win rate; four digits are published."""


@pytest.mark.parametrize(("c", "tolerance"), [("published", 0.001), ("cv", 0.2)])
def test_alpaca_eval_is_the_leaderboards(assets: Path, c: str, tolerance: float) -> None:
    files = (assets / "alpaca_eval" / "annotations").glob("*.json")
    models = last_json(tacos_eval("alpaca-eval", "--annotations", *files, "--c", c, "--json"))["models"]
    assert set(models) == set(LEADERBOARD)
    for name, (win_rate, error, controlled) in LEADERBOARD.items():
        model = models[name]
        assert (model["n"], model["expected"]) == (805, 805)
        assert model["win_rate"] == pytest.approx(win_rate, abs=5.1e-5)
        assert model["standard_error"] == pytest.approx(error, abs=5.1e-5)
        assert model["length_controlled_winrate"] == pytest.approx(controlled, abs=tolerance)
        assert {"lc_standard_error", "discrete_win_rate"} <= set(model)


def test_rows_are_joined_by_instruction_unless_told_otherwise(assets: Path) -> None:
    rows = json.loads((assets / "alpaca_eval" / "annotations" / "claude-2.json").read_text())
    Path("claude-2.json").write_text(json.dumps(rows[:100] + rows[103:]))
    by = {
        join: last_json(tacos_eval("alpaca-eval", "--annotations", "claude-2.json", "--join", join, "--json"))
        for join in ("instruction", "position")
    }
    controlled = {join: b["models"]["claude-2"]["length_controlled_winrate"] for join, b in by.items()}
    assert controlled["instruction"] == pytest.approx(28.32, abs=0.01)
    assert controlled["position"] == pytest.approx(34.32, abs=0.01)


def test_reviews_are_the_published_ones(assets: Path) -> None:
    files = (assets / "judgments").glob("pairwise_reviews_*.json")
    scores = last_json(tacos_eval("pairwise", "--reviews", *files, "--json"))
    votes = {name: (s["win"], s["tie"], s["lose"], s["n"]) for name, s in scores["sets"].items()}
    assert votes == {"vicuna": (44, 15, 21, 80), "koala": (85, 36, 59, 180)}
    assert scores["pooled"]["winning_score"] == pytest.approx(1 + 49 / 260)
    assert scores["pooled"]["ci"][0] < 1 + 49 / 260 < scores["pooled"]["ci"][1]


def single(question: int, turn: int, score: float, model: str = "m") -> str:
    row = {"question_id": question, "turn": turn, "model": model, "score": score, "judge": ["j", "single-v1"]}
    return json.dumps({**row, "judgment": f"[[{score}]]", "user_prompt": "", "tstamp": 1.0})


def test_too_little_judged_is_a_failure_unless_allowed() -> None:
    Path("some.jsonl").write_text(
        "\n".join(single(81 + i, 1, 5) for i in range(10)) + '\n{"question_id": 95, "tu'
    )
    refused = tacos_eval("mt-bench", "--judgments", "some.jsonl", "--json")
    assert last_json(refused, 1)["models"]["m"]["judged"] == 10
    assert "m 6.2%" in refused.stderr
    allowed = last_json(tacos_eval("mt-bench", "--judgments", "some.jsonl", "--json", "--allow-incomplete"))
    assert (allowed["bad_lines"], allowed["models"]["m"]["missing"]) == (1, 150)
    assert last_json(tacos_eval("mt-bench", "--judgments", "some.jsonl", "--json", "--min-coverage", "0.05"))


def test_a_terminal_shows_what_was_not_counted() -> None:
    rows = [single(81, 1, 5), single(81, 1, 6), single(7, 1, 5), single(82, 1, -1)]
    Path("some.jsonl").write_text("\n".join(rows))
    result = tacos_eval("mt-bench", "--judgments", "some.jsonl", "--allow-incomplete")
    assert result.exit_code == 0, result.stderr
    assert "duplicate: question 81 turn 1" in result.stdout
    assert "question 7 turn 1 is not in the question set" in result.stdout
    assert "unread" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["mt-bench"], 2, "got none"),
        (["mt-bench", "--model", "m", "--judgments", "f.jsonl"], 2, "got --model and --judgments"),
        (["mt-bench", "--judgments", "f.jsonl", "--parser", "lsat"], 2, "did you mean 'last'?"),
        (["mt-bench", "--judgments", "none.jsonl"], 1, "none.jsonl"),
        (["mt-bench", "--pair-judgments", "f.jsonl", "--against", "m"], 2, "--against compares ratings"),
        (["mt-bench", "--answers", "f.jsonl", "--pairs", "--against", "m"], 2, "--against compares ratings"),
        (["mt-bench", "--judgments", "f.jsonl", "--pairs"], 2, "--pairs goes with --answers"),
        (["mt-bench", "--model", "m"], 2, "llms.judge is not configured"),
        (
            ["alpaca-eval", "--annotations", "f.json", "--join", "instrution"],
            2,
            "did you mean 'instruction'?",
        ),
        (["alpaca-eval", "--annotations", "f.json", "--c", "much"], 2, "'much' is neither a number nor"),
        (["alpaca-eval", "--model", "m", "alpaca_eval.sed=1"], 2, "did you mean 'seed'?"),
        (
            ["alpaca-eval", "--model", "m", "alpaca_eval.annotator=weighted_alpaca_gpt4"],
            2,
            "did you mean 'weighted_alpaca_eval_gpt4_turbo'?",
        ),
        (["pairwise", "--answers", "a.jsonl", "--set", "koala"], 2, "two files"),
        (["pairwise", "--answers", "a", "b", "--set", "koal"], 2, "did you mean 'koala'?"),
        (
            ["pairwise", "--answers", "a", "b", "--set", "koala", "pairwise.llm=other"],
            2,
            "give judge=other in place of llm",
        ),
        (["pairwise", "--reviews", "none.json"], 1, "none.json"),
        (["judge-check", "--pairs", "none.jsonl", "--judge", "longer"], 1, "none.jsonl"),
        (["judge-check", "--pairs", "p.jsonl", "--difference", "5"], 2, "give a share above 0, up to 0.5"),
    ],
)
def test_wrong_use_is_one_line_and_an_exit_code(
    words: list[str], code: int, message: str, request: pytest.FixtureRequest
) -> None:
    if words[0] == "alpaca-eval" and code == 2:
        request.getfixturevalue("assets")
    result = tacos_eval(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr.splitlines()[-1]


def judging(endpoint: str) -> Path:
    """A config with candidate and judge behind one endpoint."""
    server = {"model": "m", "endpoint": endpoint, "concurrency": 16}
    config = {
        "answering": {"by": "llm", "generate": {"max_new_tokens": 16}},
        "llms": {"judge": server, "candidate": server},
        "alpaca_eval": {"top_logprobs": None, "sampling": {"max_tokens": 8}},
    }
    Path("eval.yaml").write_text(yaml.safe_dump(config))
    return Path("eval.yaml")


def serving() -> FaultServer:
    """Answers and judges: verdicts of every kind, told apart by what the whole prompt asks for."""
    server = FaultServer()

    def answer(content: str) -> str:
        asked = next(b for b in reversed(server.bodies) if b["messages"][-1]["content"] == content)
        return verdict("\n".join(message["content"] for message in asked["messages"]))

    server.answer = answer
    return server


def verdict(prompt: str) -> str:
    if "[[rating]]" in prompt:
        return "Fair. [[7]]"
    if "[[A]]" in prompt:
        return "The first is longer. [[A]]"
    if "score_1" in prompt:
        return '{"score_1": 8, "score_2": 6}'
    return "A"


def test_a_model_behind_a_server_is_answered_judged_and_scored(assets: Path) -> None:
    with serving() as server:
        config = judging(server.endpoint)
        words = ("mt-bench", "--model", "candidate", "--config", config, "--out", "mt", "--json")
        score = last_json(tacos_eval(*words))["models"]["candidate"]
        assert (score["judged"], score["missing"], score["average"]) == (160, 0, 7.0)
        asked = server.hits
        assert last_json(tacos_eval(*words))["models"]["candidate"] == score
        assert server.hits == asked  # answers from the file, verdicts from the cache
    assert {"answers.jsonl", "judgments.jsonl", "report.html", "scores.json"} <= {
        path.name for path in Path("mt").iterdir()
    }
    stored = last_json(tacos_eval("mt-bench", "--judgments", "mt/judgments.jsonl", "--json"))
    assert stored["models"]["candidate"]["average"] == 7.0


def test_two_models_answers_are_compared_in_both_orders(assets: Path) -> None:
    with serving() as server:
        config = judging(server.endpoint)
        for name in ("one", "two"):
            run = ("generate", "--model", "candidate", "--questions", assets / "mt_bench" / "question.jsonl")
            more = ("--name", name, "--style", "fastchat", "--config", config, "--out", f"{name}.jsonl")
            assert CliRunner().invoke(app, [*map(str, run), *map(str, more)]).exit_code == 0
        words = ("mt-bench", "--answers", "one.jsonl", "two.jsonl", "--pairs", "--config", config)
        (pair,) = last_json(tacos_eval(*words, "--out", "pairs", "--json"))["pairs"]
    assert (pair["n"], pair["tie"], pair["first_position_rate"]["mean"]) == (160, 160, 1.0)
    assert (pair["swap_consistency"]["mean"], pair["win_rate_adjusted"]) == (0.0, 0.5)


def test_alpaca_eval_of_a_model_behind_a_server(assets: Path) -> None:
    with serving() as server:
        words = ("alpaca-eval", "--model", "candidate", "--config", judging(server.endpoint), "--out", "al")
        score = last_json(tacos_eval(*words, "--json"))["models"]["candidate"]
    assert (score["n"], score["expected"], score["missing"], score["unparsed"]) == (805, 805, 0, 0)
    assert 40 < score["win_rate"] < 60  # always the first, which is a coin's throw
    assert len(json.loads(Path("al/outputs.json").read_text())) == 805
    again = last_json(tacos_eval("alpaca-eval", "--annotations", "al/annotations.json", "--json"))
    assert again["models"]["candidate"] == score


def test_alpaca_eval_is_judged_as_the_leaderboard_does(assets: Path) -> None:
    baseline = json.loads((assets / BASELINE).read_text())[:30]
    rows = [{"instruction": row["instruction"], "output": "Short.", "generator": "mine"} for row in baseline]
    Path("outputs.json").write_text(json.dumps(rows))
    top = [{"token": t, "logprob": p} for t, p in (("m", -0.2231435513), ("M", -1.6094379124), ("The", -9.0))]
    said = {"logprobs": {"content": [{"token": "M", "logprob": -1.6094379124, "top_logprobs": top}]}}
    with FaultServer() as server:
        server.respond = lambda body, times: (200, reply("M", "length", **said))
        words = ("alpaca-eval", "--outputs", "outputs.json", "--out", "al", "--json", "--allow-incomplete")
        words += (
            "alpaca_eval.annotator=weighted_alpaca_eval_gpt4_turbo",
            f"llms.judge.endpoint={server.endpoint}",
        )
        score = last_json(tacos_eval(*words))["models"]["mine"]
        asked = server.hits
        assert last_json(tacos_eval(*words))["models"]["mine"] == score and server.hits == asked == 30
    body = server.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4-1106-preview", 1, 1)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 5)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    made = json.loads(Path("al/annotations.json").read_text())
    assert {row["annotator"] for row in made} == {"weighted_alpaca_eval_gpt4_turbo"}
    assert {(row["model_first"], round(row["preference"], 6)) for row in made} == {(True, 1.8), (False, 1.2)}
    assert score["n"] == 30


def test_pairwise_answers_are_judged_in_both_orders(assets: Path) -> None:
    lines = (assets / "test_sets" / "vicuna.jsonl").read_text().splitlines()
    for name in ("a", "b"):
        rows = [{"question_id": json.loads(x)["question_id"], "output": f"{name} says"} for x in lines]
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with serving() as server:
        words = ("pairwise", "--answers", "a.jsonl", "b.jsonl", "--set", "vicuna")
        scores = last_json(tacos_eval(*words, "--config", judging(server.endpoint), "--out", "pw", "--json"))
    assert scores["sets"]["vicuna"]["tie"] == 80
    assert scores["sets"]["vicuna"]["first_position"]["mean"] == 1.0
    assert Path("pw/reviews_vicuna.json").exists()


def test_pairwise_answers_are_judged_with_a_prompt_of_ones_own(assets: Path) -> None:
    lines = (assets / "test_sets" / "vicuna.jsonl").read_text().splitlines()[:2]
    for name in ("a", "b"):
        rows = [{"question_id": json.loads(x)["question_id"], "output": f"{name} says"} for x in lines]
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["pairwise", "--answers", "a.jsonl", "b.jsonl", "--set", "vicuna", "--allow-incomplete", "--json"]
    with serving() as server:
        words += ["--config", judging(server.endpoint), "pairwise.system=Be strict."]
        Path("bad.txt").write_text("$question: {answer_1} or {answer_2}? $no")
        refused = tacos_eval(*words, "pairwise.prompt=bad.txt")
        assert "pairwise.prompt: $no is filled by nothing" in refused.stderr
        assert server.hits == 0
        Path("own.txt").write_text("$question\n1: $answer_1\n2: $answer_2\nTwo scores, then why.")
        server.respond = lambda body, times: (200, reply("9 7\nThe first is", "length"))
        scores = last_json(tacos_eval(*words, "pairwise.prompt=own.txt", "pairwise.sampling.max_tokens=512"))
    assert scores["sets"]["vicuna"]["tie"] == 2 and scores["sets"]["vicuna"]["first_position"]["mean"] == 1.0
    asked = server.bodies[0]
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert asked["messages"][1]["content"].endswith("Two scores, then why.") and asked["max_tokens"] == 512


def test_judge_check_stands_beside_the_longer_answer() -> None:
    pairs = [
        {"instruction": f"q{i}", "output_1": "word " * (i + 2), "output_2": "word", "label": 1 + i % 2}
        for i in range(10)
    ]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    checked = last_json(tacos_eval("judge-check", "--pairs", "pairs.jsonl", "--judge", "longer", "--json"))
    assert (checked["n"], checked["accuracy"]) == (10, 0.5)
    with serving() as server:
        words = ("judge-check", "--pairs", "pairs.jsonl", "--config", judging(server.endpoint), "--json")
        asked = last_json(tacos_eval(*words))
    assert (asked["accuracy"], asked["all"]["first_position"]["mean"]) == (0.5, 1.0)
    assert asked["longer_baseline"]["longer_wins"]["mean"] == 1.0
    assert any("shown first in 100.0%" in line for line in asked["recommendation"])


def test_several_judges_are_checked_on_the_same_pairs_and_one_is_recommended() -> None:
    rows = [
        {"prompt": f"q{i}", "response 1": "word " * (1 + i % 2), "response 2": "word ", "label": 1 - i % 2}
        for i in range(1, 40, 2)
    ]
    Path("auto_j.jsonl").write_text("\n".join(map(json.dumps, rows)))  # the longer is always the better
    with serving() as server:
        words = (
            "judge-check",
            "--pairs",
            "auto_j.jsonl",
            "--config",
            judging(server.endpoint),
            "--difference",
            "0.1",
        )
        words = (*words, "--judge", "judge", "--judge", "candidate", "longer")
        checked = last_json(tacos_eval(*words, "--json"))
        said = tacos_eval(*words, "--out", "checked")
    names = ["judge: LLM judge (m)", "candidate: LLM judge (m)", "longer wins"]
    assert list(checked["judges"]) == names and checked["best"] == "longer wins"
    assert {name: one["accuracy"] for name, one in checked["judges"].items()} == dict(
        zip(names, (0.5, 0.5, 1.0), strict=True)
    )
    assert checked["judges"]["longer wins"]["orders"]["difference"] == 0.1
    assert all(gap["difference"]["mean"] == -0.5 for gap in checked["beside_best"].values())
    assert "Warning: no judge here is shown to beat taking the longer answer" in said.stdout
    report = Path("checked/report.md").read_text()
    assert all(line in report.replace("\\", "") for line in checked["recommendation"])
    assert Path("checked/tables/judge_orders.csv").is_file()
    unknown = tacos_eval(*words, "--judge", "nobody")
    assert unknown.exit_code == 2 and "llms.nobody is not configured" in unknown.stderr


def answers(name: str, model: str, texts: list[str]) -> Path:
    """An answer file in FastChat's form, from question 81 on."""
    rows = [
        {"question_id": 81 + i, "model_id": model, "choices": [{"index": 0, "turns": [text, text]}]}
        for i, text in enumerate(texts)
    ]
    Path(name).write_text("\n".join(map(json.dumps, rows)))
    return Path(name)


def test_a_degenerate_model_is_seen(assets: Path) -> None:
    given = answers("a.jsonl", "broken", ["", "$ERROR$", "no " * 40, "Fine."])
    with serving() as server:
        words = ("mt-bench", "--answers", given, "--config", judging(server.endpoint), "--out", "mt")
        result = tacos_eval(*words, "--allow-incomplete")
        scores = last_json(tacos_eval(*words, "--allow-incomplete", "--json"))
    faults = "broken: of 8 answers 2 empty, 2 failed calls ($ERROR$), 2 one piece over and over"
    assert f"note: {faults}" in result.stdout and "faulty" in result.stdout
    assert "not judged: model 1 of 1 failed to answer ($ERROR$)" in result.stdout
    assert scores["models"]["broken"]["judged"] == 6 and scores["faults"]["broken"]["faulty"] == 6
    assert "Read with care: broken: of 8 answers 2 empty" in Path("mt/report.md").read_text()


def test_faulty_answers_of_a_set_are_in_the_pooled_row_too(assets: Path) -> None:
    from eval.pairwise.report import set_table
    from eval.pairwise.reviews import read_reviews
    from eval.pairwise.score import score_reviews

    first, second = answers("a.jsonl", "broken", ["", "Fine."]), answers("b.jsonl", "sound", ["Yes.", "No."])
    Path("q.jsonl").write_text("\n".join(json.dumps({"question_id": i, "text": "?"}) for i in (81, 82)))
    with serving() as server:
        words = ("pairwise", "--answers", first, second, "--set", "mine", "--questions", "q.jsonl")
        result = tacos_eval(*words, "--config", judging(server.endpoint), "--out", "p")
    assert "mine: broken: of 2 answers 1 empty" in result.stdout
    table = set_table(score_reviews([read_reviews(Path("p/reviews_mine.json"))]))
    faulty = next(i for i, column in enumerate(table.columns) if column.label == "faulty answers")
    assert [row.cells[faulty].text for row in table.rows] == ["1", "1"]


def test_answers_of_a_set_that_are_left_out_are_counted_in_the_table(assets: Path) -> None:
    first, second = answers("a.jsonl", "one", ["A.", "B.", "C."]), answers("b.jsonl", "two", ["D.", "E."])
    first.write_text(first.read_text() + "\n" + first.read_text().splitlines()[0])
    Path("q.jsonl").write_text("\n".join(json.dumps({"question_id": i, "text": "?"}) for i in (81, 82)))
    with serving() as server:
        words = ("pairwise", "--answers", first, second, "--set", "mine", "--questions", "q.jsonl", "--json")
        scores = last_json(tacos_eval(*words, "--config", judging(server.endpoint), "--out", "p"))
    for score in (scores["sets"]["mine"], scores["pooled"]):
        assert (score["n"], score["duplicate"], score["unknown"]) == (2, 1, 1)


def test_a_file_without_an_answer_says_why(assets: Path) -> None:
    Path("a.jsonl").write_text("<html>Not found</html>")
    with serving() as server:
        result = tacos_eval("mt-bench", "--answers", "a.jsonl", "--config", judging(server.endpoint))
    assert "no answer in a.jsonl: line 1: no JSON: broken or cut off" in result.stderr


def test_nothing_but_failed_answers_costs_no_call(assets: Path) -> None:
    given = answers("a.jsonl", "broken", ["$ERROR$", "$ERROR$"])
    with serving() as server:
        result = tacos_eval("mt-bench", "--answers", given, "--config", judging(server.endpoint))
        assert (result.exit_code, server.hits) == (1, 0)
    assert "nothing to judge: broken: of 4 answers 4 failed calls ($ERROR$)" in result.stderr


def test_two_models_of_one_name_are_refused_before_a_call(assets: Path) -> None:
    files = answers("a.jsonl", "m1", ["Yes."]), answers("b.jsonl", "m1", ["No."])
    with serving() as server:
        result = tacos_eval("mt-bench", "--answers", *files, "--config", judging(server.endpoint))
        assert (result.exit_code, server.hits) == (1, 0)
    assert "a.jsonl and b.jsonl both hold answers of 'm1'" in result.stderr


def test_what_was_dropped_of_outputs_is_counted(assets: Path) -> None:
    asked = [row["instruction"] for row in json.loads((assets / BASELINE).read_text())[:3]]
    rows = [
        {"instruction": i, "output": "Mine.", "generator": "mine"} for i in [*asked, asked[0], "Another?"]
    ]
    Path("out.json").write_text(json.dumps(rows))
    with serving() as server:
        words = ("alpaca-eval", "--outputs", "out.json", "--config", judging(server.endpoint), "--out", "al")
        score = last_json(tacos_eval(*words, "--allow-incomplete", "--json"))["models"]["mine"]
    assert (score["n"], score["duplicate"], score["unknown"], score["missing"]) == (3, 1, 1, 802)


def test_rows_that_a_server_refuses_say_so(assets: Path) -> None:
    asked = [row["instruction"] for row in json.loads((assets / BASELINE).read_text())[:8]]
    Path("out.json").write_text(json.dumps([{"instruction": i, "output": "Mine."} for i in asked]))
    refused = {"error": {"message": "filtered by the content management policy", "code": "content_filter"}}
    with serving() as server:
        server.respond = lambda body, times: (400, refused) if server.hits == 4 else (200, reply("A"))
        words = ("alpaca-eval", "--outputs", "out.json", "--config", judging(server.endpoint), "--out", "al")
        result = tacos_eval(*words, "alpaca_eval.top_logprobs=5", "--allow-incomplete")
    assert "1 row unparsed: HTTP 400: filtered by the content management policy" in result.stdout
    assert "7 preferences are 1 or 2 and none between: the judge gave no log-prob" in result.stdout


def test_unread_replies_are_asked_for_anew_on_request(assets: Path) -> None:
    given = answers("a.jsonl", "m", ["Fine."])
    with serving() as server:
        words = ("mt-bench", "--answers", given, "--config", judging(server.endpoint), "--allow-incomplete")
        server.respond = lambda body, times: (200, reply("I refuse."))
        assert last_json(tacos_eval(*words, "--json"))["models"]["m"]["unparsed"] == 2
        server.respond, asked = None, server.hits
        assert last_json(tacos_eval(*words, "--json"))["models"]["m"]["unparsed"] == 2
        assert server.hits == asked == 4
        assert last_json(tacos_eval(*words, "--retry-failed", "--json"))["models"]["m"]["judged"] == 2
        assert server.hits == asked + 2


def test_a_reply_that_was_cut_off_is_asked_for_anew_by_itself(assets: Path) -> None:
    given = answers("a.jsonl", "m", ["Fine."])
    with serving() as server:
        words = ("mt-bench", "--answers", given, "--config", judging(server.endpoint), "--allow-incomplete")
        server.respond = lambda body, times: (200, reply("", "length"))
        cut = tacos_eval(*words)
        assert "nothing said at the token limit (raise sampling.max_tokens above 2048, or" in cut.stdout
        assert server.hits == 2
        server.respond = None
        assert last_json(tacos_eval(*words, "--json"))["models"]["m"]["judged"] == 2


@pytest.mark.parametrize("mode", ["nonsense", "online"])
def test_scores_are_printed_whatever_becomes_of_tracking(
    assets: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setattr("tacos.tracking.problem._logged_in", lambda: False)
    given = answers("a.jsonl", "m", ["Fine."])
    with serving() as server:
        words = ("mt-bench", "--answers", given, "--config", judging(server.endpoint), "--allow-incomplete")
        result = tacos_eval(*words, "--out", "mt")
    assert result.exit_code == 0 and "7.00" in result.stdout
    assert "note: Weights & Biases will be left out" in result.stderr


@pytest.mark.parametrize("strip", [True, False])
def test_reasoning_of_a_candidate_is_left_out_and_counted(assets: Path, strip: bool) -> None:
    with serving() as server:
        judge = server.answer
        asks_a_verdict = ("[[rating]]", "[[A]]")

        def answer(content: str) -> str:
            said = judge(content)
            return (
                said
                if any(mark in said for mark in ("[[7]]", *asks_a_verdict))
                else f"<think>Hm</think>{said}"
            )

        server.answer = answer
        words = ("mt-bench", "--model", "candidate", "--config", judging(server.endpoint), "--out", "mt")
        result = tacos_eval(*words, f"answering.strip_reasoning={str(strip).lower()}")
    first = json.loads(Path("mt/answers.jsonl").read_text().splitlines()[0])["choices"][0]["turns"][0]
    assert first.startswith("<think>") is not strip
    assert ("lost a reasoning block" in result.stdout) is strip
