"""A table of positions has an end, which is known before a text runs over it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf

from tacos.errors import TacosError
from tacos.models.batches import Supervised, hidden_states, next_logits, token_losses
from tacos.models.local import LocalModel
from tacos.models.positions import table_of_positions

SMALL = {"vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
PLACES = {"max_position_embeddings": 64, "pad_token_id": 0}
TABLES = {
    "gpt2": hf.GPT2Config(vocab_size=90, n_embd=32, n_layer=2, n_head=2, n_positions=64),
    "gpt_bigcode": hf.GPTBigCodeConfig(vocab_size=90, n_embd=32, n_layer=2, n_head=2, n_positions=64),
    "opt": hf.OPTConfig(**SMALL, **PLACES, ffn_dim=32, word_embed_proj_dim=32),
    "biogpt": hf.BioGptConfig(**SMALL, **PLACES, intermediate_size=32),
    "gpt_neo": hf.GPTNeoConfig(
        vocab_size=90,
        hidden_size=32,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        max_position_embeddings=64,
    ),
    "gptj": hf.GPTJConfig(vocab_size=90, n_embd=32, n_layer=2, n_head=2, n_positions=64, rotary_dim=8),
    "codegen": hf.CodeGenConfig(vocab_size=90, n_embd=32, n_layer=2, n_head=4, n_positions=64, rotary_dim=4),
    "ctrl": hf.CTRLConfig(vocab_size=90, n_embd=32, dff=32, n_layer=2, n_head=2, n_positions=64),
    "openai-gpt": hf.OpenAIGPTConfig(vocab_size=90, n_embd=32, n_layer=2, n_head=2, n_positions=64),
    "mpt": hf.MptConfig(vocab_size=90, d_model=32, n_heads=2, n_layers=2, max_seq_len=64),
}
ENDLESS = {
    "llama": hf.LlamaConfig(**SMALL, **PLACES, intermediate_size=32),
    "gpt_neox": hf.GPTNeoXConfig(**SMALL, **PLACES, intermediate_size=32),
    "falcon": hf.FalconConfig(**SMALL),
    "xglm": hf.XGLMConfig(
        vocab_size=90, d_model=32, ffn_dim=32, num_layers=2, attention_heads=2, max_position_embeddings=64
    ),
    "bloom": hf.BloomConfig(vocab_size=90, hidden_size=32, n_layer=2, n_head=2),
    "mamba": hf.MambaConfig(vocab_size=90, hidden_size=32, num_hidden_layers=2),
}


def run(model: Any, tokens: int) -> None:
    with torch.no_grad():
        model(input_ids=torch.ones(1, tokens, dtype=torch.int64))


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_ends_where_the_model_fails(kind: str) -> None:
    model = hf.AutoModelForCausalLM.from_config(TABLES[kind])
    assert table_of_positions(model) == 64
    run(model, 64)
    with pytest.raises((IndexError, RuntimeError)):
        run(model, 65)


@pytest.mark.parametrize("kind", ENDLESS)
def test_other_positions_have_no_end(kind: str) -> None:
    model = hf.AutoModelForCausalLM.from_config(ENDLESS[kind])
    assert table_of_positions(model) is None
    run(model, 100)


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        (hf.BertConfig(**SMALL, **PLACES, intermediate_size=32), 64),
        (hf.XLMRobertaConfig(**SMALL, max_position_embeddings=66, pad_token_id=1, intermediate_size=32), 64),
    ],
)
def test_the_table_of_an_encoder_ends_where_it_fails(config: Any, tokens: int) -> None:
    model = hf.AutoModel.from_config(config)
    assert table_of_positions(model) == tokens
    with torch.no_grad():
        model(input_ids=torch.full((1, tokens), 5))
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, tokens + 1), 5))


def test_a_row_that_runs_over_the_table_is_refused_before_it_is_run() -> None:
    tokenizer: Any = SimpleNamespace(pad_token_id=1)
    lm = LocalModel(hf.AutoModelForCausalLM.from_config(TABLES["gpt2"]).eval(), tokenizer)
    assert lm.context == 64
    long = [Supervised([5] * 70, [1] * 70)]
    for walk in (token_losses(lm, long), hidden_states(lm, long), next_logits(lm, [[5] * 70], [3])):
        with pytest.raises(
            TacosError, match=r"a text of 70 tokens is too long .* 64 positions: cut texts at 64"
        ):
            next(walk)
