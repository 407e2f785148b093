"""A matrix of pools, bases and budgets, and sweeps: the cells they make, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import tacos.pipeline.plan as plans
from tacos.cli.app import app
from tacos.errors import ConfigError
from tacos.pipeline.matrix import cells, folder_name, swept
from tacos.stage import Stage
from tests.pipeline.helpers import write_pool

BASE: dict[str, Any] = {
    "name": "grid",
    "baseline": "random",
    "controls": [],
    "pool": {"holdout": 5, "source": "a.jsonl"},
    "arms": {"random": {"method": "random"}, "longest": {"method": "longest"}},
}
MATRIX = {
    "pools": {"alpaca": {"source": "a.jsonl"}, "evol": {"source": "e.jsonl", "holdout": 9}},
    "bases": {"tiny": {"model": "tiny"}, "qwen": {"model": "Qwen/Qwen2.5-0.5B"}},
    "budgets": [500, 1000],
}


def test_every_combination_is_an_experiment() -> None:
    found = cells(BASE | {"matrix": MATRIX})
    assert [cell.name for cell in found][:3] == [
        "alpaca, tiny, 500",
        "alpaca, tiny, 1000",
        "alpaca, qwen, 500",
    ]
    assert len(found) == 8
    last = found[-1].settings
    assert (last.pool.source, last.pool.holdout) == ("e.jsonl", 9) and found[0].settings.pool.holdout == 5
    assert (last.base.model, last.budget, last.name, last.runs) == (
        "Qwen/Qwen2.5-0.5B",
        1000,
        "evol-qwen-1000",
        "runs/grid",
    )
    assert found[0].where == {"pools": "alpaca", "bases": "tiny", "budgets": "500"}


def test_without_a_matrix_there_is_one_cell_as_the_file_has_it() -> None:
    (cell,) = cells(BASE | {"budget": 7})
    assert cell.where == {} and cell.settings.name == "grid" and cell.settings.runs == "runs"


def test_cells_are_left_out() -> None:
    found = cells(BASE | {"matrix": MATRIX | {"exclude": [{"pools": "evol", "budgets": 500}]}})
    assert len(found) == 6 and not any("evol" in c.name and "500" in c.name for c in found)


def test_arms_and_seeds_may_stand_in_the_matrix() -> None:
    matrix = {"budgets": {"few": 5}, "arms": BASE["arms"], "seeds": [0, 1, 2]}
    (cell,) = cells({"name": "x", "baseline": "random", "controls": [], "matrix": matrix})
    assert cell.settings.seeds == (0, 1, 2) and list(cell.settings.arms) == ["random", "longest"]
    assert (cell.name, cell.settings.budget) == ("few", 5)


def test_a_sweep_is_a_dimension() -> None:
    told = swept(["train.lr=1e-5,2e-5", "seeds=[0,1]", "budget=5", "pool.source=a,b.jsonl"])
    assert told.overrides == ["seeds=[0,1]", "budget=5"]
    assert told.sweeps == {"train.lr": ["1e-5", "2e-5"], "pool.source": ["a", "b.jsonl"]}
    sweeps = swept(["train.lr=1.0e-5,2.0e-5"])
    found = cells(sweeps.within(BASE | {"budget": 5, "matrix": {"budgets": [5], "seeds": [0]}}))
    assert [cell.settings.train.lr for cell in found if cell.settings.train] == [1e-5, 2e-5]
    assert [cell.name for cell in found] == ["5, 1.0e-5", "5, 2.0e-5"]
    written = cells(BASE | {"budget": 5, "matrix": {"train.lr": [1e-5, 2e-5], "budget": [5, 6]}})
    assert [cell.name for cell in written] == ["1e-05, 5", "1e-05, 6", "2e-05, 5", "2e-05, 6"]


def test_the_config_of_a_sweep_makes_the_same_cells() -> None:
    told = swept(["train.epochs=1,2", "budget=5"])
    data = told.within(BASE | {"budget": 5})
    again = yaml.safe_load(yaml.safe_dump(data))
    assert cells(again) == cells(data) and len(cells(data)) == 2


def test_a_recipe_is_varied_for_a_check() -> None:
    found = cells(BASE | {"budget": 5, "robustness": {"epochs": [3, 15], "lr": [1e-5, 2e-5]}})
    assert found[0].where == {"train.epochs": "3", "train.lr": "1e-05"} and len(found) == 4
    assert {cell.settings.train.epochs for cell in found if cell.settings.train} == {3, 15}
    with pytest.raises(ConfigError, match="at least two values each"):
        cells(BASE | {"budget": 5, "robustness": {"epochs": [3]}})


def test_a_variant_lies_over_the_whole_file() -> None:
    other = {"train": {"lr": 1e-3}, "arms": {"longest": {"budget": 3}}, "base": {"model": "org/other"}}
    one, two = cells(BASE | {"budget": 5, "matrix": {"variants": {"as-is": {}, "other": other}}})
    assert one.settings.base.model == "tiny" and two.settings.base.model == "org/other"
    assert two.settings.budget_of("longest") == 3 and two.settings.budget_of("random") == 5
    assert two.settings.train and two.settings.train.lr == 1e-3
    with pytest.raises(ConfigError, match=r"matrix\.variants: give entries by name"):
        cells(BASE | {"budget": 5, "matrix": {"variants": {"odd": 5}}})


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ({"pool": {}}, r"matrix\.pool: .*pools"),
        ({"pools": [1]}, r"matrix\.pools: give entries by name"),
        ({"budgets": 500}, r"matrix\.budgets: give entries by name"),
        ({"budgets": {"few": 0}}, "cell few: .*budget"),
        ({"bases": {"odd": {"modle": "x"}}, "budgets": [5]}, r"cell odd, 5: .*base\.modle.*model"),
        ({"budgets": [5], "exclude": [{"budgets": 6}]}, r"matrix\.exclude\.budgets=6: known: 5"),
        ({"budgets": [5], "exclude": [{"pools": "a"}]}, r"matrix\.exclude\.pools: .*budgets"),
        ({"budgets": [5], "exclude": [{"budgets": 5}]}, "no cell is left"),
        ({"budgets": [5], "exclude": {"budgets": 5}}, r"matrix\.exclude: give a list"),
        ({"budgets": {"a b": 5, "a_b": 6}}, "have one folder, a_b"),
        ([5], "matrix: name dimensions"),
    ],
)
def test_what_makes_no_sense_is_refused(matrix: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cells(BASE | {"matrix": matrix})


def test_the_folder_of_a_cell_has_plain_letters() -> None:
    assert folder_name({"a": "../x y", "b": "1e-5"}) == "x_y-1e-5"


def config(folder: Path, matrix: dict[str, Any]) -> Path:
    tiny = {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 4, "block": 64}
    data = {
        "name": "grid",
        "baseline": "random",
        "controls": [],
        "pool": {"source": str(write_pool(folder / "pool.jsonl")), "holdout": 3},
        "arms": {"random": {"method": "random"}, "longest": {"method": "longest"}},
        "base": {"tiny": tiny},
        "train": {"epochs": 1, "batch_size": 4, "max_length": 128, "lr": 1e-3},
        "eval": {"generate": {"max_new_tokens": 4}},
        "artifacts": str(folder / "artifacts"),
        "runs": str(folder / "runs"),
        "tracking": {"mode": "disabled"},
        "matrix": matrix,
    }
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def told(*command: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == 0, result.output[-2000:]
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_cells_share_what_is_the_same_and_stand_in_one_table(tmp_path: Path) -> None:
    path = str(config(tmp_path, {"budgets": [4, 6]}))
    planned = told("plan", path)
    assert [each["cell"] for each in planned["grid"]] == ["4", "6"]
    none = {stage: [0, 1] for stage in ("select", "train", "answer")}
    assert planned["grid"][0]["arms"][0] == {"arm": "random", "stages": none}
    shared = {s["stage"]: s["arms"] for s in planned["stages"] if s["stage"] in ("load", "base")}
    assert len(shared["load"]) == 4 and "4: random/seed0" in shared["base"]

    first = told("run", path)
    assert [each["where"] for each in first["cells"]] == [{"budgets": "4"}, {"budgets": "6"}]
    for each in first["cells"]:
        assert (Path(each["run_dir"]) / "report.html").is_file()
    folder = tmp_path / "runs" / "grid"
    text = (folder / "cells.md").read_text()
    assert "| arm | 4 | 6 |" in text and "[4](4/report.html)" in text
    assert (folder / "tables" / "heldout_loss.csv").read_text().startswith("arm,4,6\nrandom,")
    assert len(list((tmp_path / "artifacts" / "base").glob("*/done.json"))) == 1

    again = told("plan", path, "matrix.budgets=[4,6,8]")
    states = {each["cell"]: each["arms"][0]["stages"]["train"] for each in again["grid"]}
    assert states == {"4": [1, 1], "6": [1, 1], "8": [0, 1]}  # a new entry pays for its own cells


def test_a_sweep_on_the_command_line_runs_a_cell_for_each_value(tmp_path: Path) -> None:
    path = config(tmp_path, {"budgets": [4]})
    shown = CliRunner().invoke(app, ["plan", str(path), "train.lr=1.0e-3,2.0e-3"])
    assert shown.exit_code == 0, shown.output
    assert "4, 1.0e-3  select" in shown.stdout and "longest    1 to do" in shown.stdout


def test_a_stage_that_cells_share_is_planned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(stage: Stage, *rest: Any) -> plans.PlannedStage:
        asked.append(stage.fingerprint)
        return planned(stage, *rest)

    planned = plans.planned_stage
    monkeypatch.setattr(plans, "planned_stage", counted)
    found = cells(yaml.safe_load(config(tmp_path, {"budgets": [4, 6]}).read_text()))
    stages = plans.plan_cells(found)
    assert sorted(asked) == sorted(stage.fingerprint for stage in stages)
    (load,) = [stage for stage in stages if stage.stage == "load"]
    assert {arm.split(":")[0] for arm in load.arms} == {"4", "6"}
