"""The loss is a mean over a step's supervised tokens, however the step is split, padded or packed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from tacos.answering.heldout import heldout_loss
from tacos.types import Pool
from tests.train.helpers import losses, train
from train.data import IGNORED, micro_batches, prepare, training_rows
from train.settings import TrainSettings
from train.trainer import (
    Neftune,
    PlannedTrainer,
    drop_padding_mask,
    make_trainer,
    sample_lengths,
    trainer_config,
)

EPOCH = TrainSettings(epochs=1, batch_size=40, lr=1e-9, warmup=0, max_length=256, device="cpu")
"""One step over all 40 samples: its loss is that of the untouched base."""
ONE, EIGHT, ALL = 1, 8 * 80, 100_000
"""micro_batch_tokens for one sample at a time, about eight, and the whole step."""


def trainer_of(pool: Pool, base: Path, settings: TrainSettings, out: Path) -> PlannedTrainer:
    tokenizer = AutoTokenizer.from_pretrained(base)
    data = prepare(tokenizer, pool, settings, 0)
    packed = settings.packing is True
    plan, parts = micro_batches(data, settings, 1, packed)
    config = trainer_config(settings, len(data.plan), parts, packed, 0, out)
    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation=settings.attention)
    return make_trainer(model, tokenizer, training_rows(data.kept), plan, [], config, settings)


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("limit", [ONE, EIGHT, ALL])
def test_the_loss_is_the_same_however_a_step_is_split(limit, packing, micro_pool, micro_base, tmp_path):
    settings = EPOCH.model_copy(update={"micro_batch_tokens": limit, "packing": packing})
    train(micro_pool, micro_base, settings, 0, tmp_path)
    assert losses(tmp_path)[0] == pytest.approx(heldout_loss(str(micro_base), micro_pool, 256), rel=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_packing_and_accumulation_leave_the_curve_alone(checkpointing, micro_pool, micro_base, tmp_path):
    steps = TrainSettings(epochs=2, batch_size=16, lr=1e-2, max_length=256, device="cpu")
    curves = []
    for limit, packing in ((ALL, False), (ONE, False), (ALL, True), (300, True)):
        changed = {"micro_batch_tokens": limit, "packing": packing, "gradient_checkpointing": checkpointing}
        out = tmp_path / f"{limit}{packing}"
        train(micro_pool, micro_base, steps.model_copy(update=changed), 0, out)
        curves.append(losses(out))
    assert len(curves[0]) == 6 and curves[0][-1] < curves[0][0] - 0.1
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], rel=1e-4)


def supervised(trainer: PlannedTrainer) -> list[int]:
    """Supervised tokens of each micro-batch; the first token of a row is no target."""
    batches = trainer.get_train_dataloader()
    return [int((batch["labels"][:, 1:] != IGNORED).sum()) for batch in batches]


def test_packing_supervises_the_same_tokens(micro_pool, micro_base, tmp_path):
    settings = TrainSettings(epochs=2, batch_size=16, max_length=256, device="cpu", attention="sdpa")
    counts = {}
    for limit, packing in ((ALL, False), (ALL, True), (300, False), (300, True)):
        changed = settings.model_copy(update={"micro_batch_tokens": limit, "packing": packing})
        trainer = trainer_of(micro_pool, micro_base, changed, tmp_path)
        counts[limit, packing] = sum(supervised(trainer))
        assert len(supervised(trainer)) % 6 == 0
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    kept = prepare(tokenizer, micro_pool, settings, 0).kept
    assert set(counts.values()) == {2 * sum(e.loss_tokens for e in kept)}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_samples_do_not_see_each_other(attention, micro_pool, micro_base, tmp_path):
    settings = EPOCH.model_copy(update={"micro_batch_tokens": ALL, "packing": True, "attention": attention})
    trainer = trainer_of(micro_pool, micro_base, settings, tmp_path)
    first, second = (trainer.train_dataset[i] for i in (0, 1))
    n = len(first["input_ids"])
    other = {"input_ids": [(t + 7) % 250 for t in first["input_ids"]], "labels": first["labels"]}

    def scores(rows):
        with torch.no_grad():
            return trainer.model(**trainer.data_collator(rows), fused_lm_head=True).log_probs[0]

    together, changed, alone = scores([first, second]), scores([other, second]), scores([second])
    assert not torch.allclose(together[: n - 1], changed[: n - 1], atol=1e-3)
    torch.testing.assert_close(together[n:], changed[n:], rtol=0, atol=1e-6)
    torch.testing.assert_close(together[n:], alone, rtol=1e-5, atol=1e-5)


def test_padding_needs_no_mask(micro_pool, micro_base, tmp_path):
    trainer = trainer_of(micro_pool, micro_base, EPOCH.model_copy(update={"attention": "sdpa"}), tmp_path)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(6)])
    bare = dict(batch)
    drop_padding_mask(bare)
    assert "attention_mask" in batch and "attention_mask" not in bare
    with torch.no_grad():
        masked, unmasked = (trainer.model(**b, fused_lm_head=True).log_probs for b in (batch, bare))
    torch.testing.assert_close(masked, unmasked, rtol=1e-5, atol=1e-5)


def test_sample_lengths():
    padded = {"attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0]])}
    assert sample_lengths(padded).tolist() == [[3], [1]]
    packed = {"position_ids": torch.tensor([[0, 1, 2, 0, 0, 1]])}
    assert sample_lengths(packed).tolist() == [[3, 3, 3, 1, 2, 2]]


def test_noise_is_scaled_by_each_sample(micro_base):
    model = AutoModelForCausalLM.from_pretrained(micro_base)
    noise = Neftune(model, alpha=5.0)
    embed = model.get_input_embeddings()
    ids = torch.arange(200)[None] % 100
    noise.lengths = torch.tensor([[50] * 50 + [150] * 150])
    embed.train()
    moved = (embed(ids) - embed.weight[ids]).abs()[0].detach()
    width = embed.weight.shape[1]
    for part, length in ((moved[:50], 50), (moved[50:], 150)):
        bound = 5.0 / (length * width) ** 0.5
        assert 0.95 * bound < float(part.max()) <= bound * (1 + 1e-5)
    embed.eval()
    assert torch.equal(embed(ids), embed.weight[ids])


@pytest.mark.parametrize("packing", [False, True])
def test_neftune_trains_on_noisy_embeddings(packing, micro_pool, micro_base, tmp_path):
    changed = {"neftune_alpha": 40.0, "packing": packing}
    train(micro_pool, micro_base, EPOCH.model_copy(update=changed), 0, tmp_path)
    assert losses(tmp_path)[0] != pytest.approx(heldout_loss(str(micro_base), micro_pool, 256), rel=1e-3)


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
}


@pytest.mark.parametrize(
    ("family", "attention"),
    [
        ("LlamaForCausalLM", "sdpa"),
        ("MistralForCausalLM", "sdpa"),
        ("Qwen2ForCausalLM", "sdpa"),
        ("Qwen3ForCausalLM", "sdpa"),
        ("GemmaForCausalLM", "sdpa"),
        ("Gemma2ForCausalLM", "eager"),
        ("Gemma3ForCausalLM", "sdpa"),
    ],
)
def test_families_of_models_lose_the_same_however_a_step_is_split(
    family, attention, micro_pool, micro_base, tmp_path
):
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    kind = getattr(transformers, family)
    torch.manual_seed(0)
    window = {} if family.startswith(("Llama", "Gemma")) else {"sliding_window": 48}
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    kind(kind.config_class(vocab_size=len(tokenizer), **SMALL, **window, **ids)).save_pretrained(
        tmp_path / "base"
    )
    tokenizer.save_pretrained(tmp_path / "base")
    found = []
    for limit, packing in ((ONE, False), (EIGHT, False), (ALL, True), (EIGHT, True)):
        changed = {"micro_batch_tokens": limit, "packing": packing, "attention": attention}
        out = tmp_path / f"{limit}{packing}"
        train(micro_pool, tmp_path / "base", EPOCH.model_copy(update=changed), 0, out)
        found.append(losses(out)[0])
    assert found == pytest.approx([heldout_loss(str(tmp_path / "base"), micro_pool, 256)] * 4, rel=1e-4)
