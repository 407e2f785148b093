"""Shipped configs are found by name from any folder, after files of one's own."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tacos.cli.app import app
from tacos.config import parse, read_yaml
from tacos.errors import ConfigError
from tacos.shipped import find, folder, names
from train.settings import TrainRun, TrainSettings


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_shipped_config_is_found_by_its_name() -> None:
    assert {"quickstart", "experiments/size_curve", "select/tacos", "deepspeed/zero3.json"} <= set(names())
    assert {find(name) for name in names()} == {
        p for p in folder().rglob("*") if p.suffix in (".yaml", ".json")
    }


@pytest.mark.parametrize(
    "named", ["quickstart", "quickstart.yaml", "configs/quickstart.yaml", "./quickstart"]
)
def test_a_config_is_named_with_or_without_folder_and_ending(named: str) -> None:
    assert find(named) == folder() / "quickstart.yaml"


def test_a_file_of_ones_own_goes_first_then_those_of_the_working_folder() -> None:
    Path("configs/select").mkdir(parents=True)
    Path("configs/select/tacos.yaml").write_text("budget: 7")
    assert read_yaml(Path("select/tacos")) == {"budget": 7}
    Path("select").mkdir()
    Path("select/tacos").write_text("budget: 8")
    assert read_yaml(Path("select/tacos")) == {"budget": 8}
    assert find("select/car") == folder() / "select" / "car.yaml"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("quickstrat", r"no config file quickstrat: did you mean 'quickstart', which tacos ships\?"),
        ("ablation_builtin", "'experiments/ablation_builtin'"),
        ("configs/select/tacso.yaml", "'select/tacos'"),
        ("../quickstart", "'quickstart'"),
        ("x" * 300, "give the path of a YAML file"),
        ("/nowhere/xyz.yaml", "give the path of a YAML file, or a name such as quickstart"),
    ],
)
def test_what_is_neither_says_the_nearest_shipped_name(named: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find(named)


def test_a_recipe_and_deepspeed_settings_are_found_from_anywhere() -> None:
    recipe = parse(TrainSettings, {"recipe": "train/llama2_7b_full_zero3", "lr": 0.5})
    assert (recipe.lr, recipe.deepspeed) == (0.5, "configs/deepspeed/zero3_offload.json")
    assert parse(TrainRun, read_yaml(Path("train/llama2_7b_full_zero3"))).train.epochs == 15
    with pytest.raises(
        ConfigError, match=r"deepspeed: no config file zero3\.jsn: did you mean 'deepspeed/zero3\.json'"
    ):
        parse(TrainSettings, {"deepspeed": "zero3.jsn"})


def test_commands_take_a_name_and_say_which_file_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    done = CliRunner().invoke(app, ["plan", "quickstart", "--json", "train=null", "pool.builtin.size=300"])
    assert done.exit_code == 0, done.stderr
    planned = json.loads(done.stdout.splitlines()[-1])["stages"]
    assert {"tacos/seed0", "longest/seed0"} <= {arm for stage in planned for arm in stage["arms"]}
    assert f"quickstart is {folder() / 'quickstart.yaml'}" in caplog.text
    for words in (
        ["plan", "quickstart"],
        ["select", "builtin", "--config", "quickstart"],
        ["train", "quickstart"],
    ):
        wrong = [word.replace("quickstart", "quickstar") for word in words]
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 2 and "did you mean 'quickstart'" in refused.stderr, words
