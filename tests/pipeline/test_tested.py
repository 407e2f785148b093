"""No row of a pool, and no query row, holds a question of the benchmarks that the experiment is configured with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import PoolError
from tacos.pipeline.graph import Experiment
from tacos.pipeline.settings import ExperimentSettings
from tacos.pipeline.tools import make_tools
from tacos.store.files import read_jsonl
from tacos.usage import Ledger
from tests.pipeline.benchmark_files import tiny_experiment, write_assets
from tests.pipeline.helpers import write_pool

HELD = ("tell me of topic 1", "Say 3", "Koala asks about topic 0?")
"""A question of each benchmark, as a pool may hold it."""


def experiment(folder: Path, **changed: Any) -> Experiment:
    with write_pool(folder / "pool.jsonl").open("a") as pool:
        for text in HELD:
            pool.write(json.dumps({"instruction": text, "input": "", "output": "An answer."}) + "\n")
    settings = tiny_experiment(folder, "http://127.0.0.1:9/v1", **changed)
    return Experiment(parse(ExperimentSettings, settings), write_assets(folder / "assets"))


def test_rows_that_hold_a_question_of_a_benchmark_are_dropped(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    store = ArtifactStore(tmp_path / "artifacts")
    folder = store.run(made.load, make_tools(made.settings, Ledger()))
    dropped = list(read_jsonl(folder / "dropped.jsonl"))
    assert [row["line"] for row in dropped] == [25, 26, 27] and {row["reason"] for row in dropped} == {
        "contaminated"
    }
    said = " ".join(row["detail"] for row in dropped)
    assert "mt_bench/81" in said or "mt_bench/82" in said
    assert "alpaca_eval/" in said and "koala/" in said
    without = Experiment(made.settings.model_copy(update={"benchmarks": type(made.settings.benchmarks)()}))
    assert without.load.fingerprint != made.load.fingerprint


def test_query_rows_that_hold_one_are_refused(tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text(json.dumps({"prompt": "Vicuna asks about topic 2", "completion": "x"}) + "\n")
    arms = {
        "near": {"method": "embedding", "score": {"queries": str(queries)}},
        "random": {"method": "random"},
    }
    benchmarks = {"five_sets": {"sets": ["vicuna"], "judge": "judge"}}
    made = experiment(tmp_path, arms=arms, benchmarks=benchmarks)
    near = next(arm for arm in made.arms if arm.arm == "near")
    assert near.select is not None
    with pytest.raises(PoolError, match=r"hold test questions, the first .* the question 'vicuna/"):
        ArtifactStore(tmp_path / "artifacts").run(near.select, make_tools(made.settings, Ledger()))
