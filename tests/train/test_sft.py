from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
import transformers
from filelock import FileLock
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from tacos.answering.heldout import heldout_loss
from tacos.errors import ConfigError, PoolError, TacosError
from tacos.models.chat import template_hash
from tacos.types import Pool, make_sample
from tests.train.helpers import SETTINGS, losses, train
from train.data import hold_out
from train.settings import TrainSettings


def test_full_training_lowers_the_loss_on_the_planned_tokens(micro_pool, micro_base, tmp_path):
    trained = train(micro_pool, micro_base, SETTINGS, 0, tmp_path)
    before, after = (heldout_loss(str(path), micro_pool, 256) for path in (micro_base, tmp_path / "model"))
    assert after < before - 0.3
    assert trained.steps == 6 and 1560 <= trained.loss_tokens < 1820 and trained.samples == 40
    assert trained.tokens > trained.loss_tokens and trained.final_loss < before


def test_lora_training_lowers_the_loss_and_saves_a_plain_model(micro_pool, micro_base, tmp_path):
    settings = SETTINGS.model_copy(update={"mode": "lora", "lr": 5e-2})
    train(micro_pool, micro_base, settings, 0, tmp_path)
    assert not (tmp_path / "model" / "adapter_config.json").exists()
    before, after = (heldout_loss(str(path), micro_pool, 256) for path in (micro_base, tmp_path / "model"))
    assert after < before - 0.1


def test_sample_budget_counts_epochs(micro_pool, micro_base, tmp_path):
    settings = TrainSettings(
        budget="samples", epochs=1.5, batch_size=16, lr=1e-3, max_length=256, device="cpu"
    )
    trained = train(micro_pool, micro_base, settings, 0, tmp_path)
    assert trained.steps == 3 + 2 and trained.epochs == pytest.approx(1.5)


def test_samples_without_supervised_tokens_are_dropped_and_counted(micro_pool, micro_base, tmp_path):
    long = make_sample("why? " * 300, "Because.", id="long")
    trained = train(Pool.from_samples([*micro_pool, long]), micro_base, SETTINGS, 0, tmp_path)
    assert trained.dropped == 1 and trained.samples == 40
    with pytest.raises(PoolError, match="none of 1 samples"):
        train(Pool.from_samples([long]), micro_base, SETTINGS, 0, tmp_path)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model" / "model.safetensors")


def test_a_step_shorter_than_accumulation_trains_to_the_same_weights(micro_pool, micro_base, tmp_path):
    # 40 samples: a step of 24 and one of 16; with one sample to a micro-batch, 8 of the latter's 24 are empty.
    settings = TrainSettings(epochs=1, batch_size=24, lr=1e-3, warmup=0, max_length=256, device="cpu")
    for k in (1, 100_000):
        split = settings.model_copy(update={"micro_batch_tokens": k})
        trained = train(micro_pool, micro_base, split, 0, tmp_path / str(k))
        assert trained.steps == 2 and trained.epochs == 1
    before = load_file(micro_base / "model.safetensors")
    whole, split_up = weights(tmp_path / "1"), weights(tmp_path / "100000")
    moved = max(float((whole[name] - before[name]).abs().max()) for name in whole)
    apart = max(float((whole[name] - split_up[name]).abs().max()) for name in whole)
    assert moved > 1e-3 and apart < moved / 100


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
    train(micro_pool, micro_base, settings, 0, tmp_path)
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
    whole = train(micro_pool, micro_base, SAVING, 0, tmp_path / "whole")
    killed_after_4_steps(monkeypatch, micro_pool, micro_base, tmp_path / "killed")
    steps_taken.clear()
    resumed = train(micro_pool, micro_base, SAVING, 0, tmp_path / "killed")
    assert steps_taken == [4, 5]
    assert resumed.loss_tokens == whole.loss_tokens
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole") and len(losses(tmp_path / "whole")) == 6
    one, other = weights(tmp_path / "killed"), weights(tmp_path / "whole")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_execution_may_change_between_attempts(micro_pool, micro_base, tmp_path, monkeypatch, steps_taken):
    killed_after_4_steps(monkeypatch, micro_pool, micro_base, tmp_path)
    steps_taken.clear()
    train(micro_pool, micro_base, SAVING.model_copy(update={"micro_batch_tokens": 350}), 0, tmp_path)
    assert set(steps_taken) == {4, 5} and len(steps_taken) > 2


