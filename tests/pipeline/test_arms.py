"""Arms that are not like the others: another budget, training or base, or a finished model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.report.notices import budget_warnings
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.pipeline.differences import differences
from tacos.pipeline.graph import ArmStages, Experiment
from tacos.pipeline.run import run_experiment
from tacos.pipeline.settings import ExperimentSettings
from tests.pipeline.helpers import write_pool

TINY = {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 4, "block": 64}


def settings(folder: Path, arms: dict[str, Any], **changed: Any) -> ExperimentSettings:
    data = {
        "name": "arms",
        "budget": 6,
        "baseline": "random",
        "controls": [],
        "pool": {"source": str(write_pool(folder / "pool.jsonl")), "holdout": 3},
        "arms": {"random": {"method": "random"}, **arms},
        "base": {"tiny": TINY},
        "train": {"epochs": 2, "batch_size": 4, "max_length": 128, "lr": 1e-3},
        "eval": {"generate": {"max_new_tokens": 4}},
        "artifacts": str(folder / "artifacts"),
        "runs": str(folder / "runs"),
        "tracking": {"mode": "disabled"},
    }
    return parse(ExperimentSettings, data | changed)


def stages(chosen: ExperimentSettings) -> dict[str, ArmStages]:
    return {arm.arm: arm for arm in Experiment(chosen).arms}


def test_an_arm_may_have_a_budget_and_a_training_of_its_own(tmp_path: Path) -> None:
    arms = {
        "few": {"method": "random", "budget": 3},
        "long": {"method": "random", "train": {"epochs": 3}},
        "full": {"method": "full", "train": {"epochs": 1, "lora": {"r": 4}}},
    }
    chosen = settings(tmp_path, arms)
    made = stages(chosen)
    assert made["long"].select is not None and made["random"].select is not None
    assert made["long"].select.fingerprint == made["random"].select.fingerprint  # it selects alike
    assert differences(chosen, "few") == ["budget 3 for 6"] and differences(chosen, "random") == []
    assert differences(chosen, "full") == ["train.lora.r 4 for 16", "train.epochs 1.0 for 2.0"]
    results, _ = run_experiment(chosen)
    trained = {run.arm: run.trained for run in results.runs}
    sizes = {name: (done.samples, done.epochs) for name, done in trained.items() if done}
    assert sizes == {"random": (6, 2), "few": (3, 2), "long": (6, 3), "full": (21, 1)}
    told = {arm.arm: arm.differs for arm in results.summary}
    assert told["long"] == ["train.epochs 3.0 for 2.0"] and told["random"] == []
    (line,) = (line for line in budget_warnings(results) if "treated alike" in line)
    assert "few (budget 3 for 6)" in line and "long (train.epochs 3.0 for 2.0)" in line


def test_an_arm_may_be_matched_in_length_with_another(tmp_path: Path) -> None:
    matched = {"method": "length-matched", "allocate": {"like": "longest"}}
    arms = {"matched": matched, "longest": {"method": "longest"}}
    chosen = settings(tmp_path, arms, train=None, seeds=[0, 1])
    results, _ = run_experiment(chosen)
    words = {(run.arm, run.seed): run.audit.mean_words for run in results.runs}
    assert words["matched", 0] == words["longest", 0] == words["matched", 1] != words["random", 0]
    (one, two) = (arm for arm in Experiment(chosen).arms if arm.arm == "matched")
    assert one.select and two.select and one.select.fingerprint != two.select.fingerprint
    other = settings(tmp_path, arms | {"longest": {"method": "longest", "budget": 3}}, train=None)
    (changed, *_) = (arm for arm in Experiment(other).arms if arm.arm == "matched")
    assert changed.select and changed.select.fingerprint != one.select.fingerprint


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"a": "longest"}, r"arms\.a: allocate\.like: there is no file longest"),
        ({"a": "a"}, r"what arms\.a selects depends on itself"),
        ({"a": "b", "b": "a"}, r"arms\.a: arms\.b: what arms\.a selects depends on itself"),
        ({"a": "zero"}, r"the arm 'zero' trains on no rows"),
        ({"a": None}, r"name an arm of the experiment in allocate\.like, or a file"),
    ],
)
def test_what_a_draw_is_matched_with_is_there(
    tmp_path: Path, arms: dict[str, str | None], message: str
) -> None:
    matched = {name: {"method": "length-matched", "allocate": {"like": like}} for name, like in arms.items()}
    chosen = settings(tmp_path, {**matched, "zero": {"method": "zero-shot"}})
    with pytest.raises(ConfigError, match=message):
        stages(chosen)


def test_an_arm_may_start_from_another_base_or_be_a_finished_model(tmp_path: Path) -> None:
    other = {"tiny": TINY | {"seed": 1}}
    first = settings(tmp_path, {"other": {"method": "random", "base": other}})
    results, _ = run_experiment(first)
    made = stages(first)["other"]
    assert made.train is not None
    folder = tmp_path / "artifacts" / "train" / made.train.fingerprint / "model"
    base = {arm.arm: arm.differs for arm in results.summary}["other"]
    assert base == ["base tiny for tiny"] and "base model (other)" in results.parts

    arms = {"theirs": {"model": str(folder)}, "as-it-is": {"method": "zero-shot", "base": other}}
    chosen = settings(tmp_path, arms, name="finished")
    theirs = stages(chosen)["theirs"]
    assert theirs.data is None and theirs.train is None and theirs.answer is not None
    results, _ = run_experiment(chosen)
    run = next(run for run in results.runs if run.arm == "theirs")
    assert (run.method, run.audit.rows, run.trained) == ("model", 0, None) and run.measures["heldout_loss"]
    assert results.parts["selection (theirs)"] == f"finished model {folder}"


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"model": "x", "method": "random"}, "and not two of them"),
        ({"model": "x", "data": "y.json"}, "and not two of them"),
        ({"method": "model"}, "and not two of them"),
        ({"model": "x", "budget": 3}, "nothing is trained for model, so budget has no effect"),
        ({"model": "x", "base": {"model": "y"}}, "so base has no effect"),
        (
            {"method": "zero-shot", "train": {"lr": 1}},
            "nothing is trained for zero-shot, so train has no effect",
        ),
        ({"method": "random", "train": {"epoch": 3}}, r"arms\.other\.train\.epoch.*epochs"),
        ({"method": "random", "budget": 0}, r"arms\.other\.budget"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arm: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(tmp_path, {"other": arm})


def test_without_training_no_arm_changes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arms\.other\.train changes a training, and train is null"):
        settings(tmp_path, {"other": {"method": "random", "train": {"epochs": 3}}}, train=None)
