from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
import transformers
from pydantic import ValidationError
from safetensors.torch import load_file

from eval.generate import heldout_loss
from tacos.errors import PoolError, TacosError
from tacos.types import Pool, make_sample
from train.sft import TrainSettings, train

SETTINGS = TrainSettings(
    budget="loss_tokens", steps=6, loss_tokens_per_step=260, lr=1e-2, max_length=256, device="cpu"
)


def test_full_training_lowers_the_loss_on_the_planned_tokens(micro_pool, micro_base, tmp_path):
    trained = train(micro_pool, str(micro_base), SETTINGS, 0, tmp_path)
    before, after = (heldout_loss(str(path), micro_pool, 256) for path in (micro_base, tmp_path / "model"))
    assert after < before - 0.3
    assert trained.steps == 6 and 1560 <= trained.loss_tokens < 1820 and trained.samples == 40
    assert trained.tokens > trained.loss_tokens and trained.final_loss < before


def test_lora_training_lowers_the_loss_and_saves_a_plain_model(micro_pool, micro_base, tmp_path):
    settings = SETTINGS.model_copy(update={"mode": "lora", "lr": 5e-2})
    train(micro_pool, str(micro_base), settings, 0, tmp_path)
    assert not (tmp_path / "model" / "adapter_config.json").exists()
    losses = [heldout_loss(str(path), micro_pool, 256) for path in (micro_base, tmp_path / "model")]
    assert losses[1] < losses[0] - 0.1


def test_sample_budget_counts_epochs(micro_pool, micro_base, tmp_path):
    settings = TrainSettings(
        budget="samples", epochs=1.5, batch_size=16, lr=1e-3, max_length=256, device="cpu"
    )
    trained = train(micro_pool, str(micro_base), settings, 0, tmp_path)
    assert trained.steps == 3 + 2 and trained.epochs == pytest.approx(1.5)


def test_accumulation_changes_no_token(micro_pool, micro_base, tmp_path):
    one, two = (
        train(
            micro_pool,
            str(micro_base),
            SETTINGS.model_copy(update={"accumulation": k, "steps": 3}),
            0,
            tmp_path / str(k),
        )
        for k in (1, 2)
    )
    assert (one.loss_tokens, one.steps) == (two.loss_tokens, two.steps)
    losses = [heldout_loss(str(tmp_path / str(k) / "model"), micro_pool, 256) for k in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def test_samples_without_supervised_tokens_are_dropped_and_counted(micro_pool, micro_base, tmp_path):
    long = make_sample("why? " * 300, "Because.", id="long")
    trained = train(Pool.from_samples([*micro_pool, long]), str(micro_base), SETTINGS, 0, tmp_path)
    assert trained.dropped == 1 and trained.samples == 40
    with pytest.raises(PoolError, match="none of 1 samples"):
        train(Pool.from_samples([long]), str(micro_base), SETTINGS, 0, tmp_path)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model" / "model.safetensors")


def test_a_step_shorter_than_accumulation_trains_to_the_same_weights(micro_pool, micro_base, tmp_path):
    # 40 samples: a step of 24 and one of 16, the latter of fewer rows than the 20 micro-batches.
    settings = TrainSettings(epochs=1, batch_size=24, lr=1e-3, warmup=0, max_length=256, device="cpu")
    for k in (1, 20):
        split = settings.model_copy(update={"accumulation": k})
        trained = train(micro_pool, str(micro_base), split, 0, tmp_path / str(k))
        assert trained.steps == 2 and trained.epochs == 1
    before = load_file(micro_base / "model.safetensors")
    whole, split_up = weights(tmp_path / "1"), weights(tmp_path / "20")
    moved = max(float((whole[name] - before[name]).abs().max()) for name in whole)
    apart = max(float((whole[name] - split_up[name]).abs().max()) for name in whole)
    assert moved > 1e-3 and apart < moved / 100


def test_loss_token_steps_of_fewer_samples_than_accumulation_train(micro_pool, micro_base, tmp_path):
    settings = SETTINGS.model_copy(update={"accumulation": 64, "steps": 2})
    assert train(micro_pool, str(micro_base), settings, 0, tmp_path).steps == 2


def test_a_step_must_hold_the_longest_sample():
    with pytest.raises(ValidationError, match=r"is 300 and max_length 512.*set loss_tokens_per_step to 512"):
        TrainSettings(budget="loss_tokens", loss_tokens_per_step=300, max_length=512)
    TrainSettings(budget="samples", loss_tokens_per_step=300, max_length=512)
    TrainSettings(budget="loss_tokens")


def test_betas_reach_the_optimizer(micro_pool, micro_base, tmp_path, monkeypatch):
    seen = []
    create = transformers.Trainer.create_optimizer

    def spy(self, *args, **kwargs):
        optimizer = create(self, *args, **kwargs)
        seen.extend(group["betas"] for group in optimizer.param_groups)
        return optimizer

    monkeypatch.setattr(transformers.Trainer, "create_optimizer", spy)
    settings = SETTINGS.model_copy(update={"betas": (0.8, 0.95), "steps": 1})
    train(micro_pool, str(micro_base), settings, 0, tmp_path)
    assert set(seen) == {(0.8, 0.95)}
    with pytest.raises(ValidationError, match="less than 1"):
        TrainSettings(betas=(0.9, 1.0))


SAVING = SETTINGS.model_copy(update={"save_steps": 2})


def kill(monkeypatch, owner, name, call, run):
    """Run until `owner.name` is called for the `call`-th time, counted from 1, and stop it there."""
    real, calls = getattr(owner, name), iter(range(1, 100))

    def killed(self, *args, **kwargs):
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, name, killed)
        run()


