"""What Weights & Biases is told by each command, read back from its offline run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tacos.cli.app import app
from tacos.tracking import live
from tests.cli.test_cli_eval import answers, judging, serving, single
from tests.llm.server import Fault, FaultServer
from tests.pipeline.helpers import LLM_TACOS, reply_to, write_pool
from tests.scoring.test_iqs import toy_pairs
from tests.wandb_log import runs

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def tacos(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == code, result.output
    return result


def logged(run: dict[str, Any]) -> dict[str, Any]:
    """The last value of everything in the history."""
    found: dict[str, Any] = {}
    for row in run["history"]:
        found |= row
    return found


def select_by_llm(endpoint: str, *more: str, rows: int = 40) -> list[str]:
    llm = {
        "model": "m",
        "endpoint": endpoint,
        "price_per_million_input": 1.0,
        "price_per_million_output": 2.0,
    }
    Path("select.yaml").write_text(
        yaml.safe_dump({"llms": {"tagger": llm, "scorer": llm}, **LLM_TACOS, "budget": 10})
    )
    pool = Path("pool.jsonl").resolve()
    write_pool(pool, rows)
    return ["select", str(pool), "--config", "select.yaml", "--out", "out.jsonl", *more]


def test_select(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.02)
    with FaultServer(answer=reply_to, delay_s=0.03) as server:
        named = ("tracking.group=trial", "tracking.tags=[mine]")
        tacos(*select_by_llm(server.endpoint, *named, rows=300))
    (folder,) = Path("runs").glob("select-tacos-*")
    (run,) = runs(folder)
    assert (run["group"], run["job"], run["exit"]) == ("trial", "select", 0)
    assert run["tags"] == ["tacos", "pool:pool.jsonl", "mine"] and run["id"].startswith("select-")
    assert run["config"]["pool"]["source"] == ".../pool.jsonl" and run["config"]["budget"] == 10
    told = json.loads((folder / "select.json").read_text())
    summary = run["summary"]
    assert (summary["select/rows"], summary["select/pool_rows"]) == (
        10,
        300,
    ) and "select/defect_rate" not in summary
    assert summary["usage/calls"] == told["usage"]["calls"] == summary["llm/calls"] > 440
    assert (
        summary["usage/cost_usd"] == pytest.approx(told["usage"]["cost_usd"]) and summary["llm/cost_usd"] > 0
    )
    calls = [row["llm/calls"] for row in run["history"] if "llm/calls" in row]
    assert len(calls) > 2 and calls == sorted(calls) and calls[-1] == summary["llm/calls"]
    times = [row["time_s"] for row in run["history"] if "time_s" in row]
    assert times == sorted(times) and all(
        row["llm/calls_per_second"] > 0 for row in run["history"] if "llm/calls" in row
    )
    assert logged(run)["select/selection/nrows"] == 10
    kinds = {a["type"] for a in run["artifacts"]}
    assert {"pool", "tags", "scores", "selection"} <= kinds


def test_a_selection_that_fails_ends_with_the_commands_code() -> None:
    with FaultServer(plan=lambda content, times: Fault.REFUSED) as server:
        tacos(*select_by_llm(server.endpoint), code=1)
    (folder,) = Path("runs").glob("select-tacos-*")
    (run,) = runs(folder)
    assert run["exit"] == 1


def test_the_same_selection_goes_on_as_the_same_run() -> None:
    with FaultServer(answer=reply_to) as server:
        tacos(*select_by_llm(server.endpoint))
        tacos(*select_by_llm(server.endpoint))
    (folder,) = Path("runs").glob("select-tacos-*")
    first, second = sorted(runs(folder), key=lambda run: run["summary"]["stage/tag/reused"])
    assert first["id"] == second["id"] and second["summary"]["stage/tag/reused"]
    assert second["summary"]["usage/calls"] == 60 and second["summary"]["usage_now/calls"] == 0


def test_answers_of_a_served_model(assets: Path) -> None:
    rows = [{"question_id": i, "turns": [f"What is {i}?"]} for i in range(3)]
    Path("q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving() as server:
        words = ["generate", "--model", "candidate", "--questions", "q.jsonl", "--out", "out/a.jsonl"]
        tacos(*words, "--config", judging(server.endpoint))
    (run,) = runs(Path("out"))
    assert (run["name"], run["job"], run["exit"], run["tags"]) == ("a", "answer", 0, ["model:candidate"])
    assert run["summary"]["answers/n"] == 3 and run["summary"]["llm/calls"] == 3
    assert logged(run)["answers/nrows"] == 3
    assert [a["type"] for a in run["artifacts"] if "a.jsonl" in a["files"]] == ["answers"]


def test_a_judged_model(assets: Path) -> None:
    given = answers("a.jsonl", "m", ["Fine."])
    with serving() as server:
        words = ["eval", "mt-bench", "--answers", given, "--config", judging(server.endpoint), "--out", "mt"]
        tacos(*words, "--allow-incomplete")
    (run,) = runs(Path("mt"))
    scores = json.loads(Path("mt/scores.json").read_text())
    assert (run["job"], run["name"], run["group"]) == ("eval", "mt", "mt")
    assert run["summary"]["mt_bench/average"] == 7.0 and run["summary"]["llm/calls"] == 2 and scores
    told = logged(run)
    assert told["report/_type"] == "html-file" and told["tables/mt_bench/nrows"] == 1
    assert {"results", "judgments"} <= {a["type"] for a in run["artifacts"]}


def test_too_little_judged_ends_as_a_failure(assets: Path) -> None:
    given = answers("a.jsonl", "m", ["Fine."])
    with serving() as server:
        tacos(
            "eval",
            "mt-bench",
            "--answers",
            given,
            "--config",
            judging(server.endpoint),
            "--out",
            "mt",
            code=1,
        )
    assert [run["exit"] for run in runs(Path("mt"))] == [1]


def test_stored_judgments_of_two_models_share_their_columns() -> None:
    lines = [single(q, t, s, m) for m, s in (("a", 4.0), ("b", 6.0)) for q in (81, 82) for t in (1, 2)]
    Path("j.jsonl").write_text("\n".join(lines))
    tacos("eval", "mt-bench", "--judgments", "j.jsonl", "--allow-incomplete")
    found = {run["name"]: run for run in runs(Path("runs"))}
    assert set(found) == {"MT-Bench", "a", "b"} and {run["group"] for run in found.values()} == {"MT-Bench"}
    assert [found[name]["summary"]["mt_bench/average"] for name in ("a", "b")] == [4.0, 6.0]
    assert set(found["a"]["summary"]) == set(found["b"]["summary"])
    assert logged(found["MT-Bench"])["tables/mt_bench/nrows"] == 2


def test_a_scorer_is_trained_and_measured() -> None:
    rows = [{"instruction": p.prompt, "pos": p.better, "neg": p.worse} for p in toy_pairs().pairs]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    quick = ["light.floor_slope=0", "cross_validation.repeats=1", "tracking.group=scorers"]
    tacos("iqs", "train", "--pairs", "pairs.jsonl", "--out", "s/m", *quick)
    tacos("iqs", "eval", "--model", "s/m", "--pairs", "pairs.jsonl", "tracking.group=scorers")
    (made,), (measured,) = runs(Path("s")), runs(Path("runs"))
    assert (made["job"], made["group"], measured["group"]) == ("iqs", "scorers", "scorers")
    assert made["summary"]["iqs/cross_validation/pair_accuracy/mean"] > 0.9
    assert 0.5 < measured["summary"]["iqs/pair_accuracy"] <= 1


def test_nothing_of_a_key_or_a_private_path_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "canary-4711")
    with FaultServer(answer=reply_to) as server:
        tacos(*select_by_llm(server.endpoint, "llms.tagger.api_key_env=SECRET_OF_MINE"))
    (folder,) = Path("runs").glob("select-tacos-*")
    (run,) = runs(folder)
    told = str([run[key] for key in ("config", "summary", "history", "tags", "name")])
    assert "canary-4711" not in told and str(Path.cwd()) not in told and os.path.expanduser("~") not in told
    assert "canary-4711" not in next(folder.glob("wandb/*/*.wandb")).read_bytes().decode("latin-1")


def test_a_disabled_run_leaves_no_file() -> None:
    with FaultServer(answer=reply_to) as server, pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_MODE")
        tacos(*select_by_llm(server.endpoint, "tracking.mode=disabled"))
    assert not list(Path("runs").glob("*/wandb"))
