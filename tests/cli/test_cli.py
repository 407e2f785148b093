"""The command line: what it prints, where, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tacos import __version__
from tacos.allocation.base import check_budget
from tacos.cli.app import spent
from tacos.errors import BudgetError
from tacos.usage import Usage
from tests.cli.helpers import last_json, tacos
from tests.pipeline.helpers import write_pool


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pool(tmp_path / "pool.jsonl")


def test_select_writes_the_rows_and_reports_by_contract() -> None:
    found = last_json(
        tacos("select", "pool.jsonl", "--method", "random", "--budget", "5", "--out", "a/b.jsonl", "--json")
    )
    assert set(found) == {
        "pool",
        "selected",
        "dropped",
        "dropped_reasons",
        "method",
        "budget",
        "seconds",
        "usage",
        "unanswered",
        "paid_now",
        "scorer",
        "out",
        "run_dir",
    }
    assert (found["pool"], found["selected"], found["dropped"], found["budget"]) == (24, 5, 0, 5)
    rows = [json.loads(line) for line in Path("a/b.jsonl").read_text().splitlines()]
    assert len(rows) == 5
    assert yaml.safe_load((Path(found["run_dir"]) / "config.yaml").read_text())["method"] == "random"
    assert (Path(found["run_dir"]) / "artifacts" / "select" / "selection.jsonl").exists()


@pytest.mark.parametrize(
    "name", ["\U0001f600.jsonl", "名前 #1: x.jsonl", "a=b.jsonl", "[x].jsonl", "null", "e\u0301.jsonl"]
)
def test_a_file_may_have_any_name(name: str) -> None:
    Path("pool.jsonl").rename(name)
    found = last_json(tacos("select", name, "--method", "full", "--out", f"o{name}", "--json"))
    assert (found["selected"], found["out"]) == (24, f"o{name}")
    assert len(Path(f"o{name}").read_text(encoding="utf-8").splitlines()) == 24


def test_logs_stay_off_stdout() -> None:
    result = tacos("select", "pool.jsonl", "--method", "longest", "--budget", "5", "--out", "o.jsonl")
    assert result.stdout.startswith("longest selected 5 of 24 rows")
    (_, scorer, where) = result.stdout.splitlines()
    (run,) = Path("runs").iterdir()
    assert where == f"every row and why: tacos view {run}; one: tacos show {run} ID"
    assert scorer.startswith("scorer length on 24 rows: 0.0% without a score, length correlation 1.00")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["select", "pool.jsonl", "--method", "tacso"], 2, "unknown method 'tacso': did you mean 'tacos'?"),
        (["select", "pool.jsonl", "--method", "random", "--budget", "99"], 2, "ask for at most 24"),
        (
            ["select", "pool.jsonl", "--method", "random", "--budget", "5", "buget=3"],
            2,
            "did you mean 'budget'?",
        ),
        (["select", "pol.jsonl", "--method", "random", "--budget", "5"], 1, "pol.jsonl"),
        (["run", "none.yaml"], 2, "no config file none.yaml"),
        (["report", "."], 1, "no results.json"),
        (
            ["generate", "--model", "no/such", "--questions", "q.jsonl", "--out", "o.jsonl"],
            1,
            "no questions file",
        ),
    ],
)
def test_errors_are_one_line_and_a_code(words: list[str], code: int, message: str) -> None:
    result = tacos(*words)
    assert result.exit_code == code, result.output
    line = next(line for line in result.stderr.splitlines() if line.startswith("tacos: "))
    assert message in line
    assert "Traceback" not in result.stderr


def test_a_budget_above_the_pool_costs_no_call() -> None:
    nobody = {"model": "m", "endpoint": "http://127.0.0.1:9/v1"}
    chosen = {
        "llms": {"tagger": nobody, "scorer": nobody},
        "group": {"by": "tags", "tagging": {"llm": "tagger"}},
        "budget": 25,
    }
    Path("select.yaml").write_text(yaml.safe_dump(chosen))
    result = tacos("select", "pool.jsonl", "--config", "select.yaml")
    assert result.exit_code == 2
    assert "ask for at most 24" in result.stderr
    assert not Path("artifacts/tag").exists()


EXPERIMENT = {
    "name": "x",
    "budget": 5,
    "baseline": "random",
    "controls": [],
    "pool": {"source": "pool.jsonl"},
    "arms": {"random": {"method": "random"}, "longest": {"method": "longest"}},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("budget=25", "ask for at most 24"),
        ("pool.holdout=0", "set pool.holdout or pool.questions"),
        ("pool.questions=q.jsonl", "the reference judge needs references"),
    ],
)
def test_what_cannot_end_well_stops_before_training(change: str, message: str) -> None:
    Path("q.jsonl").write_text('{"question_id": 1, "text": "Why?"}\n')
    Path("x.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    result = tacos("run", "x.yaml", change)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("artifacts/train").exists() and not Path("artifacts/base").exists()


def test_a_run_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    Path("x.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    assert "one process" in tacos("run", "x.yaml").stderr


def test_an_unexpected_error_is_still_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("surprise")

    monkeypatch.setattr("tacos.pipeline.select.select", broken)
    result = tacos("select", "pool.jsonl")
    assert result.exit_code == 1
    assert result.stderr.strip().endswith("RuntimeError: surprise; set TACOS_DEBUG=1 for where")


def test_an_unexpected_error_in_a_part_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("words")

    monkeypatch.setattr("tacos.scoring.length.Length.score", broken)
    result = tacos("select", "pool.jsonl", "--method", "longest", "--budget", "5")
    assert result.exit_code == 1
    said = "in the stage score (length), a bug in tacos or in code of your own: KeyError: 'words'"
    assert said in result.stderr


def test_damaged_artifacts_are_done_again() -> None:
    words = ("select", "pool.jsonl", "--method", "random", "--budget", "5")
    assert tacos(*words).exit_code == 0
    done = next(Path("artifacts/select").glob("*/done.json"))
    done.write_text(done.read_text()[:40])
    assert tacos(*words).exit_code == 0  # a torn record is worked on again
    pool = next(Path("artifacts/load").glob("*/pool.parquet"))
    pool.write_bytes(b"garbage")
    done.unlink()
    result = tacos(*words)
    assert result.exit_code == 0 and pool.read_bytes()[:4] == b"PAR1"


def test_plan_prices_the_judge() -> None:
    judge = {"model": "m", "price_per_million_input": 1.0, "price_per_million_output": 1.0}
    settings = EXPERIMENT | {
        "pool": {"source": "pool.jsonl", "holdout": 4},
        "llms": {"judge": judge},
        "eval": {"judge": {"by": "llm"}},
    }
    Path("x.yaml").write_text(yaml.safe_dump(settings))
    stages = last_json(tacos("plan", "x.yaml", "--json"))["stages"]
    assert [s["estimate"]["calls"] for s in stages if s["stage"] == "judge"] == [2 * 4]


def test_bad_pools() -> None:
    Path("bad.jsonl").write_text("not json\n" * 30)
    Path("odd.jsonl").write_text('{"a": 1}\n' * 3)
    for name, message in (("bad.jsonl", "bad.jsonl"), ("odd.jsonl", "format")):
        result = tacos("select", name, "--method", "random", "--budget", "1")
        assert result.exit_code == 1
        assert message in result.stderr


def test_a_partly_bad_pool_is_counted_by_line_and_reason() -> None:
    text = Path("pool.jsonl").read_text() + '{"instruction": "x", "input": "", "output": ""}\n{"instr\n'
    Path("pool.jsonl").write_text(text)
    found = last_json(tacos("select", "pool.jsonl", "--method", "full", "--out", "o.jsonl", "--json"))
    assert (found["pool"], found["selected"], found["dropped"]) == (26, 24, 2)
    dropped = next(Path("artifacts/load").glob("*/dropped.jsonl")).read_text().splitlines()
    assert [(json.loads(d)["line"], json.loads(d)["reason"]) for d in dropped] == [
        (25, "empty_response"),
        (26, "broken_json"),
    ]


def test_methods_and_doctor() -> None:
    names = [m["name"] for m in last_json(tacos("methods", "--json"))["methods"]]
    assert {"tacos", "random", "full", "longest"} <= set(names)
    listed = tacos("methods").stdout
    assert all(name in listed for name in names)  # whole, however narrow the terminal
    parts, known = tacos("parts").stdout, last_json(tacos("parts", "--json"))["parts"]
    assert all(part["by"] in parts for part in known)
    checks = last_json(tacos("doctor", "--json"))["checks"]
    assert {"python", "torch", "device", "embedding model"} <= {c["name"] for c in checks}


def test_a_config_in_the_place_of_a_pool_or_of_an_experiment_is_told_where_it_belongs() -> None:
    Path("s.yaml").write_text("method: random\nbudget: 5\n")
    as_pool = tacos("select", "s.yaml")
    assert as_pool.exit_code == 1 and "`tacos select POOL --config s.yaml`" in as_pool.stderr
    as_experiment = tacos("run", "s.yaml")
    assert as_experiment.exit_code == 2 and "reads like a config of `tacos select`" in as_experiment.stderr


def test_plan_prices_a_selection_and_does_no_work() -> None:
    llm = {"model": "m", "price_per_million_input": 1.0, "price_per_million_output": 1.0}
    chosen = {
        "pool": {"source": "pool.jsonl"},
        "llms": {"tagger": llm, "scorer": llm},
        "budget": 5,
        "group": {"by": "tags", "tagging": {"llm": "tagger"}},
        "score": {"llm": "scorer"},
    }
    Path("select.yaml").write_text(yaml.safe_dump(chosen))
    found = last_json(tacos("plan", "select.yaml", "--json"))
    calls = {s["stage"]: s["estimate"]["calls"] for s in found["stages"]}
    assert (calls["tag"], calls["compare"], calls["load"]) == (24, 2 * 12, 0)  # two clusters expected
    assert found["total"]["cost_usd"] > 0
    assert not Path("artifacts").exists()


@pytest.mark.parametrize(
    "command", ["run", "plan", "select", "train", "generate", "methods", "report", "doctor"]
)
def test_every_command_has_help(command: str) -> None:
    assert tacos(command, "--help").exit_code == 0


def test_the_version_is_told_alone() -> None:
    told = tacos("--version")
    assert told.exit_code == 0 and told.stdout == f"tacos {__version__}\n"


def test_a_small_sum_is_not_told_as_nothing_nor_a_cached_call_as_paid() -> None:
    first = Usage(calls=20, prompt_tokens=200, completion_tokens=100, cost_usd=0.0004)
    assert spent(first) == "20 calls, 300 tokens, $0.00040"
    again = Usage(cached_calls=20, cached_unpriced_calls=20)
    assert spent(again) == "0 calls, 0 tokens, $0"
    assert spent(again.as_first_paid()) == "20 calls, 0 tokens, price unknown"


def test_a_pool_without_a_score_is_told_with_what_helps() -> None:
    with pytest.raises(BudgetError, match=r"there are no samples that have a score, .*--retry-failed"):
        check_budget(6, 0, "samples that have a score")
