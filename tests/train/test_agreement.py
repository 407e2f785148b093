"""A model is trained on its own loss, and samples are packed only where they stay closed to each other."""

from __future__ import annotations

import logging

import pytest
import torch
import transformers as hf

from tacos.answering.heldout import heldout_loss
from tacos.errors import ConfigError
from tacos.models.chat import Encoded
from tests.train.helpers import losses, train
from train.agreement import make_trial
from train.settings import LoraSettings, TrainSettings

EPOCH = TrainSettings(
    epochs=1, batch_size=40, lr=1e-9, warmup=0, max_length=128, device="cpu", micro_batch_tokens=100_000
)
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SMALL = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, **IDS}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 64}
STATE = {"state_size": 8, "conv_kernel": 4}
OPEN = {
    "opt": lambda: hf.OPTConfig(
        dropout=0, **SMALL, num_attention_heads=2, ffn_dim=64, word_embed_proj_dim=32
    ),
    "falcon": lambda: hf.FalconConfig(**SMALL, num_attention_heads=2),
    "falcon, alibi": lambda: hf.FalconConfig(**SMALL, num_attention_heads=2, alibi=True),
    "xglm": lambda: hf.XGLMConfig(
        vocab_size=400, d_model=32, num_layers=2, attention_heads=2, ffn_dim=64, **IDS
    ),
    "bloom": lambda: hf.BloomConfig(vocab_size=400, hidden_size=32, n_layer=2, n_head=2, **IDS),
    "mpt": lambda: hf.MptConfig(vocab_size=400, d_model=32, n_layers=2, n_heads=2, max_seq_len=128),
    "biogpt": lambda: hf.BioGptConfig(**SMALL, num_attention_heads=2, intermediate_size=64),
    "gpt-oss": lambda: hf.GptOssConfig(
        **SMALL, **HEADS, num_local_experts=2, num_experts_per_tok=1, sliding_window=16
    ),
    "qwen3-next": lambda: hf.Qwen3NextConfig(
        **SMALL | {"num_hidden_layers": 4},
        **HEADS,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    ),
    "mamba": lambda: hf.MambaConfig(**SMALL, **STATE),
    "mamba2": lambda: hf.Mamba2Config(**SMALL, **STATE, num_heads=4, head_dim=16, n_groups=1),
    "rwkv": lambda: hf.RwkvConfig(**SMALL, attention_hidden_size=32),
}
"""Small models that do not close packed samples to each other, or lose their places."""
CLOSED = {
    "llama": lambda: hf.LlamaConfig(**SMALL, **HEADS),
    "gpt2": lambda: hf.GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=2, **IDS),
    "gemma3": lambda: hf.Gemma3TextConfig(**SMALL, **HEADS, sliding_window=16),
    "mixtral": lambda: hf.MixtralConfig(**SMALL, **HEADS, num_local_experts=2, num_experts_per_tok=1),
}
OTHER_HEAD = {
    "bert": lambda: hf.BertConfig(
        **SMALL,
        num_attention_heads=2,
        intermediate_size=64,
        is_decoder=True,
        hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
    ),
    "modernbert-decoder": lambda: hf.ModernBertDecoderConfig(
        **SMALL, num_attention_heads=2, intermediate_size=64
    ),
}
"""Their heads have a layer before the output embeddings, which TRL's head leaves out."""


def built(config) -> hf.PreTrainedModel:
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)  # so that what is attended to matters
    return model


def choose(
    model: hf.PreTrainedModel, packing: bool = True, settings: TrainSettings = EPOCH
) -> tuple[bool, bool]:
    generator = torch.Generator().manual_seed(0)
    kept = [
        Encoded(torch.randint(5, 390, (50,), generator=generator).tolist(), [1] * 50, False) for _ in range(3)
    ]
    return make_trial("base", model, pad=0, kept=kept, settings=settings).choose(model, packing)


@pytest.mark.parametrize("kind", OPEN)
def test_samples_that_would_see_each_other_are_not_packed(kind, caplog):
    model = built(OPEN[kind]())
    assert choose(model) == (False, False)
    assert (
        f"packing is off: packed into one row, samples of 'base' ({model.config.model_type}) " in caplog.text
    )
    assert choose(model, packing=False) == (False, False)


@pytest.mark.parametrize("kind", CLOSED)
def test_samples_that_stay_closed_are_packed(kind, caplog):
    model = built(CLOSED[kind]())
    assert choose(model) == (False, True) and "packing" not in caplog.text
    assert "forward" not in vars(model) and model.training


