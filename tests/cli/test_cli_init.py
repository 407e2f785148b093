"""`tacos init` writes what tacos ships, and replaces nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tacos.cli.app import app
from tacos.shipped import find, folder, names


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def init(*words: str) -> Result:
    return CliRunner().invoke(app, ["init", *words])


def test_the_shipped_configs_are_written_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(init("mine", "--json").stdout.splitlines()[-1])
    assert found["folder"] == "mine" and len(found["files"]) == len(names()) + 1
    written = {str(p.relative_to("mine")) for p in Path("mine").rglob("*") if p.is_file()}
    assert written == set(found["files"])
    for name in written - {"README.md"}:
        assert Path("mine", name).read_bytes() == (folder().parent / name).read_bytes(), name
    monkeypatch.chdir("mine")
    assert find("quickstart") == Path("configs/quickstart.yaml")


def test_a_file_that_is_there_is_not_replaced() -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("kept")
    assert init("mine").exit_code == 0  # it stands in no way
    Path("mine/configs/quickstart.yaml").write_text("own: true")
    Path("mine/README.md").unlink()
    refused = init("mine")
    assert refused.exit_code == 2 and "would be replaced" in refused.stderr
    assert Path("mine/configs/quickstart.yaml").read_text() == "own: true"
    assert not Path("mine/README.md").exists()
