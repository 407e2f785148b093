"""What Weights & Biases is told of an experiment that is killed once: one run for each arm and seed, whole, and one for
the experiment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from eval.results import RESULTS, Results, load_results
from tacos.artifacts import ArtifactStore
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.models.embedder import Embedder
from tacos.pipeline.stage_run import StageRun
from tacos.stage import Job, Outcome, Stage
from tacos.store.files import read_jsonl
from tacos.tracking.settings import TrackingSettings
from tacos.tracking.tracker import TrackedRun, Tracker
from tacos.usage import Ledger
from tests.pipeline.helpers import scripted_tools
from tests.pipeline.test_experiment import SETTINGS
from tests.wandb_log import whole_runs

ARMS = ("tacos", "random")
Runs = dict[str, dict[str, Any]]


def command(folder: Path) -> list[str]:
    arms = {name: SETTINGS["arms"][name] for name in ARMS}
    train = SETTINGS["train"] | {"validation": 0.2, "eval_steps": 2, "steps": 6}
    where = {"artifacts": str(folder / "artifacts"), "runs": str(folder / "runs")}
    path = folder / "small.yaml"
    path.write_text(
        yaml.safe_dump(SETTINGS | {"arms": arms, "train": train, "tracking": {"tags": ["mine"]}} | where)
    )
    return [sys.executable, "-m", "tacos", "run", str(path)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, minilm: Embedder) -> Path:
    """Killed while the second model trains, and run again."""
    folder = tmp_path_factory.mktemp("tracked")
    env = os.environ | {"WANDB_MODE": "offline"}
    first = subprocess.Popen(command(folder), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((folder / "artifacts" / "train").glob("*/history.jsonl"))) < 2:
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = subprocess.run(command(folder), env=env, check=True, capture_output=True, text=True)
    assert "left out" not in second.stderr, second.stderr
    return folder


@pytest.fixture(scope="module")
def tracked(folder: Path) -> Runs:
    return whole_runs(folder / "runs" / "small")


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return load_results(folder / "runs" / "small" / RESULTS)


def test_each_arm_and_seed_is_one_run_of_the_group(tracked: Runs) -> None:
    assert set(tracked) == {"small", *(f"{arm}/seed{seed}" for arm in ARMS for seed in (0, 1))}
    assert {run["group"] for run in tracked.values()} == {"small"}
    assert {name: run["job"] for name, run in tracked.items() if run["job"] != "arm"} == {
        "small": "experiment"
    }
    assert tracked["small"]["parts"] == 2 and tracked["random/seed0"]["parts"] == 2
    assert all(run["exit"] == 0 for run in tracked.values())
    assert tracked["tacos/seed1"]["tags"] == ["arm:tacos", "tacos", "base:tiny", "pool:builtin", "mine"]


def test_figures_are_those_of_the_results_under_one_name_for_all_arms(
    tracked: Runs, results: Results
) -> None:
    for run in results.runs:
        told = tracked[f"{run.arm}/seed{run.seed}"]["summary"]
        for name, metric in (("exact_match", "exact_match"), ("defect_rate", "select/defect_rate")):
            found = run.measures[name]
            assert found.interval is not None
            ends = (found.value, found.interval.low, found.interval.high)
            assert (told[metric], told[f"{metric}_low"], told[f"{metric}_high"]) == pytest.approx(ends)
        assert told["heldout_loss"] == pytest.approx(run.measures["heldout_loss"].value)
        assert ("winning_score" in told) == (run.arm != "random")
        assert told["usage/calls"] == 0 and told["train/steps"] == 6 and told["select/rows"] == 30
    assert not any(
        arm in name for run in tracked.values() for name in run["summary"] for arm in ("tacos", "random")
    )


def test_a_curve_is_told_once_and_whole(tracked: Runs, folder: Path, results: Results) -> None:
    for run in results.runs:
        stored = list(read_jsonl(folder / "artifacts" / run.artifacts["train"] / "history.jsonl"))
        told = [row for row in tracked[f"{run.arm}/seed{run.seed}"]["history"] if "train/step" in row]
        losses = [(row["train/step"], row["train/loss"]) for row in told if "train/loss" in row]
        assert losses == [(row["step"], row["loss"]) for row in stored if "loss" in row]
        checked = [row["train/validation_loss"] for row in told if "train/validation_loss" in row]
        assert checked == [row["eval_loss"] for row in stored if "eval_loss" in row] and len(checked) >= 3
        assert all(row["train/tokens_per_second"] > 0 for row in told if "train/loss" in row)


def test_the_config_is_the_arms_own_and_names_no_folder(tracked: Runs, folder: Path) -> None:
    config = tracked["tacos/seed1"]["config"]
    assert (config["arm"], config["seed"], config["method"], config["budget"]) == ("tacos", 1, "tacos", 30)
    assert config["train"]["steps"] == 6 and config["base"]["tiny"]["hidden"] == 32
    assert config["commit"] and "torch" in config["packages"] and len(config["fingerprints"]["select"]) == 16
    for run in tracked.values():
        told = [run["config"], run["summary"], run["history"], [a["about"] for a in run["artifacts"]]]
        assert str(folder) not in str(told) and os.path.expanduser("~") not in str(told)


def test_artifacts_say_which_selection_made_which_model(tracked: Runs, results: Results) -> None:
    for run in results.runs:
        kept = {a["type"]: a for a in tracked[f"{run.arm}/seed{run.seed}"]["artifacts"]}
        prints = {name: Path(path).name for name, path in run.artifacts.items()}
        assert kept["selection"]["name"] == f"selection-{prints['select']}"
        assert "selection.jsonl" in kept["selection"]["files"]
        assert kept["answers"]["about"]["made_from"]["model"] == f"model-{prints['train']}"
        model = next(
            a
            for a in tracked[f"{run.arm}/seed{run.seed}"]["artifacts"]
            if a["name"] == f"model-{prints['train']}"
        )
        assert model["about"]["made_from"]["selection"] == kept["selection"]["name"]
        assert not any("safetensors" in name for name in model["files"])
        assert kept["pool"]["used"] and all(
            ref.startswith("tacos://load/") for ref in kept["pool"]["files"].values()
        )


def test_the_whole_has_tables_pictures_and_the_page(tracked: Runs, results: Results) -> None:
    whole = tracked["small"]
    logged: dict[str, Any] = {}
    for row in whole["history"]:
        logged |= row
    assert logged["leaderboard/nrows"] == 2 and logged["runs/nrows"] == 4
    assert logged["report/_type"] == "html-file" and logged["plots/exact_match/_type"] == "image-file"
    assert logged["progress/arms_done"] == logged["progress/arms_total"] == 4
    assert {a["type"] for a in whole["artifacts"]} == {"report", "results", "run_table"}
    assert whole["summary"]["verdict"]


def test_texts_stand_in_tables(tracked: Runs) -> None:
    logged: dict[str, Any] = {}
    for row in tracked["tacos/seed0"]["history"]:
        logged |= row
    assert (logged["select/selection/nrows"], logged["judge/answers/nrows"]) == (30, 40)


def test_a_stage_that_was_there_is_marked(tracked: Runs) -> None:
    told = tracked["random/seed1"]["summary"]
    assert told["stage/base/reused"] and not told["stage/train/reused"] and told["stage/train/seconds"] > 0


@pytest.mark.parametrize("name", ["experience", "warmup"])
def test_the_rows_of_a_training_on_the_way_are_a_selection(name: str, tmp_path: Path) -> None:
    def work(job: Job) -> Outcome:
        (job.out / "selection.jsonl").write_text("{}\n")
        return Outcome()

    store, stage = ArtifactStore(tmp_path / "artifacts"), Stage(name, work, {})
    store.run(stage, scripted_tools(tmp_path / "r.sqlite", ScriptedLLM(lambda request: "")))
    shown = TrackedRun(id="a", name="a", group="a", job="arm")
    tracker = Tracker(TrackingSettings(mode="disabled"), tmp_path, shown, {})
    kept = StageRun(tracker, store, Ledger()).artifact(stage, store.record(stage))
    assert kept is not None and kept.type == "selection" and "selection.jsonl" in kept.files
