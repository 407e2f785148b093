"""How fast the engine for local models is at the shape of a LLaMA, with weights drawn at random: no download.

    python -m scripts.bench.local_model                      a model of a few million parameters, for a CPU
    python -m scripts.bench.local_model --shape 7b           LLaMA 2 7B, for a GPU

Losses, hidden states, and gradients of a LoRA of rank 128 (8 on the small shape), projected as LESS does, in tokens
and rows per second, with what is at work: 2 x parameters x tokens forward, and with gradients about twice that.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from tacos.models.batches import Supervised, hidden_states, token_losses
from tacos.models.flops import parameters_at_work
from tacos.models.gradients import Projection, projected, trained_weights
from tacos.models.local import LocalModel

SHAPES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4},
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
}
VOCABULARY = 32_000


class NoTokenizer:
    """The rows are ids already."""

    pad_token_id = 0


def build(shape: str, device: str) -> LocalModel:
    """In bfloat16 on a GPU, in float32 on a CPU."""
    from transformers import LlamaConfig, LlamaForCausalLM

    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    config = LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=4096, dtype=dtype, **SHAPES[shape])
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = LlamaForCausalLM(config).eval()
    torch.set_default_dtype(torch.float32)
    tokenizer: Any = NoTokenizer()
    return LocalModel(model, tokenizer)


def with_lora(lm: LocalModel, rank: int) -> LocalModel:
    from peft import LoraConfig, get_peft_model

    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    config = LoraConfig(r=rank, lora_alpha=4 * rank, target_modules=targets, task_type="CAUSAL_LM")
    adapted: Any = get_peft_model(lm.model, config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    return LocalModel(adapted.eval(), lm.tokenizer)


def rows(n: int, seed: int) -> list[Supervised]:
    """Lengths as those of Alpaca, 20 to 700 tokens, most of them near 100."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(4.6, 0.6, n), 20, 700).astype(int)
    return [
        Supervised(rng.integers(3, VOCABULARY, k).tolist(), [0] * (k // 3) + [1] * (k - k // 3))
        for k in lengths
    ]


def timed(name: str, tokens: int, n: int, flops: float, work: Callable[[], Iterator[Any]]) -> None:
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    found = sum(1 for _ in work())
    seconds = time.perf_counter() - started
    assert found == n
    memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most" if cuda else ""
    print(
        f"{name}: {n} rows, {tokens:,} tokens in {seconds:.2f} s: {tokens / seconds:,.0f} tokens/s, "
        f"{n / seconds:.1f} rows/s, {flops / seconds / 1e12:.2f} TFLOP/s{memory}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=list(SHAPES), default="small")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--gradient-rows", type=int, default=64)
    parser.add_argument("--batch-tokens", type=int, default=16_384)
    parser.add_argument("--dim", type=int, default=8192)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lm = build(chosen.shape, device)
    size, given = parameters_at_work(lm.model), rows(chosen.rows, 1)
    tokens = sum(len(row.ids) for row in given)
    print(
        f"{device}, {chosen.shape}, {size:,} parameters at work, {chosen.batch_tokens:,} tokens a batch",
        flush=True,
    )
    dict(token_losses(lm, given[:8]))  # what is compiled and allocated at first is no part of it
    flops = 2.0 * size * tokens
    timed("losses", tokens, len(given), flops, lambda: token_losses(lm, given, chosen.batch_tokens))
    timed(
        "states", tokens, len(given), flops, lambda: hidden_states(lm, given, "weighted", chosen.batch_tokens)
    )
    lm = with_lora(lm, 8 if chosen.shape == "small" else 128)
    some = rows(chosen.gradient_rows, 2)
    tokens = sum(len(row.ids) for row in some)
    weights = sum(weight.numel() for _, weight in trained_weights(lm))
    projection = Projection(weights, chosen.dim, lm.device)
    print(f"{weights:,} weights of the adapter, projected to {chosen.dim:,}", flush=True)
    flops = 4.0 * size * tokens + 2.0 * weights * chosen.dim * len(some)
    timed(
        "gradients",
        tokens,
        len(some),
        flops,
        lambda: projected(lm, some, projection, budget=chosen.batch_tokens // 4),
    )


if __name__ == "__main__":
    main()