@pytest.mark.parametrize("change", ["samples", "base", "seed", "train.lr"])
def test_checkpoints_of_another_run_are_left_behind(
    change, micro_pool, micro_base, tmp_path, monkeypatch, steps_taken, caplog
):
    caplog.set_level(logging.WARNING)
    killed_after_4_steps(monkeypatch, micro_pool, micro_base, tmp_path / "out")
    steps_taken.clear()
    pool, base, settings, seed = micro_pool, micro_base, SAVING, 0
    if change == "samples":
        other = make_sample("Who was it?", "Someone else.", id=micro_pool[0].id)
        pool = Pool.from_samples([other, *list(micro_pool)[1:]])
    elif change == "base":
        train(micro_pool, base, SETTINGS.model_copy(update={"steps": 1}), 0, tmp_path / "base")
        base = tmp_path / "base" / "model"
        steps_taken.clear()
    elif change == "seed":
        seed = 1
    else:
        settings = SAVING.model_copy(update={"lr": 2e-2})
    train(pool, base, settings, seed, tmp_path / "out")
    assert steps_taken == [0, 1, 2, 3, 4, 5]
    assert f"checkpoint-4: of another run ({change} differ)" in caplog.text


def test_a_finished_run_is_not_run_again(micro_pool, micro_base, tmp_path, steps_taken, caplog):
    caplog.set_level(logging.INFO)
    first = train(micro_pool, micro_base, SAVING, 0, tmp_path)
    assert not (tmp_path / "checkpoints").exists()
    execution = {"save_steps": 0, "micro_batch_tokens": 300, "packing": True}
    assert train(micro_pool, micro_base, SAVING.model_copy(update=execution), 0, tmp_path) == first
    assert steps_taken == [0, 1, 2, 3, 4, 5] and "is trained already" in caplog.text
    train(micro_pool, micro_base, SAVING.model_copy(update={"lr": 1e-3}), 0, tmp_path)
    (tmp_path / "model" / "model.safetensors").unlink()
    train(micro_pool, micro_base, SAVING.model_copy(update={"lr": 1e-3}), 0, tmp_path)
    assert steps_taken == [0, 1, 2, 3, 4, 5] * 3


