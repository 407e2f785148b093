"""The model saved is the model trained, in the numbers that were asked for, or the run says that it is not."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from tacos.errors import TacosError
from tacos.store.files import read_json, write_json
from tests.train.helpers import SETTINGS, train
from train import build, saved
from train.settings import LoraSettings, TrainSettings

SHORT = SETTINGS.model_copy(update={"steps": 2, "lr": 5e-2})
ADAPTED = SHORT.model_copy(update={"mode": "lora"})


def told(text: str) -> tuple[float, float]:
    """The saved model's loss and the trained model's."""
    found = re.search(r"loaded again loses ([\d.]+) on 8 samples, as trained \(([\d.]+)\)", text)
    assert found
    return float(found[1]), float(found[2])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"neftune_alpha": 40.0, "packing": True},
        {"mode": "lora"},
        {"mode": "lora", "lora": LoraSettings(target=("q_proj", "down_proj"), dropout=0.5)},
        {"mode": "lora", "save_dtype": "float32", "bf16": True},
        {"bf16": True},
    ],
)
def test_the_folder_is_loaded_again_and_loses_what_the_trained_model_does(
    changes, micro_pool, micro_base, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    train(micro_pool, micro_base, SHORT.model_copy(update=changes), 0, tmp_path)
    one, other = told(caplog.text)
    assert one == pytest.approx(other, abs=0.05 if changes.get("bf16") else 1e-3)


def test_adapters_merged_into_both_of_two_tied_weights_are_found(
    micro_pool, micro_base, tmp_path, monkeypatch
):
    """What is refused before the first step, let through."""
    monkeypatch.setattr(build, "check_settings", lambda *args: None)
    settings = ADAPTED.model_copy(
        update={"steps": 6, "lora": LoraSettings(target=("embed_tokens", "q_proj"))}
    )
    with pytest.raises(
        TacosError, match=r"is not the one that was trained: on 8 samples it loses .*adapter/"
    ):
        train(micro_pool, micro_base, settings, 0, tmp_path)
    assert not (tmp_path / "trained.json").exists() and (tmp_path / "adapter").is_dir()


def test_weights_that_change_while_they_are_saved_are_found(micro_pool, micro_base, tmp_path, monkeypatch):
    real = hf.Trainer.save_model

    def save_model(self, folder, *args, **kwargs):
        real(self, folder, *args, **kwargs)
        weights = load_file(f"{folder}/model.safetensors")
        weights["model.norm.weight"] *= 1.5
        save_file(weights, f"{folder}/model.safetensors", {"format": "pt"})

    monkeypatch.setattr(hf.Trainer, "save_model", save_model)
    with pytest.raises(TacosError, match=r"is not the one that was trained: .*take another base model"):
        train(micro_pool, micro_base, SHORT, 0, tmp_path)
    assert not (tmp_path / "trained.json").exists()


def test_a_tokenizer_that_changes_while_it_is_saved_is_found(micro_pool, micro_base, tmp_path, monkeypatch):
    real = hf.PreTrainedTokenizerFast.save_pretrained

    def save_pretrained(self, folder, *args, **kwargs):
        real(self, folder, *args, **kwargs)
        core = read_json(Path(folder) / "tokenizer.json") if Path(folder).name == "model" else None
        if core:
            core["pre_tokenizer"]["add_prefix_space"] = False
            write_json(Path(folder) / "tokenizer.json", core)

    monkeypatch.setattr(hf.PreTrainedTokenizerFast, "save_pretrained", save_pretrained)
    with pytest.raises(TacosError, match=r"the tokenizer saved in .* makes other ids of the sample"):
        train(micro_pool, micro_base, SHORT, 0, tmp_path)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_training_that_diverges_is_told_as_that(bf16, micro_pool, micro_base, tmp_path):
    wild = SHORT.model_copy(update={"lr": 1e30, "bf16": bf16})
    with pytest.raises(
        TacosError, match=r"training diverged, .* nan .*: lower train\.lr \(now 1e\+30\) or train\.max_g"
    ):
        train(micro_pool, micro_base, wild, 0, tmp_path)
    assert not (tmp_path / "model").exists()


def test_a_machine_without_room_is_told_and_not_filled(micro_pool, micro_base, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(saved, "room_for", lambda folder: None)
    assert train(micro_pool, micro_base, SHORT, 0, tmp_path).steps == 2
    assert "was not loaded again to compare its loss, since memory has no room for it" in caplog.text


@pytest.mark.parametrize("mode", ["full", "lora"])
@pytest.mark.parametrize(
    ("settings", "dtype"),
    [
        ({}, torch.float32),
        ({"bf16": True}, torch.bfloat16),
        ({"save_dtype": "bfloat16"}, torch.bfloat16),
        ({"save_dtype": "float16"}, torch.float16),
        ({"save_dtype": "float32", "bf16": True}, torch.float32),
    ],
)
def test_the_numbers_of_the_saved_weights_are_a_setting(
    mode, settings, dtype, micro_pool, micro_base, tmp_path
):
    train(micro_pool, micro_base, SHORT.model_copy(update={"mode": mode, **settings}), 0, tmp_path)
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {dtype}
    assert read_json(tmp_path / "model" / "config.json")["dtype"] == str(dtype).removeprefix("torch.")
    assert not list(tmp_path.glob("*.new"))


def test_other_numbers_make_another_model():
    assert TrainSettings().identity() != TrainSettings(save_dtype="float16").identity()


def test_nothing_of_an_earlier_model_stays_in_its_folder(micro_pool, micro_base, tmp_path):
    train(micro_pool, micro_base, SHORT, 0, tmp_path)
    (tmp_path / "model" / "model-00001-of-00002.safetensors").touch()
    train(micro_pool, micro_base, SHORT, 1, tmp_path)
    assert not list((tmp_path / "model").glob("model-*"))
