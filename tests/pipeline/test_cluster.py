"""An experiment on a Ray cluster of two nodes: the results of one process, also where a worker is killed on the way."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from eval.results import Results
from tacos.config import parse
from tacos.errors import ConfigError, TacosError
from tacos.pipeline.run import run_experiment
from tacos.pipeline.settings import ExperimentSettings
from tacos.stage import Done
from tacos.store.files import read_json
from tests.llm.server import FaultServer
from tests.pipeline.helpers import LLM_TACOS, reply_to, write_pool

TINY = {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 4, "block": 64}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Two nodes of one CPU each on 127.0.0.1; its address."""
    ray = pytest.importorskip("ray", reason="needs the ray extra")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    nodes.add_node(**node)
    ray.init(nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


def settings(folder: Path, endpoint: str = "http://127.0.0.1:9/v1", **changed: Any) -> ExperimentSettings:
    folder.mkdir(exist_ok=True)
    data = {
        "name": "small",
        "budget": 6,
        "baseline": "random",
        "controls": [],
        "pool": {"source": str(write_pool(folder / "pool.jsonl")), "holdout": 3},
        "arms": {
            "tacos": {"method": "tacos", **LLM_TACOS},
            "random": {"method": "random"},
            "longest": {"method": "longest"},
        },
        "llms": {name: {"model": "m", "endpoint": endpoint} for name in ("tagger", "scorer")},
        "base": {"tiny": TINY},
        "train": {"epochs": 2, "batch_size": 4, "max_length": 128, "lr": 1e-3},
        "eval": {"generate": {"max_new_tokens": 4}},
        "artifacts": str(folder / "artifacts"),
        "runs": str(folder / "runs"),
        "tracking": {"mode": "disabled"},
    }
    return parse(ExperimentSettings, data | changed)


def same(results: Results, other: Results) -> bool:
    """But for what a clock told."""
    return results.summary == other.summary and [run.artifacts for run in results.runs] == [
        run.artifacts for run in other.runs
    ]


def workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::do")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of one process."""
    with FaultServer(answer=reply_to) as server:
        return run_experiment(settings(tmp_path_factory.mktemp("alone"), server.endpoint))[0]


def test_a_cluster_gives_the_results_of_one_process(cluster: str, alone: Results, tmp_path: Path) -> None:
    with FaultServer(answer=reply_to) as server:
        results, folder = run_experiment(settings(tmp_path, server.endpoint), ray=cluster)
        assert max(server.asked.values()) == 1  # what an LLM is asked, one process asks
    assert same(results, alone) and not results.failures
    assert (folder / "report.html").is_file()
    trained = [run.artifacts["train"] for run in results.runs]
    assert all(
        Done.model_validate(read_json(tmp_path / "artifacts" / name / "done.json")) for name in trained
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds workers by their name")
def test_a_worker_that_is_killed_costs_nothing(cluster: str, alone: Results, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_in_training() -> None:
        while not killed:
            busy = list((tmp_path / "artifacts" / "train").glob("*.partial")) if workers() else []
            if busy:
                (process, *_) = workers()
                killed.append(process.pid)
                process.kill()
            time.sleep(0.02)

    watch = threading.Thread(target=kill_in_training, daemon=True)
    watch.start()
    with FaultServer(answer=reply_to) as server:
        results, _ = run_experiment(settings(tmp_path, server.endpoint), ray=cluster)
    watch.join(10)
    assert len(killed) == 1 and not psutil.pid_exists(killed[0])
    assert same(results, alone) and not results.failures


def test_an_arm_that_fails_there_is_named_and_the_others_go_on(cluster: str, tmp_path: Path) -> None:
    scores = tmp_path / "scores.jsonl"
    scores.write_text('{"id": "of another pool", "value": 1}\n')
    lost = {
        "method": "recipe",
        "group": "none",
        "score": {"by": "file", "path": str(scores)},
        "allocate": "top",
    }
    chosen = settings(tmp_path, arms={"random": {"method": "random"}, "lost": lost}, train=None)
    results, _ = run_experiment(chosen, ray=cluster)
    (failure,) = results.failures
    assert (failure.arm, failure.stage) == ("lost", "score") and "names none of the pool" in failure.reason
    assert [arm.arm for arm in results.summary] == ["random"]
    with pytest.raises(TacosError, match=r"lost, seed 0: score failed: .*names none of the pool"):
        run_experiment(chosen, fail_fast=True, ray=cluster)


def test_failed_rows_are_asked_again_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave out --executor ray"):
        run_experiment(
            settings(tmp_path, arms={"random": {"method": "random"}}, train=None), True, ray="auto"
        )
