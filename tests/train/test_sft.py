from __future__ import annotations

import pytest

from eval.generate import heldout_loss
from tacos.errors import PoolError, TacosError
from tacos.types import Pool, make_sample
from train.sft import TrainSettings, last_checkpoint, train

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


def test_a_killed_run_goes_on_from_its_checkpoint(micro_pool, micro_base, tmp_path, monkeypatch):
    settings = SETTINGS.model_copy(update={"save_steps": 2})
    whole = train(micro_pool, str(micro_base), settings, 0, tmp_path / "whole")

    import transformers

    step = transformers.Trainer.training_step
    calls = iter(range(100))

    def killed(self, *args, **kwargs):
        if next(calls) == 5:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(transformers.Trainer, "training_step", killed)
        train(micro_pool, str(micro_base), settings, 0, tmp_path / "killed")
    assert str(last_checkpoint(tmp_path / "killed")).endswith("checkpoint-4")
    resumed = train(micro_pool, str(micro_base), settings, 0, tmp_path / "killed")
    assert resumed.loss_tokens == whole.loss_tokens
    losses = [heldout_loss(str(tmp_path / name / "model"), micro_pool, 256) for name in ("whole", "killed")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_an_unknown_base_is_named(micro_pool, tmp_path):
    with pytest.raises(TacosError, match="no/such-model"):
        train(micro_pool, "no/such-model", SETTINGS, 0, tmp_path)
