"""A selection as files that other tools read, by reading them with those that are installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tacos.cli.app import app
from tacos.errors import TacosError
from tacos.store.files import read_jsonl
from tacos.viewing.export import export
from tacos.viewing.run_folder import RunFolder, named_arm
from tests.viewing.test_show import run as run  # the same finished arms


def test_llama_factory_finds_the_rows_by_their_entry(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    made = export(run.arm("tacos"), "llama-factory", tmp_path, "tacos 1k")
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    (entry,) = (value for key, value in info.items() if key != "mine")
    rows = list(read_jsonl(tmp_path / entry["file_name"]))
    assert info["mine"] == {"file_name": "mine.json"} and made.rows == len(rows) == 8
    column, tags = entry["columns"]["messages"], entry["tags"]
    turns = [(turn[tags["role_tag"]], turn[tags["content_tag"]]) for turn in rows[0][column]]
    assert [role for role, _ in turns] == [tags["user_tag"], tags["assistant_tag"]]
    (tmp_path / "dataset_info.json").write_text("[]")
    with pytest.raises(TacosError, match="holds no object"):
        export(run.arm("tacos"), "llama-factory", tmp_path, "x")


def test_datasets_loads_the_folder_and_the_card_says_where_it_is_from(run: RunFolder, tmp_path: Path) -> None:
    import datasets

    export(run.arm("refined"), "datasets", tmp_path, "refined")
    loaded = datasets.load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.num_rows == 8 and loaded[0]["selection_rank"] == 1
    assert loaded[0]["messages"][-1] == {"role": "assistant", "content": "A better text."}
    card = (tmp_path / "README.md").read_text()
    assert "per_group" in card and run.arm("refined").select.path.name in card and "seed 0" in card


def test_trl_reads_the_messages(run: RunFolder, tmp_path: Path) -> None:
    from trl.data_utils import is_conversational

    export(run.arm("tacos"), "trl", tmp_path, "tacos")
    rows = list(read_jsonl(tmp_path / "tacos.jsonl"))
    assert len(rows) == 8 and all(is_conversational(row) for row in rows)


def test_the_command_asks_which_arm(run: RunFolder, tmp_path: Path) -> None:
    asked = ["export", "--to", "trl", "--out", str(tmp_path / "o"), "--json"]
    whole = CliRunner().invoke(app, [asked[0], str(run.path), *asked[1:]])
    assert whole.exit_code == 1 and isinstance(whole.exception, SystemExit | TacosError)
    one = CliRunner().invoke(app, [asked[0], f"{run.path}:longest", *asked[1:]])
    assert one.exit_code == 0 and json.loads(one.stdout)["rows"] == 8
    with pytest.raises(TacosError, match="has several arms: say which"):
        named_arm(str(run.path))
