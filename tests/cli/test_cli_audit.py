"""`tacos audit`: JSON, the table, the bill, and errors in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tacos.cli.app import app
from tests.pipeline.helpers import write_pool
from tests.wandb_log import runs


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pool(tmp_path / "pool.jsonl", 120)


def tacos(*words: str) -> Result:
    return CliRunner().invoke(app, ["audit", "pool.jsonl", "train=null", *words])


def test_json_holds_the_warnings_and_every_measure() -> None:
    done = tacos("--scorer", "length", "--rows", "100", "--second", "random", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["card"]["n"] == 100 and found["agreement"]["interval"]["n"] == 100
    assert any(sentence.startswith("Mostly length") for sentence in found["warnings"])
    folder = Path(found["run_dir"])
    assert {"config.yaml", "scores.json", "report.html", "report.md"} <= {p.name for p in folder.iterdir()}


def test_the_terminal_shows_the_card_and_the_warnings() -> None:
    done = tacos("--scorer", "length", "--rows", "60", "--out", "here")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.index("Mostly length") < done.stdout.index("test-retest")
    assert Path("here/report.html").is_file()


@pytest.mark.usefixtures("offline")
def test_a_run_of_weights_and_biases_has_the_figures() -> None:
    assert tacos("--scorer", "length", "--rows", "60", "--out", "here").exit_code == 0
    (run,) = runs(Path("here"))
    assert run["summary"]["scorer/length_correlation"] == pytest.approx(1)


def test_the_bill_is_known_in_advance() -> None:
    price = "price_per_million_input: 1, price_per_million_output: 2"
    llm = f"llms.judge={{model: m, endpoint: 'http://127.0.0.1:9/v1', {price}}}"
    done = tacos("--scorer", "rating", "--rows", "100", "--plan", "--json", "score.llm=judge", llm)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {stage["arms"][0]: stage["estimate"]["calls"] for stage in found["stages"]}["scored again"] == 100
    assert found["total"]["cost_usd"] > 0
    told = tacos("--scorer", "rating", "--rows", "100", "--plan", "score.llm=judge", llm)
    assert "altered, step 3" in told.stdout and told.stdout.splitlines()[-1].startswith("about ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scorer", "lenght"), "length"),
        (("--scorer", "length", "score.by=random"), "leave one of them out"),
        (("--scorer", "length", "second.by=random"), "--second"),
        (("--scorer", "length", "score.tokens=x"), "score.tokens"),
    ],
)
def test_what_is_unknown_is_said_with_the_nearest_name(words: tuple[str, ...], said: str) -> None:
    done = tacos(*words)
    assert done.exit_code == 2 and said in done.stderr
