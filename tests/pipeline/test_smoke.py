"""Every experiment that is shipped, rehearsed: the real commands, a tiny base, and a server where an LLM is asked."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.results import load_results
from tacos.cli.app import app
from tacos.config import read_yaml
from tacos.errors import ConfigError
from tacos.pipeline.matrix import cells
from tacos.pipeline.smoke import rehearsal
from tests.llm.server import FaultServer
from tests.pipeline.benchmark_files import any_reply, write_every_asset

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs" / "experiments").glob("*.yaml"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with stand-ins for upstream's files, whose artifacts all rehearsals share, and a server."""
    folder = tmp_path_factory.mktemp("smoke")
    write_every_asset(folder / "assets")
    with pytest.MonkeyPatch.context() as patch, FaultServer(answer=any_reply) as server:
        patch.setenv("TACOS_ASSETS", str(folder / "assets"))
        yield folder, server.endpoint


def overrides(config: Path, folder: Path, endpoint: str) -> list[str]:
    said = read_yaml(config)
    own = [f"llms.{name}.endpoint={endpoint}" for name in said.get("llms", {})]
    if "alpaca_eval" in said.get("benchmarks", {}):
        own.append("benchmarks.alpaca_eval.top_logprobs=null")  # which this server does not give
    return [*own, f"artifacts={folder}/artifacts", f"runs={folder}/runs", "tracking.mode=disabled"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_experiment_reports_all_its_arms(
    config: Path, place: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, endpoint = place
    monkeypatch.chdir(ROOT)
    made = CliRunner().invoke(app, ["run", str(config), "--smoke", *overrides(config, folder, endpoint)])
    assert made.exit_code == 0, made.output[-3000:]
    for cell in cells(rehearsal(read_yaml(config))):
        run = folder / "runs" / Path(cell.settings.runs).relative_to("runs") / cell.settings.name
        results = load_results(run / "results.json")
        assert [arm.arm for arm in results.summary] == list(cell.settings.arms) and not results.failures
        assert (run / "report.html").is_file() and (run / "samples.parquet").is_file()
        for name in cell.settings.benchmarks.asked:
            assert any(measure.name.startswith(name) for measure in results.measures), name
        if cell.settings.factors:
            assert all(effect.interval for effect in results.effects)


def test_an_ablation_that_is_killed_five_times_gives_the_same_tables(
    place: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time after some more stages, drawn at random; what is left is then run to the end."""
    folder, endpoint = place
    monkeypatch.chdir(ROOT)
    config = ROOT / "configs/experiments/tacos_ablation.yaml"
    whole = ["run", str(config), "--smoke", *overrides(config, folder, endpoint)]
    assert CliRunner().invoke(app, whole).exit_code == 0
    words = ["run", str(config), "--smoke", *overrides(config, tmp_path, endpoint)]
    rng = random.Random(0)
    for _ in range(5):
        killed_after(rng.randint(1, 25), [sys.executable, "-m", "tacos", *words])
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output[-3000:]
    tables = sorted((folder / "runs/tacos-ablation-smoke/tables").glob("*.csv"))
    assert {path.stem for path in tables} >= {"main", "gains", "design", "effects", "overlap"}
    for table in tables:
        again = tmp_path / "runs/tacos-ablation-smoke/tables" / table.name
        assert again.read_text() == table.read_text(), table.name


def killed_after(stages: int, command: list[str]) -> None:
    """SIGKILL at the start of a stage, as its log tells, after so many are done."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        done = 0
        for line in process.stderr or ():
            done += ": done in " in line
            if done >= stages and ": start" in line:
                time.sleep(0.05)  # into its work
                break
        process.kill()


def test_a_rehearsal_is_small_and_keeps_its_shape() -> None:
    data = read_yaml(ROOT / "configs/experiments/iterselecttune_figures.yaml")
    found = cells(rehearsal(data))
    assert [cell.name for cell in found] == list(data["matrix"]["budgets"])[:2]
    assert [cell.settings.budget for cell in found] == [8, 16]
    first = found[0].settings
    assert list(first.arms) == [*data["arms"], "length-matched", "zero-shot"] and first.seeds == (0,)
    assert (first.base.model, first.pool.source, first.train and first.train.deepspeed) == (
        "tiny",
        "builtin",
        None,
    )
    assert first.train and first.train.template == "alpaca" and first.name.startswith("5")
    assert first.runs == "runs/iterselecttune-figures-smoke"


def test_what_a_config_says_of_its_rehearsal_goes_last() -> None:
    data = {"name": "x", "baseline": "a", "budget": 900, "arms": {"a": {"method": "random"}}}
    made = rehearsal(data | {"smoke": {"budget": 20, "arms": {"a": {"method": "longest"}}}})
    assert (made["budget"], made["arms"], "smoke" in made) == (20, {"a": {"method": "longest"}}, False)


def test_what_an_arm_leaves_to_the_experiment_stays_there() -> None:
    arms = {"a": {"method": "random", "budget": None, "base": None}, "b": {"method": "random", "budget": 90}}
    made = rehearsal({"name": "x", "baseline": "a", "budget": 900, "arms": arms})
    assert made["arms"]["a"] == arms["a"] and (made["arms"]["b"]["budget"], made["budget"]) == (8, 16)


def test_a_selection_has_no_rehearsal() -> None:
    with pytest.raises(ConfigError, match="leave out --smoke"):
        rehearsal({"method": "tacos"})


def test_sweeps_excluded_cells_and_all_kinds_of_benchmarks_are_kept_small() -> None:
    data = {
        "name": "x",
        "baseline": "a",
        "arms": {
            "a": {"method": "random"},
            "b": {"model": "org/finished"},
            "c": {"method": "full", "budget": 70},
        },
        "llms": {"judge": {"model": "m"}},
        "benchmarks": {
            "mt_bench": {"generate": {"preset": "fastchat"}},
            "mt_bench_pairs": {"against": ["a"]},
            "lm_eval": {"tasks": ["t"]},
        },
        "matrix": {
            "budget": [50, 90, 200],
            "train.lr": [1e-4, 2e-4, 3e-4],
            "bases": {
                "one": {"model": "org/one"},
                "two": {"model": "org/two"},
                "three": {"model": "org/three"},
            },
            "exclude": [{"bases": "two", "budget": 16}, {"bases": "three"}],
        },
    }
    made = rehearsal(data)
    assert made["matrix"]["budget"] == [8, 24] and made["arms"]["c"]["budget"] == 16
    assert made["matrix"]["train.lr"] == [1e-4, 2e-4] and list(made["matrix"]["bases"]) == ["one", "two"]
    assert [base["tiny"]["seed"] for base in made["matrix"]["bases"].values()] == [0, 1]
    assert made["arms"]["b"]["method"] == "zero-shot"
    assert (
        made["benchmarks"]["mt_bench_pairs"] == {"against": ["a"]}
        and made["benchmarks"]["lm_eval"]["limit"] == 2
    )
    assert made["benchmarks"]["mt_bench"]["generate"] == {"preset": "fastchat", "max_new_tokens": 6}
    assert len(cells(made | {"matrix": {**made["matrix"], "exclude": []}})) == 8
