"""Switches in YAML and on the command line mean what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacos.config import load
from tacos.errors import ConfigError
from train.settings import TrainRun


def read(tmp_path: Path, text: str, *overrides: str) -> TrainRun:
    path = tmp_path / "run.yaml"
    path.write_text(f"data: d.jsonl\nmodel: m\ntrain: {{{text}}}\n", encoding="utf-8")
    return load(TrainRun, path, overrides)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("on", True), ("off", False), ("yes", True), ("no", False), ("true", True), ("False", False)],
)
def test_packing_takes_every_word_for_a_switch_quoted_or_not(written, meant, tmp_path):
    for value in (written, f'"{written}"', f"'{written}'"):
        assert read(tmp_path, f"packing: {value}").train.packing is meant
        assert read(tmp_path, "", f"train.packing={value}").train.packing is meant
    assert read(tmp_path, "packing: auto").train.packing == "auto"
    assert read(tmp_path, "").train.packing == "auto"


def test_a_word_that_is_no_switch_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"train\.packing.*should be 'auto'.*\(got 'always'\)"):
        read(tmp_path, "packing: always")


def test_off_unsets_what_may_be_unset(tmp_path):
    made = read(tmp_path, "neftune_alpha: off, patience: no, deepspeed: off").train
    assert (made.neftune_alpha, made.patience, made.deepspeed) == (None, None, None)


def test_a_name_that_yaml_takes_for_a_switch_is_written_in_quotes(tmp_path):
    with pytest.raises(
        ConfigError, match="'disabled' \\(got False, as YAML reads off, no and false: write a name in quo"
    ):
        read(tmp_path, "", "tracking.mode=off")
    with pytest.raises(ConfigError, match="write a name in quotes"):
        read(tmp_path, "", "tracking.name=on")
    assert read(tmp_path, "", "tracking.name='on'").tracking.name == "on"


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("train.save_steps=on", "save_steps"),
        ("train.validation=yes", "validation"),
        ("train.lora.r=on", "r"),
        ("train.launch.processes=on", "processes"),
        ("tiny.layers=on", "layers"),
        ("seed=off", "seed"),
    ],
)
def test_a_number_is_no_switch(setting, name, tmp_path):
    with pytest.raises(ConfigError, match=f"{name} is no switch, .*: give a number, or a name in quotes"):
        read(tmp_path, "", setting)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[]", "no object with zero_optimization"), ("{}", "no object"), ("stage: 3", "is not JSON")],
)
def test_a_deepspeed_file_that_is_none_is_refused(text, message, tmp_path):
    (tmp_path / "ds.json").write_text(text)
    with pytest.raises(
        ConfigError, match=rf"train\.deepspeed: .*{message}.*; the shipped configs/deepspeed/"
    ):
        read(tmp_path, "", f"train.deepspeed={tmp_path / 'ds.json'}")
