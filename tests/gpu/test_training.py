"""On a CUDA device: the trainings of tests/train in bfloat16, in 4 bits, and in DeepSpeed's shards."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tacos.answering.heldout import heldout_loss
from tacos.types import Pool
from tests.train.helpers import SETTINGS, losses, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
BF16 = SETTINGS.model_copy(update={"device": "auto", "bf16": True})
ZERO_2 = Path(__file__).parents[2] / "configs" / "deepspeed" / "zero2.json"
NEAR = 0.02
"""Nats by which the loss of a step may differ in bfloat16; on a CPU it differs by 0.001 (2026-11-26)."""


@pytest.fixture(scope="module")
def in_float32(micro_pool: Pool, micro_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The loss of each step on a CPU."""
    out = tmp_path_factory.mktemp("cpu") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        train(micro_pool, micro_base, SETTINGS, 0, out)
    return losses(out)


def test_bfloat16_falls_as_float32_does_on_a_cpu(
    in_float32: list[float], micro_pool: Pool, micro_base: Path, tmp_path: Path
) -> None:
    train(micro_pool, micro_base, BF16, 0, tmp_path)
    found = losses(tmp_path)
    assert all(map(math.isfinite, found)) and found[-1] < found[0] - 0.3
    assert found == pytest.approx(in_float32, abs=NEAR)


def test_packed_rows_train_to_what_padded_ones_do(
    in_float32: list[float], micro_pool: Pool, micro_base: Path, tmp_path: Path
) -> None:
    """By flash attention where it is installed, else by the mask of another kernel."""
    train(micro_pool, micro_base, BF16.model_copy(update={"packing": True}), 0, tmp_path)
    assert losses(tmp_path) == pytest.approx(in_float32, abs=NEAR)


def test_adapters_are_trained_on_a_base_in_4_bits(micro_pool: Pool, micro_base: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes, of the gpu extra")
    train(micro_pool, micro_base, BF16.model_copy(update={"mode": "qlora", "lr": 5e-2}), 0, tmp_path)
    before, after = (heldout_loss(str(path), micro_pool, 256) for path in (micro_base, tmp_path / "model"))
    assert after < before - 0.1


def test_deepspeed_trains_one_shard_to_what_no_shard_does(
    in_float32: list[float], micro_pool: Pool, micro_base: Path, tmp_path: Path
) -> None:
    """ZeRO-2 over NCCL, in a worker that torchrun starts."""
    pytest.importorskip("deepspeed", reason="needs DeepSpeed, of the deepspeed extra")
    trained = train(micro_pool, micro_base, BF16.model_copy(update={"deepspeed": str(ZERO_2)}), 0, tmp_path)
    assert trained.steps == 6 and losses(tmp_path) == pytest.approx(in_float32, abs=NEAR)
