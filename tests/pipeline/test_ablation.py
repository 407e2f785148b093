"""An ablation swaps one part: the shipped file runs, small, with arms from files beside the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


class Ablation:
    """The file run small, in a folder of its own, after its plan."""

    def __init__(self, folder: Path):
        pairs = toy_pairs()
        save(LightScorer(LightSettings(floor_slope=0)).fit(pairs), folder / "iqs", pairs, 0, {})
        self.folder = folder
        self.small = [
            "pool.builtin={size: 240, test_size: 8, corpus_size: 8}",
            "budget=36",
            "train=null",
            "tracking.mode=disabled",
            "arms.tags-iqs.score={by: iqs, scorer: iqs}",
        ]
        self.planned = invoke("plan", CONFIG, *self.small)["stages"]
        self.run()
        results = json.loads((self.report / "results.json").read_text())
        self.rows = {run["arm"]: run["audit"]["rows"] for run in results["runs"]}

    def run(self, *more: str) -> None:
        invoke("run", CONFIG, *self.small, *more)

    @property
    def report(self) -> Path:
        return self.folder / "runs" / "ablation-builtin"


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory, minilm: Embedder) -> Iterator[Ablation]:
    folder = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Ablation(folder)


def test_every_arm_of_the_file_selects_and_shared_parts_are_made_once(ablation: Ablation) -> None:
    assert sum(s["stage"] == "tag" for s in ablation.planned) == 1
    compared = [s for s in ablation.planned if s["stage"] == "compare"]
    assert len(compared) == 3  # in tags, in one group, in embedding groups
    rows = dict(ablation.rows)
    assert rows.pop("zero-shot") == 0
    assert len(rows) == 12 and set(rows.values()) == {36}  # a length-matched draw among them


def test_arms_from_files_give_what_their_scores_say(ablation: Ablation) -> None:
    (scores,) = (ablation.folder / "artifacts" / "fit").glob("*/scores.parquet")
    ablation.run(
        f"arms.given={{method: recipe, group: none, score: {{by: file, path: '{scores}'}}, allocate: top}}",
        "arms.made={method: recipe, group: none, score: {by: pool_quality, fit: {fit_rows: 600}}, allocate: top}",
    )
    links = ablation.report / "artifacts"
    made, file = (
        (links / f"{arm}-seed0-select" / "selection.jsonl").read_bytes() for arm in ("made", "given")
    )
    assert made == file
