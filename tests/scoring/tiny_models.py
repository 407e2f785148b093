"""Tiny causal models whose weights and tokens are the same everywhere: by numpy, and merges written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

TEMPLATES = str(Path(__file__).parent / "rating_templates.py")
"""Prompts for Deita's two models."""
MERGES = (
    "t h",
    "Ġ th",
    "Ġth e",
    "i n",
    "Ġ a",
    "r e",
    "o n",
    "Ġ w",
    "in g",
    "e s",
    ": Ġ",
    "Ċ Ċ",
    "n s",
    "ns w",
    "e r",
    "s e",
    "# #",
    "## #",
    "Ġ R",
    "ĠR es",
    "ĠRes p",
    "ĠResp on",
    "ĠRespon se",
)
"""The last ones make three tokens of "### Response:", as LLaMA's tokenizer does."""


def build(folder: Path, kind: Literal["gpt2", "llama"], positions: int = 1024) -> Path:
    """llama begins every text with `<s>`; gpt2 begins with nothing, as GPT-2 does."""
    import torch

    tokenizer = bpe(begins=kind == "llama")
    model = _gpt2(len(tokenizer), positions) if kind == "gpt2" else _llama(len(tokenizer), positions)
    numbers = np.random.default_rng(7)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            drawn = torch.tensor(numbers.standard_normal(tuple(weight.shape)), dtype=torch.float32)
            weight.copy_(drawn * 0.3 + (1.0 if weight.ndim == 1 and "weight" in name else 0.0))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bpe(begins: bool) -> Any:
    """Bytes and a few merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(m.replace(" ", "") for m in MERGES)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    raw = Tokenizer(models.BPE(vocabulary, [tuple(m.split()) for m in MERGES]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(["<s>", "</s>"])
    if begins:
        first = raw.token_to_id("<s>")
        raw.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", first)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")


def _gpt2(vocabulary: int, positions: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(vocab_size=vocabulary, n_positions=positions, n_embd=32, n_layer=2, n_head=4)
    ).eval()


def _llama(vocabulary: int, positions: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=positions,
    )
    return LlamaForCausalLM(config).eval()
