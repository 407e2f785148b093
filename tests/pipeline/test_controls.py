"""Rows that every table needs are there unless they are switched off, and the report says so then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.report.notices import protocol_notes
from tacos.config import parse
from tacos.pipeline.controls import added_line
from tacos.pipeline.run import run_experiment
from tacos.pipeline.settings import ExperimentSettings
from tests.pipeline.helpers import write_pool

BARE: dict[str, Any] = {
    "name": "x",
    "budget": 6,
    "baseline": "random",
    "arms": {"random": {"method": "random"}, "mine": {"method": "longest", "budget": 4}},
}


def arms(**changed: Any) -> dict[str, str]:
    return {name: arm.method for name, arm in parse(ExperimentSettings, BARE | changed).arms.items()}


def test_an_experiment_has_its_controls() -> None:
    made = parse(ExperimentSettings, BARE)
    assert list(made.arms) == ["random", "mine", "length-matched", "full", "zero-shot"]
    matched = made.arms["length-matched"]
    assert matched.budget == 4
    assert matched.model_dump()["allocate"]["like"] == "mine"
    again = parse(ExperimentSettings, made.model_dump(mode="json"))
    assert again == made


def test_what_is_added_is_told() -> None:
    assert added_line(BARE).startswith("controls added to the arms: length-matched, full, zero-shot;")
    assert added_line(BARE | {"controls": []}) == added_line({"pool": {}}) == ""
    assert added_line(parse(ExperimentSettings, BARE).model_dump(mode="json")) == ""  # a config.yaml of a run


@pytest.mark.parametrize(
    ("changed", "added"),
    [
        ({"controls": ["full"]}, ["full"]),
        ({"controls": []}, []),
        ({"train": None}, ["length-matched"]),
        ({"arms": {"all": {"method": "full"}, "random": {"method": "random"}}}, ["zero-shot"]),
        ({"arms": {**BARE["arms"], "full": {"method": "longest"}}}, ["length-matched", "zero-shot"]),
    ],
)
def test_what_is_there_or_makes_no_sense_is_not_added(changed: dict[str, Any], added: list[str]) -> None:
    assert list(arms(**changed))[len(changed.get("arms", BARE["arms"])) :] == added


def test_the_focus_is_what_lengths_are_matched_with() -> None:
    more = {**BARE["arms"], "theirs": {"data": "f.json"}}
    made = parse(ExperimentSettings, BARE | {"arms": more, "focus": "theirs"})
    assert made.arms["length-matched"].model_dump()["allocate"]["like"] == "theirs"


def test_the_report_says_what_is_left_out_and_how_many_draws_there_are(tmp_path: Path) -> None:
    data = BARE | {
        "controls": ["random"],
        "train": None,
        "pool": {"source": str(write_pool(tmp_path / "pool.jsonl"))},
        "artifacts": str(tmp_path / "artifacts"),
        "runs": str(tmp_path / "runs"),
        "tracking": {"mode": "disabled"},
    }
    results, folder = run_experiment(parse(ExperimentSettings, data))
    assert results.left_out == ["length-matched"] and results.pool["sources"] == 3
    left, draws, mix = protocol_notes(results)
    assert left == "Not in this table: length-matched, which is left out by `controls`."
    assert "Every arm is one draw" in draws and "The pool names 3 sources" in mix
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "left out by `controls`" in text and "names 3 sources" in text
    assert (
        "length\\-matched" in (folder / "report.md").read_text()
        or "length-matched" in (folder / "report.md").read_text()
    )