def test_a_packed_row_longer_than_a_models_mask_is_tried(caplog):
    types = [[["global", "local"], 1]]
    model = built(
        hf.GPTNeoConfig(
            vocab_size=400,
            hidden_size=32,
            num_layers=2,
            num_heads=2,
            attention_types=types,
            window_size=16,
            max_position_embeddings=128,
            **IDS,
        )
    )
    assert choose(model) == (False, False)
    assert (
        "packing is off: packed into one row, samples of 'base' (gpt_neo) fail with RuntimeError"
        in caplog.text
    )
    short = EPOCH.model_copy(update={"micro_batch_tokens": 128})
    assert choose(model, settings=short) == (False, True)


@pytest.mark.parametrize("kind", OTHER_HEAD)
def test_a_model_with_more_in_its_head_scores_with_its_own(kind):
    model = built(OTHER_HEAD[kind]())
    own, _ = choose(model)
    assert own and "forward" not in vars(model)


def test_a_model_that_sees_later_tokens_is_refused():
    config = OTHER_HEAD["bert"]()
    config.is_decoder = False
    with pytest.raises(
        ConfigError, match=r"'base' \(bert\) cannot be trained here.*: it sees later tokens; take another"
    ):
        choose(built(config))


def test_a_model_with_damaged_weights_is_refused():
    model = built(CLOSED["llama"]())
    with torch.no_grad():
        next(model.parameters())[7] = torch.nan
        model.lm_head.weight[3] = torch.nan
    with pytest.raises(
        ConfigError, match=r"cannot be trained here.*: it loses nan on three samples, as where weights"
    ):
        choose(model)


def test_a_model_that_loses_its_places_beside_others_is_refused():
    """RoBERTa counts positions from its padding."""
    small = SMALL | {"pad_token_id": 1}
    config = hf.RobertaConfig(**small, num_attention_heads=2, intermediate_size=64, is_decoder=True)
    with pytest.raises(ConfigError, match=r"cannot be trained here.*: three samples lose [\d.]+ in place of"):
        choose(built(config))


def test_a_model_that_fails_is_refused(monkeypatch):
    model = built(CLOSED["llama"]())

    def forward(self, **inputs):
        raise AttributeError("no last_hidden_state")

    monkeypatch.setattr(type(model.model), "forward", forward)
    with pytest.raises(
        ConfigError, match=r"it fails with AttributeError: no last_hidden_state; take another base"
    ):
        choose(model)


def test_layers_that_do_not_work_with_an_adapter_are_refused(micro_pool, micro_base, tmp_path):
    """Llama 4's router is a linear layer that returns two things."""
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1, "intermediate_size_mlp": 64}
    base = tmp_path / "base"
    built(hf.Llama4TextConfig(**SMALL, **HEADS, **experts)).save_pretrained(base)
    hf.AutoTokenizer.from_pretrained(micro_base).save_pretrained(base)
    with pytest.raises(
        ConfigError, match=r"llama4_text.* run with adapters at train\.lora\.target='all-linear'"
    ):
        train(micro_pool, base, EPOCH.model_copy(update={"mode": "lora"}), 0, tmp_path / "out")
    settings = EPOCH.model_copy(update={"mode": "lora", "lora": LoraSettings(target=("q_proj", "v_proj"))})
    assert train(micro_pool, base, settings, 0, tmp_path / "out").steps == 1


@pytest.mark.parametrize("mode", ["full", "lora"])
@pytest.mark.parametrize("kind", OTHER_HEAD)
def test_it_is_trained_on_its_own_loss_and_saved(kind, mode, micro_pool, micro_base, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    base = tmp_path / "base"
    config = OTHER_HEAD[kind]()
    built(config).save_pretrained(base)
    hf.AutoTokenizer.from_pretrained(micro_base).save_pretrained(base)
    settings = EPOCH.model_copy(
        update={"mode": mode, "lr": 1e-2, "epochs": 2, "gradient_checkpointing": True}
    )
    train(micro_pool, base, settings, 0, tmp_path / "out")
    first, second = losses(tmp_path / "out")
    assert first == pytest.approx(heldout_loss(str(base), micro_pool, 128), abs=1e-4)
    assert second < first and "loaded again loses" in caplog.text


@pytest.mark.parametrize("kind", ["opt", "bloom", "mamba2"])
def test_packing_that_is_asked_for_leaves_the_loss_alone(kind, micro_pool, micro_base, tmp_path, caplog):
    """The first step's loss is the base's own, as without packing."""
    base = tmp_path / "base"
    built(OPEN[kind]()).save_pretrained(base)
    hf.AutoTokenizer.from_pretrained(micro_base).save_pretrained(base)
    caplog.set_level(logging.WARNING)
    train(micro_pool, base, EPOCH.model_copy(update={"packing": True}), 0, tmp_path / "out")
    assert "packing is off" in caplog.text
    assert losses(tmp_path / "out")[0] == pytest.approx(heldout_loss(str(base), micro_pool, 128), abs=1e-4)
