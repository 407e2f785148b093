"""What Weights & Biases is sent, read back from an offline run."""

from __future__ import annotations

import pytest

from tacos.stage import git_commit
from tacos.store.files import read_jsonl
from tacos.tracking.settings import TrackingSettings
from tests.train.helpers import SETTINGS, training
from tests.wandb_log import runs
from train.launch import fine_tune


def test_a_training_is_tracked(micro_pool, micro_base, tmp_path, offline):
    settings = SETTINGS.model_copy(update={"validation": 0.2, "eval_steps": 3})
    tracking = TrackingSettings(name="tacos-seed3", group="experiment", tags=("mine",))
    run = training(micro_pool, micro_base, settings, 3, tmp_path / "out", tracking=tracking)
    trained = fine_tune(run)
    (seen,) = runs(tmp_path / "out")
    assert (seen["name"], seen["group"], seen["job"]) == ("tacos-seed3", "experiment", "train")
    assert seen["tags"] == ["full", "base:base", "pool:out.jsonl", "mine"] and seen["exit"] == 0
    config = seen["config"]
    assert config["train"]["lr"] == 0.01 and config["seed"] == 3
    assert config["model"] == f".../{micro_base.name}" and str(tmp_path) not in str(config)
    assert config["commit"] == git_commit() and config["template_hash"] == trained.template_hash
    assert len(config["selection"]) == 16 and config["identity"]["samples"] == config["selection"]
    steps = [row for row in seen["history"] if "train/loss" in row]
    assert [row["train/step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    for name in ("learning_rate", "grad_norm", "tokens_per_second", "loss_tokens_per_second"):
        assert all(f"train/{name}" in row for row in steps), name
    assert steps[-1]["train/loss"] == pytest.approx(trained.final_loss)
    assert steps[-1]["train/loss_tokens"] == trained.loss_tokens == seen["summary"]["train/loss_tokens"]
    assert steps[-1]["train/epoch"] == pytest.approx(trained.epochs)
    assert all(row["train/tokens_per_second"] > row["train/loss_tokens_per_second"] > 0 for row in steps)
    validated = [row["train/validation_loss"] for row in seen["history"] if "train/validation_loss" in row]
    assert len(validated) == 2 and validated[-1] == pytest.approx(trained.validation_loss)


def test_a_model_rests_on_its_selection(micro_pool, micro_base, tmp_path, offline):
    for models in (False, True):
        out = tmp_path / f"out{models}"
        run = training(micro_pool, micro_base, SETTINGS, 0, out, tracking=TrackingSettings(models=models))
        fine_tune(run)
        (seen,) = runs(out)
        rows, model = seen["artifacts"]
        assert rows["used"] and rows["name"] == f"selection-{seen['config']['selection']}"
        assert not model["used"] and model["type"] == "model" and model["name"] == f"model-{seen['id'][6:]}"
        assert ("model/model.safetensors" in model["files"]) == models and "history.jsonl" in model["files"]


def test_a_training_that_fails_ends_as_one_that_failed(
    micro_pool, micro_base, tmp_path, offline, monkeypatch
):
    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.saved.save", fail)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(training(micro_pool, micro_base, SETTINGS, 0, tmp_path / "out"))
    (seen,) = runs(tmp_path / "out")
    assert seen["exit"] == 130 and len(list(read_jsonl(tmp_path / "out" / "history.jsonl"))) == 7
