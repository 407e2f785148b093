"""Pairs per second of the light quality scorer and of a 550M encoder on the same cores, in one run.

    python scripts/bench/iqs.py POOL.jsonl --pairs train.csv [--rows 4000] [--encoder-rows 32] [--rounds 3]

    light, cached     embeddings at hand, as the stages `embed` leave them
    light, from text  prompts and responses embedded as well
    encoder           XLM-R large's architecture with random weights behind the paper's head (weights do not
                      change the time); texts of the same rows, tokens of the packaged MiniLM tokenizer

The ways take turns for `--rounds` rounds on rows drawn with a seed; medians are printed, and time for the
whole pool by proportion unless `--whole` scores it once with embeddings at hand.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tacos.data.rows import read_rows
from tacos.models.embedder import packaged_minilm
from tacos.scoring.iqs.base import Vectors
from tacos.scoring.iqs.encoder import EncoderScorer, EncoderSettings
from tacos.scoring.iqs.light import LightScorer, LightSettings
from tacos.scoring.iqs.network import QualityNetwork
from tacos.scoring.iqs.pairs import read_pairs


def texts(pool: Path) -> tuple[list[str], list[str]]:
    rows = [row.value for row in read_rows(pool) if row.error is None and row.value["output"].strip()]
    prompts = [f"{r['instruction']}\n\n{r['input']}" if r.get("input") else r["instruction"] for r in rows]
    return prompts, [r["output"] for r in rows]


def big_encoder(settings: EncoderSettings) -> EncoderScorer:
    """559M parameters, drawn at random."""
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

    config = XLMRobertaConfig(
        vocab_size=250_002,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        max_position_embeddings=514,
        type_vocab_size=1,
    )
    scorer = EncoderScorer(settings)
    encoder = XLMRobertaModel(config)
    scorer.network = QualityNetwork(encoder, settings.hidden, settings.dropout, settings.mix)
    scorer.tokenizer = AutoTokenizer.from_pretrained(str(packaged_minilm()))
    print(f"encoder: {sum(p.numel() for p in encoder.parameters()) / 1e6:.0f}M parameters")
    return scorer


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    parser.add_argument("--pairs", type=Path, required=True, help="expert pairs to fit the light scorer on")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--text-rows", type=int, default=1000)
    parser.add_argument("--encoder-rows", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="also score the whole pool, embeddings at hand")
    args = parser.parse_args()

    prompts, responses = texts(args.pool)
    order = np.random.default_rng(0).permutation(len(prompts)).tolist()
    light = LightScorer(LightSettings())
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; {len(prompts):,} rows in the pool")
    print(f"light: trained in {timed(lambda: light.fit(read_pairs(args.pairs))):.1f} s, embedding included")
    encoder = big_encoder(EncoderSettings(device="cpu", batch_rows=8))

    def drawn(n: int) -> tuple[list[str], list[str]]:
        return [prompts[i] for i in order[:n]], [responses[i] for i in order[:n]]

    p, r = drawn(args.rows)
    vectors = Vectors(light.embedder(p), light.embedder(r, light.settings.response_tokens))
    ways: dict[str, tuple[int, Callable[[], Any]]] = {
        "light, cached": (args.rows, lambda: light.score(p, r, vectors)),
        "light, from text": (args.text_rows, lambda: light.score(*drawn(args.text_rows))),
        "encoder": (args.encoder_rows, lambda: encoder.score(*drawn(args.encoder_rows))),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, (n, work) in ways.items():
            rates[name].append(n / timed(work))
    base = statistics.median(rates["encoder"])
    for name, values in rates.items():
        rate = statistics.median(values)
        shown = ", ".join(f"{v:.3g}" for v in values)
        print(
            f"{name:<17} {rate:8.2f} pairs/s  {rate / base:7.1f}x  whole pool {len(prompts) / rate:8.0f} s  ({shown})"
        )
    if args.whole:
        unit = np.zeros((len(prompts), 384), dtype=np.float32)  # any vectors cost the same
        took = timed(lambda: light.score(prompts, responses, Vectors(unit, unit)))
        print(f"whole pool, embeddings at hand: {took:.1f} s, {len(prompts) / took:.0f} pairs/s")


if __name__ == "__main__":
    main()
