"""What a training leaves after every epoch: the adapter as it was then, AdamW's moments, the mean rate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tacos.config import parse
from tacos.errors import ConfigError, TacosError
from tacos.models.epochs import MOMENTS, epoch, learning_rate, read_moments
from tacos.models.gradients import trained_weights
from tacos.models.local import load_lm, with_adapter
from tests.train.helpers import train
from train.epochs import last_steps
from train.settings import LoraSettings, TrainSettings

KEEPING = TrainSettings(
    mode="lora",
    lora=LoraSettings(r=2, alpha=4),
    epochs=2,
    batch_size=2,
    lr=1e-2,
    scheduler="linear",
    warmup=0.0,
    max_length=256,
    device="cpu",
    keep_epochs=True,
)


def test_the_last_step_of_each_epoch() -> None:
    assert last_steps([[0, 1], [2], [1, 0], [2], [0]], 3) == [2, 4]


def test_every_epoch_is_kept_as_it_was(micro_pool, micro_base, tmp_path):
    pool = micro_pool.take(range(5))
    trained = train(pool, micro_base, KEEPING, 0, tmp_path / "a")
    folders = [tmp_path / "a" / epoch(number) for number in (1, 2)]
    adapters = [load_file(folder / "adapter_model.safetensors") for folder in folders]
    final = load_file(tmp_path / "a" / "adapter" / "adapter_model.safetensors")
    assert trained.steps == 6 and all(torch.equal(adapters[1][name], final[name]) for name in final)
    assert any(not torch.equal(adapters[0][name], final[name]) for name in final)
    # linear from 0.01 to 0 over six steps, three of them in each epoch
    assert [learning_rate(folder) for folder in folders] == pytest.approx([0.01 * 5 / 6, 0.01 * 2 / 6])
    lm = with_adapter(load_lm(str(micro_base), device="cpu"), folders[0])
    moments = read_moments(lm)
    size = sum(weight.numel() for _, weight in trained_weights(lm))
    assert moments.mean.shape == moments.square.shape == (size,)
    assert float(moments.square.min()) >= 0 and float(moments.mean.abs().max()) > 0
    assert moments.betas == (0.9, 0.999) and moments.epsilon == 1e-8


def test_an_adapter_without_moments_is_refused(micro_pool, micro_base, tmp_path):
    train(micro_pool.take(range(3)), micro_base, KEEPING, 0, tmp_path / "a")
    folder: Path = tmp_path / "a" / epoch(1)
    (folder / MOMENTS).unlink()
    with pytest.raises(TacosError, match=r"train with train\.keep_epochs=true"):
        read_moments(with_adapter(load_lm(str(micro_base), device="cpu"), folder))


@pytest.mark.parametrize(
    "changed", [{"mode": "full"}, {"budget": "loss_tokens", "loss_tokens_per_step": 4096}]
)
def test_epochs_are_kept_of_adapters_and_whole_epochs(changed):
    with pytest.raises(ConfigError, match="keep_epochs is for mode lora or qlora, budget: samples"):
        parse(TrainSettings, KEEPING.model_dump() | changed)
