"""The wheel holds what runs from it, and works where there is no repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import tacos
from tests.pages import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network."""
    pytest.importorskip("hatchling", reason="the extra dev has what builds the wheel")
    made = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        "-w",
        str(made),
    ]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the wheel, alone in a folder."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(folder)
    return folder


def in_the_wheel(path: Path) -> str:
    """Where a file of the repository is in the wheel."""
    inside = path.relative_to(ROOT)
    return f"tacos/{inside}" if inside.parts[0] == "configs" else str(inside)


def test_every_file_is_in_the_wheel(wheel: Path) -> None:
    """Configs, prompts, templates, pages' assets, prices: all that stands in the folders of the code and in configs."""
    tops = (ROOT / top for top in ("tacos", "train", "eval", "configs"))
    files = [
        path for top in tops for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    wanted = {in_the_wheel(path) for path in files}
    kinds = {Path(name).suffix for name in wanted}
    assert {".py", ".yaml", ".json", ".txt", ".j2", ".css", ".js", ".md"} <= kinds
    with zipfile.ZipFile(wheel) as inside:
        names = set(inside.namelist())
    assert wanted == {name for name in names if ".dist-info/" not in name}


def test_it_is_named_and_numbered_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        (about,) = [name for name in files.namelist() if name.endswith("/METADATA")]
        said = message_from_bytes(files.read(about))
    assert (said["Name"], said["Version"]) == ("tacos-select", tacos.__version__)
    assert {"offline", "vllm", "deepspeed", "ray", "gpu", "lm-eval", "dev"} == set(
        said.get_all("Provides-Extra")
    )


def test_commands_work_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    def tacos_json(*words: str) -> dict:  # type: ignore[type-arg]
        env = os.environ | {"PYTHONPATH": str(installed)}
        command = [sys.executable, "-m", "tacos", *words, "--json"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    checks = {check["name"]: check["detail"] for check in tacos_json("doctor")["checks"]}
    assert str(installed / "tacos" / "configs") in checks["tacos"]
    assert {"tacos", "car"} <= {method["name"] for method in tacos_json("methods")["methods"]}
    assert len(tacos_json("parts")["parts"]) > 30
    stages = {stage["stage"] for stage in tacos_json("plan", "quickstart", "pool.builtin.size=300")["stages"]}
    assert {"load", "select", "train", "answer"} <= stages
    files = tacos_json("init", "mine")["files"]
    assert all((tmp_path / "mine" / name).is_file() for name in files) and "configs/quickstart.yaml" in files
    run = tacos_json("run", "experiments/ablation_builtin", "--smoke", "train=null", "tracking.mode=disabled")
    assert (tmp_path / run["run_dir"] / "report.html").is_file()  # from its templates
    assert (tmp_path / run["run_dir"] / "page" / "index.html").is_file()
