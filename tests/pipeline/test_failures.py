"""An arm that cannot be finished is named and left out, the others have results; a plan that costs too much."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tacos.cli.app import app
from tests.pipeline.helpers import write_pool

BROKEN = {"method": "recipe", "group": "none", "score": {"by": "file", "path": ""}, "allocate": "top"}


def config(folder: Path, **changed: Any) -> Path:
    scores = folder / "scores.jsonl"
    scores.write_text('{"id": "nobody", "value": 1}\n')
    broken = BROKEN | {"score": {"by": "file", "path": str(scores)}}
    data = {
        "name": "partly",
        "baseline": "random",
        "controls": [],
        "budget": 4,
        "seeds": [0, 1],
        "pool": {"source": str(write_pool(folder / "pool.jsonl")), "holdout": 3},
        "arms": {"broken": broken, "random": {"method": "random"}, "longest": {"method": "longest"}},
        "train": None,
        "artifacts": str(folder / "artifacts"),
        "runs": str(folder / "runs"),
        "tracking": {"mode": "disabled"},
    }
    path = folder / "partly.yaml"
    path.write_text(yaml.safe_dump(data | changed, sort_keys=False))
    return path


def test_the_others_go_on_and_the_exit_code_tells(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", str(config(tmp_path)), "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout.splitlines()[-1])
    assert [arm["arm"] for arm in told["summary"]] == ["random", "longest"]
    (failure,) = told["failures"]
    assert (failure["arm"], failure["seed"], failure["stage"]) == ("broken", 0, "select")
    assert "names none of the pool's 21 ids" in failure["reason"]
    page = (tmp_path / "runs" / "partly" / "report.md").read_text()
    assert "broken is missing from every table: select failed for seed 0" in page


def test_the_first_failure_stops_where_that_is_asked_for(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", str(config(tmp_path)), "--fail-fast"])
    assert result.exit_code == 1 and "names none of the pool's 21 ids" in result.stderr
    assert not (tmp_path / "runs" / "partly" / "results.json").exists()


def test_without_its_baseline_an_experiment_has_no_result(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", str(config(tmp_path)), "baseline=broken"])
    assert result.exit_code == 1 and "names none of the pool's 21 ids" in result.stderr
    assert not (tmp_path / "runs" / "partly" / "results.json").exists()


def test_a_cell_without_a_result_is_missing_and_said(tmp_path: Path) -> None:
    arms = {"random": {"method": "random"}, "longest": {"method": "longest"}}
    (tmp_path / "bad.jsonl").write_text("nothing of a pool\n" * 9)
    pools = {"good": {}, "bad": {"source": str(tmp_path / "bad.jsonl")}}
    path = config(tmp_path, arms=arms, matrix={"pools": pools})
    result = CliRunner().invoke(app, ["run", str(path), "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout.splitlines()[-1])
    assert [cell["cell"] for cell in told["cells"]] == ["good"] and told["missing"] == ["bad"]


@pytest.mark.parametrize(
    ("prices", "most", "message"),
    [
        ({"price_per_million_input": 100, "price_per_million_output": 100}, "0.0001", "above --max-cost"),
        ({}, "5", "the price of 24 planned calls is not known"),
    ],
)
def test_a_plan_that_costs_too_much_is_not_started(
    tmp_path: Path, prices: dict[str, float], most: str, message: str
) -> None:
    llms = {"scorer": {"model": "nobody-knows", "endpoint": "http://127.0.0.1:9/v1", **prices}}
    arms = {"random": {"method": "random"}, "rated": {"method": "alpagasus", "score": {"llm": "scorer"}}}
    path = config(tmp_path, arms=arms, llms=llms, seeds=[0])
    result = CliRunner().invoke(app, ["run", str(path), "--max-cost", most])
    assert result.exit_code == 1 and message in result.stderr
    assert not (tmp_path / "runs").exists()


def test_the_headline_is_about_the_arm_in_focus(tmp_path: Path) -> None:
    arms = {"random": {"method": "random"}, "full": {"method": "full"}, "longest": {"method": "longest"}}
    path = config(tmp_path, arms=arms, focus="full", seeds=[0])
    assert CliRunner().invoke(app, ["run", str(path)]).exit_code == 0
    assert "full selected 21 of 21 rows" in (tmp_path / "runs" / "partly" / "report.md").read_text()
    for focus, message in (
        ("random", "focus 'random' is the baseline"),
        ("ful", "focus 'ful' is not an arm"),
    ):
        result = CliRunner().invoke(app, ["run", str(path), f"focus={focus}"])
        assert result.exit_code == 2 and message in result.stderr


def test_a_budget_that_one_arms_scores_do_not_fill_is_that_arms(tmp_path: Path) -> None:
    choosy = {"method": "longest", "allocate": {"least": 1e9}}
    arms = {"random": {"method": "random"}, "longest": {"method": "longest"}, "choosy": choosy}
    result = CliRunner().invoke(app, ["run", str(config(tmp_path, arms=arms)), "--json"])
    assert result.exit_code == 1, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert [arm["arm"] for arm in told["summary"]] == ["random", "longest"]
    (failure,) = told["failures"]
    assert failure["arm"] == "choosy" and "samples with a score of 1e+09 or more" in failure["reason"]
    stopped = CliRunner().invoke(app, ["run", str(config(tmp_path, arms=arms)), "--fail-fast"])
    assert stopped.exit_code == 2 and "samples with a score of 1e+09 or more" in stopped.stderr
