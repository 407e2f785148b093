"""What `tacos plan` says of models of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tacos.artifacts import ArtifactStore
from tacos.cli.app import app
from tacos.config import parse
from tacos.errors import ConfigError, PoolError, TacosError
from tacos.llm.cache import ReplyCache
from tacos.models import speed
from tacos.models.flops import parameters_at_work
from tacos.pipeline.graph import Experiment, on_the_way, selection_stage
from tacos.pipeline.place import StagePlace, place_of
from tacos.pipeline.plan import PlannedStage, plan
from tacos.pipeline.settings import ExperimentSettings, SelectSettings
from tacos.pipeline.tools import make_tools
from tacos.usage import Ledger
from tests.pipeline.helpers import LLM_TACOS, write_pool
from tests.scoring import tiny_models
from train.tiny import TinySettings, untrained

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 4, "block": 64}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ENOUGH_S", 0.0)


def told(folder: Path, settings: dict[str, Any], *options: str) -> str:
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(settings | {"artifacts": str(folder / "a"), "runs": str(folder / "r")}))
    result = CliRunner().invoke(app, ["plan", str(path), *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def timed(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What `plan --hours --json` prints."""
    return json.loads(told(folder, settings, "--hours", "--json").splitlines()[-1])


EXPERIMENT: dict[str, Any] = {
    "name": "small",
    "budget": 6,
    "baseline": "random",
    "controls": [],
    "arms": {"tacos": {"method": "tacos", **LLM_TACOS}, "random": {"method": "random"}},
    "llms": {name: {"model": "m", "endpoint": "http://127.0.0.1:9/v1"} for name in ("tagger", "scorer")},
    "base": {"tiny": TINY},
    "train": {"epochs": 2, "batch_size": 4, "max_length": 128, "launch": {"processes": 4}},
}


def test_a_plan_for_a_cluster_tells_where_each_stage_would_run(tmp_path: Path) -> None:
    settings = EXPERIMENT | {"pool": {"source": str(write_pool(tmp_path / "p.jsonl")), "holdout": 3}}
    shown = json.loads(told(tmp_path, settings, "--executor", "ray", "--json").splitlines()[-1])
    where = {s["stage"]: s["where"] for s in shown["stages"]}
    assert where["tag"] == where["compare"] == "here (asks an LLM)"
    assert where["load"] == where["select"] == "cluster, 1 CPU"
    assert where["train"] == "cluster, 4 GPUs" and where["base"] == where["answer"] == "cluster, 1 GPU"
    (line,) = (x for x in told(tmp_path, settings, "--executor", "ray").splitlines() if x.startswith("tag "))
    assert "here (asks an LLM)" in line
    assert all(s["where"] is None for s in json.loads(told(tmp_path, settings, "--json"))["stages"])


def test_only_trainings_and_models_take_gpus_and_none_where_there_are_none(tmp_path: Path) -> None:
    settings = parse(ExperimentSettings, EXPERIMENT | {"pool": {"source": str(write_pool(tmp_path / "p"))}})
    stages = {stage.name: stage for stage in Experiment(settings).walk()}
    assert place_of(stages["train"], settings.train) == StagePlace(here=False, gpus=4)
    assert place_of(stages["train"], settings.train, has_gpus=False) == StagePlace(here=False)
    assert place_of(stages["tag"], settings.train, has_gpus=False) == StagePlace(here=True)


@pytest.mark.parametrize("paid_before", [False, True])
def test_the_judge_is_planned_with_all_questions_of_a_pool_that_is_not_loaded(
    tmp_path: Path, paid_before: bool
) -> None:
    judge = {"judge": {"by": "llm", "llm": "judge"}}
    llms = {"judge": {"model": "m", "endpoint": "http://127.0.0.1:9/v1"}}
    pool = {"source": str(write_pool(tmp_path / "p.jsonl")), "holdout": 5}
    arms = {"longest": {"method": "longest"}, "random": {"method": "random"}}
    settings = EXPERIMENT | {"pool": pool, "llms": llms, "eval": judge, "arms": arms}
    if paid_before:  # for anything: from then on calls are looked up
        (tmp_path / "a").mkdir()
        ReplyCache(tmp_path / "a" / "replies.sqlite")
    stages = json.loads(told(tmp_path, settings, "--json").splitlines()[-1])["stages"]
    assert [s["estimate"]["calls"] for s in stages if s["stage"] == "judge"] == [2 * 5]


