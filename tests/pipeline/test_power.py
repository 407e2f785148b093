"""What `tacos plan` says an experiment can find, before anything is paid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from eval.power import Variation
from eval.results import RESULTS, ArmMeasure
from tacos.cli.app import app
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.pipeline.power import SEEN, findings
from tacos.pipeline.settings import ExperimentSettings
from tacos.store.files import write_json
from tests.eval.fixtures import make_results

BUILTIN = {
    "name": "x",
    "budget": 100,
    "arms": {"tacos": {"method": "tacos"}, "random": {"method": "random"}},
    "baseline": "random",
}
JUDGED = {
    **BUILTIN,
    "pool": {"source": "rows.jsonl", "holdout": 50},
    "llms": {"judge": {"model": "gpt-4o"}},
    "seeds": [0, 1, 2],
    "benchmarks": {
        "mt_bench": {"judge": "judge"},
        "five_sets": {"judge": "judge", "sets": ["vicuna", "koala"]},
    },
}


def told(tmp_path: Path, settings: dict[str, object], *options: str) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(
        yaml.safe_dump(settings | {"artifacts": str(tmp_path / "a"), "runs": str(tmp_path / "r")})
    )
    result = CliRunner().invoke(app, ["plan", str(path), *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_each_measure_has_its_questions() -> None:
    found = {one.measure: one for one in findings(parse(ExperimentSettings, JUDGED))}
    assert {name: (one.questions, one.seeds) for name, one in found.items()} == {
        "winning_score": (50, 3),
        "mt_bench": (80, 3),
        "five_sets_random": (260, 3),
    }
    assert "exact_match" in {one.measure for one in findings(parse(ExperimentSettings, BUILTIN))}
    assert found["mt_bench"].smallest == pytest.approx(2.8 * 2.68 / 80**0.5, rel=0.03)


def test_a_wanted_difference_says_what_it_needs(tmp_path: Path) -> None:
    said = told(tmp_path, BUILTIN, "--difference", "exact_match=5", "--difference", "winning_score=.1")
    lines = said[said.index("the smallest") :].splitlines()
    assert lines[1].startswith(
        "  exact_match: 6.7 points with 400 questions and 1 seed (standard deviations: questions 26.0,"
    )
    seeds = SEEN["exact_match"].seeds_for(0.05, 400)
    assert lines[
        2
    ] == f"    for 5.0 points: {SEEN['exact_match'].questions_for(0.05, 1):,} questions with 1 seed," + (
        f" {seeds} seeds with 400 questions"
    )
    assert "more where seeds differ" in lines[3] and lines[4].startswith("    for 0.10: ")
    assert "fewer than 3 seeds" in lines[-1]
    power = json.loads(told(tmp_path, BUILTIN, "--difference", "exact_match=5", "--json").splitlines()[-1])[
        "power"
    ]
    assert (power[0]["wanted"], power[0]["seeds_for"]) == (0.05, seeds)


def test_a_finished_run_tells_how_far_seeds_lie_apart(tmp_path: Path) -> None:
    run = make_results()
    spread = Variation(question=0.1, chance=0.2, seed=0.3)
    told_by = ArmMeasure(interval=None, variation=spread)
    summary = [run.summary[0].model_copy(update={"measures": {"exact_match": told_by}}), *run.summary[1:]]
    write_json(tmp_path / RESULTS, run.model_copy(update={"summary": summary}))
    assert "(standard deviations: questions 10.0, chance 20.0, seeds 30.0)" in told(
        tmp_path, BUILTIN, "--like", str(tmp_path)
    )


@pytest.mark.parametrize(
    "odd", ["exact_match", "exact_match=", "exact_match=0", "exact_match=-1", "exact_match=x"]
)
def test_what_is_no_difference_is_refused(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(BUILTIN))
    result = CliRunner().invoke(app, ["plan", str(path), "--difference", odd])
    assert (
        result.exit_code == 2 and f"--difference {odd}: give a measure and a number above 0" in result.stderr
    )


def test_an_unknown_measure_is_named() -> None:
    with pytest.raises(ConfigError, match="'exact' can be planned: did you mean 'exact_match'"):
        findings(parse(ExperimentSettings, BUILTIN), {"exact": 0.1})
