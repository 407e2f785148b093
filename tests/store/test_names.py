"""Names that become files stay in their folder, whoever gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tacos.cli.app import app
from tacos.store.names import MOST_BYTES, as_file_name, file_name

HOSTILE = (
    "../up",
    "a/b",
    "..",
    ".",
    "",
    " x",
    "x.",
    "a\\b",
    "a\nb",
    "-rf",
    "~",
    "/abs",
    "a:b",
    "x" * 260,
    "\x00",
)


@pytest.mark.parametrize("name", ["tacos", "tacos + top", "k=30", "n1-1000 (n2=0)", "标签", "a.b_c-d", "7b"])
def test_plain_names_pass(name: str) -> None:
    assert file_name(name) == name == as_file_name(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"names files"):
        file_name(name)
    made = as_file_name(name)
    assert (
        (tmp_path / made).parent == tmp_path and len(made.encode()) <= MOST_BYTES and made not in (".", "..")
    )
    (tmp_path / f"mt-bench-{made}").mkdir()


@pytest.mark.parametrize("name", ["../up", "a/b", "x" * 260])
@pytest.mark.parametrize("where", ["arms", "llms"])
def test_an_experiment_with_such_a_name_is_refused_before_any_work(
    name: str, where: str, tmp_path: Path
) -> None:
    data = {
        "name": "x",
        "budget": 5,
        "baseline": "random",
        "arms": {"random": {"method": "random"}},
        "artifacts": str(tmp_path / "a"),
        "runs": str(tmp_path / "r"),
    }
    data[where] = {**data.get(where, {}), name: {"method": "longest"} if where == "arms" else {"model": "m"}}  # type: ignore[dict-item]
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(data))
    result = CliRunner().invoke(app, ["run", str(tmp_path / "x.yaml")])
    assert result.exit_code == 2 and "names files" in result.stderr and where in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.yaml"]


def test_a_question_set_with_such_a_name_is_refused(tmp_path: Path) -> None:
    words = [
        "eval",
        "pairwise",
        "--answers",
        "a.jsonl",
        "b.jsonl",
        "--set",
        "../up",
        "--out",
        str(tmp_path / "o"),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "--set: '../up' names files" in result.stderr