def test_a_selection_has_no_cluster(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"budget": 3, "method": "random"}))
    result = CliRunner().invoke(app, ["plan", str(path), "--executor", "ray"])
    assert result.exit_code == 2 and "is for an experiment" in result.stderr


def test_a_reading_is_planned_with_tokens_and_hours_until_it_is_done(tmp_path: Path) -> None:
    model = str(tiny_models.build(tmp_path / "llama", "llama"))
    chosen = {"pool": {"source": str(write_pool(tmp_path / "p.jsonl"))}, "budget": 3, "method": "ifd"}
    chosen |= {"score": {"model": model, "experience": None}}
    shown = timed(tmp_path, chosen)
    stage = next(s for s in shown["stages"] if s["stage"] == "losses")
    found, estimate = stage["passes"], stage["estimate"]
    assert found["model"] == model and found["flops"] == pytest.approx(
        2 * found["parameters"] * found["forward_tokens"], rel=0.01
    )
    assert (estimate["forward_tokens"], estimate["flops"]) == (found["forward_tokens"], found["flops"])
    assert shown["hours"] == found["hours"] > 0 and shown["without_hours"] == []
    assert shown["total"]["forward_tokens"] == found["forward_tokens"]
    assert all(s["passes"] is None for s in shown["stages"] if s["stage"] != "losses")
    lines = told(tmp_path, chosen, "--hours").splitlines()
    (line,) = (line for line in lines if line.startswith("losses"))
    assert f"{found['forward_tokens']:,} tokens" in line and line.rstrip().endswith("s")
    assert f"hours of {model}, {found['parameters']:,} parameters at work: {speed.MEASURED}" in lines

    settings = parse(SelectSettings, chosen | {"artifacts": str(tmp_path / "a")})
    ArtifactStore(tmp_path / "a").run(selection_stage(settings), make_tools(settings, Ledger()))
    assert all(s.cached and s.passes is None and s.estimate.flops == 0 for s in plan(settings))


def test_hours_of_a_selection_without_a_local_model_are_said_to_be_none(tmp_path: Path) -> None:
    chosen = {"pool": {"source": str(write_pool(tmp_path / "p.jsonl"))}, "budget": 3, "method": "longest"}
    line = "--hours: no stage to run reads rows with a model of this machine"
    assert line in told(tmp_path, chosen, "--hours").splitlines()
    assert "--hours" not in told(tmp_path, chosen)


def test_hours_that_are_not_known_are_said_to_be(tmp_path: Path) -> None:
    chosen = {
        "pool": {"source": str(write_pool(tmp_path / "p.jsonl"))},
        "budget": 3,
        "method": "superfiltering",
    }
    chosen |= {"score": {"model": "nobody/none"}}
    shown = told(tmp_path, chosen, "--hours")
    assert "hours unknown" in shown and f"hours of nobody/none: {speed.NOT_HERE}" in shown
    assert "and what losses will take" in shown.splitlines()[-1]
    found = timed(tmp_path, chosen)
    assert found["without_hours"] == ["losses"] and found["hours"] == 0


def test_an_experiment_plans_its_base_and_its_trainings(tmp_path: Path) -> None:
    settings = {
        "name": "x",
        "baseline": "random",
        "controls": [],
        "budget": 6,
        "pool": {"source": str(write_pool(tmp_path / "p.jsonl")), "holdout": 4},
        "arms": {
            "ifd": {"method": "ifd", "score": {"experience": None}},
            "random": {"method": "random"},
            "full": {"method": "full"},
        },
        "base": {"tiny": TINY},
        "train": {"epochs": 2, "max_length": 128, "batch_size": 4},
    }
    shown = timed(tmp_path, settings)
    stages = [PlannedStage.model_validate(s) for s in shown["stages"]]
    by_arm = {s.arms[0]: s.passes for s in stages if s.stage == "train" and len(s.arms) == 1}
    base = next(s.passes for s in stages if s.stage == "base")
    losses = next(s.passes for s in stages if s.stage == "losses")
    tiny = TinySettings.model_validate(TINY)
    size = parameters_at_work(untrained(tiny, 400))
    assert base and losses and all(by_arm.values())
    assert (base.parameters, base.forward_tokens, base.flops) == (size, tiny.tokens, 6 * size * tiny.tokens)
    assert losses.parameters == size and losses.backward_tokens == 0
    few, every = by_arm["ifd/seed0"], by_arm["full/seed0"]
    assert few and every and few.flops == pytest.approx(6 * size * few.forward_tokens, rel=0.02)
    assert every.forward_tokens == pytest.approx(few.forward_tokens * 24 / 6, abs=4)


