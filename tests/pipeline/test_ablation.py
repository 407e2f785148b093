"""An ablation swaps one part: the shipped file runs, small, with arms from files beside the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tacos.cli.app import app
from tacos.models.embedder import Embedder
from tacos.scoring.iqs.folder import save
from tacos.scoring.iqs.light import LightScorer, LightSettings
from tests.scoring.test_iqs import toy_pairs

CONFIG = str(Path(__file__).parents[2] / "configs" / "experiments" / "ablation_builtin.yaml")


def invoke(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minilm: Embedder) -> list[str]:
    """Overrides that make the file small, and add arms from files."""
    monkeypatch.chdir(tmp_path)
    pairs = toy_pairs()
    save(LightScorer(LightSettings(floor_slope=0)).fit(pairs), tmp_path / "iqs", pairs, 0, {})
    return [
        "pool.builtin={size: 240, test_size: 8, corpus_size: 8}",
        "budget=36",
        "train=null",
        "tracking.mode=disabled",
        "arms.tags-iqs.score={by: iqs, scorer: iqs}",
    ]


def test_every_arm_of_the_file_selects_and_shared_parts_are_made_once(
    small: list[str], tmp_path: Path
) -> None:
    planned = invoke("plan", CONFIG, *small)["stages"]
    assert sum(s["stage"] == "tag" for s in planned) == 1
    assert sum(s["stage"] == "compare" for s in planned) == 3  # in tags, in one group, in embedding groups
    invoke("run", CONFIG, *small)
    results = json.loads((tmp_path / "runs" / "ablation-builtin" / "results.json").read_text())
    rows = {run["arm"]: run["audit"]["rows"] for run in results["runs"]}
    assert rows.pop("zero-shot") == 0
    assert len(rows) == 12 and set(rows.values()) == {36}  # a length-matched draw among them


def test_arms_from_files_give_what_their_scores_say(small: list[str], tmp_path: Path) -> None:
    invoke("run", CONFIG, *small)
    (scores,) = (tmp_path / "artifacts" / "fit").glob("*/scores.parquet")
    given = [
        f"arms.given={{method: recipe, group: none, score: {{by: file, path: '{scores}'}}, allocate: top}}",
        "arms.made={method: recipe, group: none, score: {by: pool_quality, fit: {fit_rows: 600}}, allocate: top}",
    ]
    invoke("run", CONFIG, *small, *given)
    links = tmp_path / "runs" / "ablation-builtin" / "artifacts"
    made, file = (
        (links / f"{arm}-seed0-select" / "selection.jsonl").read_bytes() for arm in ("made", "given")
    )
    assert made == file
