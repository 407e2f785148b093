"""`tacos iqs`: train and measure, errors as one line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tacos.cli.iqs import app
from tests.scoring.test_iqs import toy_pairs

run = CliRunner().invoke
QUICK = ("light.floor_slope=0", "cross_validation.repeats=1")


@pytest.fixture
def files(tmp_path):
    for name, pairs in (("train", toy_pairs()), ("test", toy_pairs(20, seed=5))):
        rows = [{"instruction": p.prompt, "pos": p.better, "neg": p.worse} for p in pairs.pairs]
        rows += [
            {"instruction": "p", "pos": "same \u2019", "neg": "same '"},
            {"instruction": "p", "pos": "", "neg": "x"},
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_train_then_eval(files) -> None:
    given = ["--pairs", str(files / "train.jsonl"), "--out", str(files / "m")]
    made = run(app, ["train", *given, *QUICK, "--json"])
    assert made.exit_code == 0, made.output
    report = json.loads(made.stdout)
    assert (report["scorer"], report["pairs"], report["bad"]) == ("light", 61, 1)
    assert report["cross_validation"]["pair_accuracy"]["mean"] > 0.9

    told = run(app, ["eval", "--model", str(files / "m"), "--pairs", str(files / "test.jsonl"), "--json"])
    assert told.exit_code == 0, told.output
    report = json.loads(told.stdout)
    assert report["n"] == 21 and report["identical"] == 1 and report["bad"] == 1 and report["ties"] == 1
    assert report["pair_accuracy"] == pytest.approx(20.5 / 21)
    assert (
        set(report["length_matched"]) >= {"n", "pair_accuracy"}
        and 0 <= report["baselines"]["longer_wins"] <= 1
    )
    assert report["seen"] == 1  # the pair of one text stands in both files


def test_the_text_output_shows_the_baseline_and_warns_of_pairs_trained_on(files) -> None:
    given = ["--pairs", str(files / "train.jsonl"), "--out", str(files / "m"), *QUICK]
    made = run(app, ["train", *given])
    assert "the longer wins" in made.stdout and "cross-validation" in made.stdout
    told = run(app, ["eval", "--model", str(files / "m"), "--pairs", str(files / "train.jsonl")])
    assert "sides of one prompt" in told.stdout
    assert "61 of these 61 pairs were trained on" in told.stderr and "line 62" in told.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--scorer", "lihgt"), 2, "did you mean 'light'"),
        (("light.penalti=1",), 2, "light.penalti"),
        (("--valid", "absent.csv"), 1, "absent.csv"),
    ],
)
def test_mistakes_are_one_line(files, words, code: int, message: str) -> None:
    told = run(app, ["train", "--pairs", str(files / "train.jsonl"), "--out", str(files / "m"), *words])
    assert told.exit_code == code and message in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


def test_a_folder_without_a_model(files) -> None:
    told = run(app, ["eval", "--model", str(files), "--pairs", str(files / "test.jsonl")])
    assert told.exit_code == 1 and "is not a quality scorer" in told.stderr
