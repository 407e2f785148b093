"""Tasks of lm-eval in an experiment: every arm's model is examined, and the figures stand in its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacos.assets import Assets
from tacos.pipeline.graph import Experiment
from tacos.pipeline.run import run_experiment
from tests.eval.lm_tasks.own_tasks import CHOICE, write_tasks
from tests.pipeline.test_arms import settings

pytest.importorskip("lm_eval")


def test_tasks_are_measures_of_an_experiment(tmp_path: Path) -> None:
    tasks = {"tasks": [CHOICE], "include_path": [str(write_tasks(tmp_path / "tasks"))]}
    arms = {"longest": {"method": "longest"}, "zero-shot": {"method": "zero-shot"}}
    chosen = settings(tmp_path, arms, benchmarks={"lm_eval": tasks})
    assets = Assets(None, tmp_path / "cache")
    results, folder = run_experiment(chosen, assets=assets)
    measure = next(
        m for m in results.measures if m.name == f"lm_{CHOICE}_acc_none" or m.name == f"lm_{CHOICE}_acc"
    )
    for arm in results.summary:
        found = arm.interval(measure.name)
        assert found is not None and 0 <= found.mean <= 1 and found.n == 12
    longest = next(arm for arm in results.summary if arm.arm == "longest")
    assert longest.gain(measure.name) is not None
    assert measure.title in (folder / "tables" / "main.md").read_text()
    (stage,) = {
        arm.stages()["lm_tasks"].fingerprint for arm in Experiment(chosen, assets).arms if arm.arm == "random"
    }
    assert (tmp_path / "artifacts" / "lm_tasks" / stage / "samples.jsonl").is_file()