def test_two_trainings_do_not_share_a_folder(micro_pool, micro_base, tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(TacosError, match="another training writes to"):
        train(micro_pool, micro_base, SETTINGS, 0, tmp_path)


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
    run = lambda: train(micro_pool, micro_base, settings, 0, tmp_path)  # noqa: E731
    kill(monkeypatch, owner, name, 2, run)
    (tmp_path / "checkpoints" / "checkpoint-4").mkdir(exist_ok=True)
    steps_taken.clear()
    assert run().steps == 6
    assert steps_taken == [2, 3, 4, 5]
    assert "checkpoint-4: incomplete" in caplog.text


def test_an_unknown_base_is_named(micro_pool, tmp_path):
    with pytest.raises(TacosError, match="no/such-model"):
        train(micro_pool, "no/such-model", SETTINGS, 0, tmp_path)


def test_memory_that_runs_out_gives_advice(micro_pool, micro_base, tmp_path, monkeypatch):
    def step(self, *args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(transformers.Trainer, "training_step", step)
    with pytest.raises(TacosError, match=r"lower train.micro_batch_tokens \(now 8192\).*zero3.json"):
        train(micro_pool, micro_base, SETTINGS, 0, tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError(
            "[enforce fail at inline_container.cc:664] PytorchStreamWriter failed writing file data/0"
        ),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_named(micro_pool, micro_base, tmp_path, monkeypatch, error):
    """Whichever library finds out, in training or when the model is written."""

    def full(*args: object, **kwargs: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("train.saved.save", full)
        with pytest.raises(TacosError, match=r"^cannot write .*; free space or choose another"):
            train(micro_pool, micro_base, SETTINGS, 0, tmp_path)
    assert train(micro_pool, micro_base, SETTINGS, 0, tmp_path).steps == SETTINGS.steps


def test_cut_samples_are_counted_in_the_log(micro_pool, micro_base, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    extra = [
        make_sample("why? " * 300, "Because.", id="gone"),
        make_sample("Why?", "Because. " * 300, id="cut"),
    ]
    pool = Pool.from_samples([*micro_pool, *extra])
    trained = train(pool, micro_base, SETTINGS.model_copy(update={"steps": 1}), 0, tmp_path)
    assert (trained.truncated, trained.dropped, trained.samples) == (1, 1, 41)
    assert (
        "max_length=256: 1 of 42 samples are cut short, and 1 more have no assistant token left"
        in caplog.text
    )


def test_a_template_without_an_end_token_is_refused(micro_pool, micro_base, tmp_path):
    with pytest.raises(ConfigError, match="end token"):
        train(micro_pool, micro_base, SETTINGS.model_copy(update={"template": "zero_shot"}), 0, tmp_path)


def test_the_model_carries_its_template_and_stops_at_its_end(micro_pool, micro_base, tmp_path):
    settings = SETTINGS.model_copy(update={"template": "vicuna_v1.1", "steps": 1})
    trained = train(micro_pool, micro_base, settings, 0, tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert "ASSISTANT:" in tokenizer.chat_template and template_hash(tokenizer) == trained.template_hash
    generation = transformers.GenerationConfig.from_pretrained(tmp_path / "model")
    assert tokenizer.eos_token_id in generation.eos_token_id


def test_samples_are_trained_on_in_the_alpaca_preamble_where_that_is_asked_for(
    micro_pool, micro_base, tmp_path
):
    settings = SETTINGS.model_copy(update={"steps": 1, "max_length": 1024, "loss_tokens_per_step": 1024})
    bare = train(micro_pool, micro_base, settings, 0, tmp_path / "bare")
    wrapped = train(
        micro_pool, micro_base, settings.model_copy(update={"wrap": "alpaca"}), 0, tmp_path / "wrapped"
    )
    assert wrapped.loss_tokens == bare.loss_tokens and wrapped.tokens > bare.tokens
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "wrapped" / "model")
    assert wrapped.template_hash == template_hash(tokenizer, "alpaca") != bare.template_hash


def test_qlora_trains_a_base_in_four_bits(micro_pool, micro_base, tmp_path):
    pytest.importorskip("bitsandbytes")
    settings = SETTINGS.model_copy(update={"mode": "qlora", "lr": 5e-2})
    train(micro_pool, micro_base, settings, 0, tmp_path)
    before, after = (heldout_loss(str(path), micro_pool, 256) for path in (micro_base, tmp_path / "model"))
    assert after < before - 0.1 and (tmp_path / "adapter" / "adapter_config.json").is_file()
    assert load_file(tmp_path / "model" / "model.safetensors")["model.norm.weight"].dtype == torch.float32


def test_more_epochs_make_up_for_fewer_tokens(micro_pool, micro_base, tmp_path):
    few = Pool.from_samples(list(micro_pool)[:10])
    short = train(few, micro_base, SETTINGS, 0, tmp_path / "few")
    long = train(micro_pool, micro_base, SETTINGS, 0, tmp_path / "all")
    assert short.steps == long.steps and abs(short.loss_tokens - long.loss_tokens) < 256
    assert short.epochs > 3 * long.epochs


VALIDATED = SETTINGS.model_copy(update={"validation": 0.2, "eval_steps": 2})


def test_the_validation_loss_is_that_of_the_rows_held_out(micro_pool, micro_base, tmp_path):
    trained = train(micro_pool, micro_base, VALIDATED, 0, tmp_path)
    assert (trained.samples, trained.validation_samples) == (32, 8)
    held = Pool.from_samples(micro_pool[i] for i in hold_out(40, 0.2, 0))
    assert trained.validation_loss == pytest.approx(
        heldout_loss(str(tmp_path / "model"), held, 256), rel=1e-5
    )


def test_patience_stops_early_and_keeps_the_best(micro_pool, micro_base, tmp_path):
    settings = VALIDATED.model_copy(
        update={"patience": 2, "lr": 0.5, "scheduler": "constant", "steps": 20, "eval_steps": 1}
    )
    trained = train(micro_pool, micro_base, settings, 0, tmp_path)
    assert trained.stopped_early and trained.best_step is not None
    assert trained.steps == trained.best_step + 2 < 20
    held = Pool.from_samples(micro_pool[i] for i in hold_out(40, 0.2, 0))
    assert trained.validation_loss == pytest.approx(
        heldout_loss(str(tmp_path / "model"), held, 256), rel=1e-4
    )
    with pytest.raises(ValidationError, match="set validation"):
        TrainSettings(patience=2)


def test_a_share_that_leaves_nothing_is_refused(micro_pool, micro_base, tmp_path):
    few = Pool.from_samples(list(micro_pool)[:2])
    with pytest.raises(PoolError, match=r"validation=0.9 of 2 samples leaves none"):
        train(few, micro_base, SETTINGS.model_copy(update={"validation": 0.9}), 0, tmp_path)
