"""What a training tells of itself is what it did."""

from __future__ import annotations

from itertools import pairwise

import pytest
import transformers as hf

from tacos.models.flops import parameters_at_work
from tacos.store.files import read_jsonl
from tests.train.helpers import SETTINGS, train


def curve(out) -> list[dict[str, float]]:
    return [row for row in read_jsonl(out / "history.jsonl") if "loss" in row]


@pytest.mark.parametrize("limit", [1, 300, 100_000])
@pytest.mark.parametrize("packing", [False, True])
def test_the_history_counts_every_token_and_pass_however_a_step_is_split(
    packing, limit, micro_pool, micro_base, tmp_path
):
    settings = SETTINGS.model_copy(update={"packing": packing, "micro_batch_tokens": limit})
    trained = train(micro_pool, micro_base, settings, 0, tmp_path)
    rows = curve(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["num_tokens"] == trained.tokens > trained.loss_tokens
    assert rows[-1]["epoch"] == pytest.approx(trained.epochs)
    taken = [row["num_tokens"] for row in rows]
    assert all(early < late for early, late in pairwise([0, *taken]))


def test_the_history_of_a_run_that_was_killed_counts_from_its_beginning(
    micro_pool, micro_base, tmp_path, monkeypatch
):
    whole = SETTINGS.model_copy(update={"save_steps": 2})
    train(micro_pool, micro_base, whole, 0, tmp_path / "whole")
    real, calls = hf.Trainer.training_step, iter(range(6))

    def step(self, *args, **kwargs):
        if next(calls) == 5:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(hf.Trainer, "training_step", step)
        train(micro_pool, micro_base, whole, 0, tmp_path / "killed")
    train(micro_pool, micro_base, whole, 0, tmp_path / "killed")
    counted = [
        [(row["num_tokens"], row["epoch"]) for row in curve(tmp_path / name)] for name in ("whole", "killed")
    ]
    assert counted[0] == counted[1] and len(counted[0]) == 6


def test_the_history_holds_no_figure_that_counts_micro_batches(micro_pool, micro_base, tmp_path):
    trained = train(micro_pool, micro_base, SETTINGS, 0, tmp_path)
    (end,) = [row for row in read_jsonl(tmp_path / "history.jsonl") if "train_runtime" in row]
    assert end["epoch"] == pytest.approx(trained.epochs) and end["step"] == 6
    assert not {"total_flos", "train_samples_per_second"} & end.keys()


def test_operations_are_six_a_parameter_and_token_and_four_and_a_little_with_adapters(
    micro_pool, micro_base, tmp_path
):
    found = {
        mode: train(micro_pool, micro_base, SETTINGS.model_copy(update={"mode": mode}), 0, tmp_path / mode)
        for mode in ("full", "lora")
    }
    size = parameters_at_work(hf.AutoModelForCausalLM.from_pretrained(micro_base))
    full, lora = found["full"], found["lora"]
    assert full.parameters == size and full.flops == 6 * size * full.tokens
    adapters = lora.parameters - size
    assert adapters > 0 and lora.flops == (4 * size + 6 * adapters) * lora.tokens