@pytest.fixture
def steps_taken(monkeypatch) -> list[int]:
    """One entry for each step taken while the test runs."""
    taken: list[int] = []
    real = transformers.Trainer.training_step

    def step(self, *args, **kwargs):
        taken.append(self.state.global_step)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(transformers.Trainer, "training_step", step)
    return taken


def killed_after_4_steps(monkeypatch, pool, base, out, settings=SAVING):
    def run():
        train(pool, str(base), settings, 0, out)

    kill(monkeypatch, transformers.Trainer, "training_step", 6, run)
    assert [p.name for p in (out / "checkpoints").glob("checkpoint-*")] == ["checkpoint-4"]


def test_a_killed_run_goes_on_from_its_checkpoint(micro_pool, micro_base, tmp_path, monkeypatch, steps_taken):
    whole = train(micro_pool, str(micro_base), SAVING, 0, tmp_path / "whole")
    killed_after_4_steps(monkeypatch, micro_pool, micro_base, tmp_path / "killed")
    steps_taken.clear()
    resumed = train(micro_pool, str(micro_base), SAVING, 0, tmp_path / "killed")
    assert steps_taken == [4, 5]
    assert resumed.loss_tokens == whole.loss_tokens
    losses = [heldout_loss(str(tmp_path / name / "model"), micro_pool, 256) for name in ("whole", "killed")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_execution_may_change_between_attempts(micro_pool, micro_base, tmp_path, monkeypatch, steps_taken):
    killed_after_4_steps(monkeypatch, micro_pool, micro_base, tmp_path)
    steps_taken.clear()
    train(micro_pool, str(micro_base), SAVING.model_copy(update={"accumulation": 2}), 0, tmp_path)
    assert steps_taken == [4, 4, 5, 5]


@pytest.mark.parametrize("change", ["samples", "base", "seed", "train.lr"])
def test_checkpoints_of_another_run_are_left_behind(
    change, micro_pool, micro_base, tmp_path, monkeypatch, steps_taken, caplog
):
    caplog.set_level(logging.WARNING)
    killed_after_4_steps(monkeypatch, micro_pool, micro_base, tmp_path / "out")
    steps_taken.clear()
    pool, base, settings, seed = micro_pool, str(micro_base), SAVING, 0
    if change == "samples":
        other = make_sample("Who was it?", "Someone else.", id=micro_pool[0].id)
        pool = Pool.from_samples([other, *list(micro_pool)[1:]])
    elif change == "base":
        train(micro_pool, base, SETTINGS.model_copy(update={"steps": 1}), 0, tmp_path / "base")
        base = str(tmp_path / "base" / "model")
        steps_taken.clear()
    elif change == "seed":
        seed = 1
    else:
        settings = SAVING.model_copy(update={"lr": 2e-2})
    train(pool, base, settings, seed, tmp_path / "out")
    assert steps_taken == [0, 1, 2, 3, 4, 5]
    assert f"checkpoint-4: of another run ({change} differ)" in caplog.text


def test_a_finished_run_leaves_no_checkpoint_and_trains_again(micro_pool, micro_base, tmp_path, steps_taken):
    for _ in range(2):
        train(micro_pool, str(micro_base), SAVING, 0, tmp_path)
        assert not (tmp_path / "checkpoints").exists()
    assert steps_taken == [0, 1, 2, 3, 4, 5] * 2


@pytest.mark.parametrize("mode", ["full", "lora"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (transformers.Trainer, "save_model"),
        (transformers.Trainer, "_save_optimizer_and_scheduler"),
        (transformers.Trainer, "_save_rng_state"),
        (transformers.TrainerState, "save_to_json"),
    ],
)
def test_a_kill_while_saving_goes_on_from_the_checkpoint_before(
    owner, name, mode, micro_pool, micro_base, tmp_path, monkeypatch, steps_taken, caplog
):
    settings = SAVING.model_copy(update={"mode": mode})
    run = lambda: train(micro_pool, str(micro_base), settings, 0, tmp_path)  # noqa: E731
    kill(monkeypatch, owner, name, 2, run)
    (tmp_path / "checkpoints" / "checkpoint-4").mkdir(exist_ok=True)
    steps_taken.clear()
    assert run().steps == 6
    assert steps_taken == [2, 3, 4, 5]
    assert "checkpoint-4: incomplete" in caplog.text


def test_an_unknown_base_is_named(micro_pool, tmp_path):
    with pytest.raises(TacosError, match="no/such-model"):
        train(micro_pool, "no/such-model", SETTINGS, 0, tmp_path)