def test_trainings_on_the_way_are_planned_by_their_own_rows(tmp_path: Path) -> None:
    queries = str(write_pool(tmp_path / "q.jsonl", 3))
    chosen = {
        "pool": {"source": str(write_pool(tmp_path / "p.jsonl"))},
        "budget": 3,
        "method": "less",
        "score": {"queries": queries, "share": 0.25, "epochs": 2, "train": {"lora": {"r": 2}}},
        "base": {"tiny": TINY},
    }
    shown = timed(tmp_path, chosen)
    found = {s["stage"]: PlannedStage.model_validate(s).passes for s in shown["stages"] if s["passes"]}
    assert sorted(found) == ["base", "gradients", "train"]
    whole, warm = found["gradients"], found["train"]
    assert whole and warm and whole.backward_tokens == whole.forward_tokens
    # a quarter of the rows, twice; each row of the pool is as long as any other
    assert warm.forward_tokens == pytest.approx(whole.forward_tokens * 0.25 * 2, rel=0.05)


def test_a_training_on_the_way_is_of_no_more_rows_than_the_pool_has(tmp_path: Path) -> None:
    chosen = {
        "pool": {"source": str(write_pool(tmp_path / "p.jsonl"))},
        "budget": 3,
        "method": "ifd",
        "base": {"tiny": TINY},
    }

    def read(*options: str) -> int:
        shown = json.loads(told(tmp_path, chosen, "--json", *options).splitlines()[-1])
        (tokens,) = (s["passes"]["forward_tokens"] for s in shown["stages"] if s["stage"] == "train")
        return int(tokens)

    whole = read("score.experience.clusters=1", "score.experience.per_cluster=24")
    assert read() == whole  # 24 rows are there, and 1,000 were asked for
    assert read("score.experience.clusters=2", "score.experience.per_cluster=6") == pytest.approx(
        whole / 2, abs=1
    )


def test_a_training_that_cannot_be_is_told_from_the_run_s_own(tmp_path: Path) -> None:
    chosen = {"pool": {"source": str(write_pool(tmp_path / "p.jsonl"))}, "budget": 3, "method": "less"}
    chosen |= {"score": {"queries": str(tmp_path / "p.jsonl"), "train": {"lr": -1}}}
    with pytest.raises(
        ConfigError,
        match=r"a training on the way to a selection, whose .*lr.* the method sets: train\.lr: .*greater than 0",
    ):
        selection_stage(parse(SelectSettings, chosen))


def test_what_fails_in_a_training_on_the_way_says_so() -> None:
    with (
        pytest.raises(
            PoolError, match="a training on the way to a selection, whose lr the method sets: train"
        ),
        on_the_way({"lr": 1, "mode": "lora"}),
    ):
        raise PoolError("train.lr is too high for this model")
    with pytest.raises(TacosError, match="a training on the way to a selection: nothing"), on_the_way({}):
        raise TacosError("nothing was selected")


def test_an_arm_that_cannot_be_is_named(tmp_path: Path) -> None:
    settings = {
        "name": "x",
        "baseline": "random",
        "controls": [],
        "budget": 6,
        "pool": {"source": str(write_pool(tmp_path / "p.jsonl"))},
        "arms": {"random": {"method": "random"}, "cherry": {"method": "ifd"}},
        "train": None,
    }
    with pytest.raises(ConfigError, match=r"arms\.cherry: score\.by=ifd trains a model on the way"):
        _ = Experiment(parse(ExperimentSettings, settings)).arms


def test_a_plan_has_tokens_without_loading_torch(tmp_path: Path) -> None:
    """Even where an embedder, a base and trainings are planned: only --hours looks at the models."""
    path = tmp_path / "x.yaml"
    settings = {"artifacts": str(tmp_path / "a"), "pool.builtin.size": 60, "pool.builtin.test_size": 5}
    changed = [f"{name}={value}" for name, value in settings.items()]
    path.write_text((ROOT / "configs/experiments/ablation_builtin.yaml").read_text())
    code = (
        "import sys; from tacos.cli import main; sys.argv = ['tacos', 'plan', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print([name for name in ('torch', 'transformers', 'sklearn') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(path), *changed],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    *lines, loaded = result.stdout.splitlines()
    assert loaded == "[]"
    assert any(line.startswith("train ") and line.endswith(" tokens") for line in lines)
    assert any("tokens here (--hours tells how long)" in line for line in lines)
