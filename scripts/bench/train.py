"""Supervised tokens per second of our recipe against the plain `trl.SFTTrainer`, on the same rows and model.

    python -m scripts.bench.train alpaca_data.json [--rows 512] [--rounds 3] [--device cpu]

Each measurement is a process of its own, arms take turns, and only `trainer.train()` is timed. All arms take 64
samples per optimiser step.

    trl          SFTTrainer as it comes: 8 samples padded to the longest, no packing, checkpointed, bf16
    trl-plain    the same without gradient checkpointing, in our precision: what padding alone costs
    ours         `train.sft`: samples of like length together, closed by a token count (packed with flash attention)
    ours-packed  the same with packing on
    ours-liger   ours with Liger's kernels, which need a GPU; only where --arms names it

On a GPU ours takes flash attention where it is installed, as a recipe does.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, set_seed
from transformers.utils import is_flash_attn_2_available

from tacos.data.read import read_pool
from tacos.models.flops import parameters_at_work
from train import data as planned
from train import trainer as ours
from train.model import attention, is_packed
from train.settings import TrainSettings
from train.sft import quiet
from train.tiny import TinySettings, build_tokenizer

ARMS = ("trl", "trl-plain", "ours", "ours-packed", "ours-liger")
STEP, MAX_LENGTH, VOCABULARY = 64, 1024, 8192
CPU_SHAPE = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 8, "num_attention_heads": 8}
GPU_SHAPE = {
    "hidden_size": 2048,
    "intermediate_size": 5504,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
}


def main() -> None:
    args = arguments()
    if args.arm:
        print(json.dumps(measure(args)))
        return
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in args.arms}
    for _ in range(args.rounds):
        for arm in args.arms:
            found[arm].append(in_a_process(sys.argv[1:], arm))
            print(f"{arm:12} {found[arm][-1]['rate']:10,.0f} loss tokens/s", file=sys.stderr)
    report(found)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("pool")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--device", choices=["cpu", "auto"], default="auto")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS[:4]))
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_a_process(options: Sequence[str], arm: str) -> dict[str, float]:
    """options: of this command. One arm, as `measure` returns it."""
    command = [sys.executable, "-m", "scripts.bench.train", *options, "--arm", arm]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{arm} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Tokens per second of one arm, CPU seconds, and peak memory in GB, of the GPU where there is one."""
    set_seed(0)
    gpu = args.device == "auto" and torch.cuda.is_available()
    settings = TrainSettings(
        epochs=1,
        batch_size=STEP,
        max_length=MAX_LENGTH,
        template="tiny",
        bf16=gpu,
        device=args.device,
        micro_batch_tokens=args.micro_batch_tokens,
        packing=True if args.arm == "ours-packed" else "auto",
        liger=args.arm == "ours-liger",
    )
    quiet(settings)
    tokenizer, data = prepared(args, settings)
    with tempfile.TemporaryDirectory() as folder:
        make = plain_trainer if args.arm.startswith("trl") else our_trainer
        trainer = make(args.arm, tokenizer, data, settings, gpu, Path(folder))
        started, cpu = time.perf_counter(), time.process_time()
        result = trainer.train()
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    used = [data.kept[i] for step in data.plan for i in step]
    peak = (
        torch.cuda.max_memory_allocated()
        if gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "rate": sum(e.loss_tokens for e in used) / seconds,
        "tokens": sum(len(e.ids) for e in used) / seconds,
        "peak_gb": peak / 1e9,
        "cpu_s": cpu_s,
        "parameters": parameters_at_work(trainer.model),
        "loss": result.training_loss,
    }


def prepared(args: argparse.Namespace, settings: TrainSettings) -> tuple[Any, planned.TrainingData]:
    """The first rows of the pool, with a tokenizer trained on them, since none can be counted on offline."""
    pool = read_pool(args.pool).pool[: args.rows]
    tokenizer = build_tokenizer(
        [m.content for s in pool for m in s.messages], TinySettings(vocab_size=VOCABULARY, context=MAX_LENGTH)
    )
    return tokenizer, planned.prepare(tokenizer, pool, settings, seed=0)


def new_model(tokenizer: Any, gpu: bool, attention: str | None = None) -> LlamaForCausalLM:
    shape: dict[str, Any] = GPU_SHAPE if gpu else CPU_SHAPE
    shape = shape | ({"attn_implementation": attention} if attention else {})
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH, **shape)
    return LlamaForCausalLM(config)


def our_trainer(
    arm: str, tokenizer: Any, data: planned.TrainingData, settings: TrainSettings, gpu: bool, out: Path
) -> Any:
    flash = gpu and is_flash_attn_2_available()
    model = new_model(tokenizer, gpu, "flash_attention_2" if flash else None)
    packed = is_packed(settings, attention(model))
    plan, parts = planned.micro_batches(data, settings, 1, packed)
    config = ours.trainer_config(settings, len(data.plan), parts, packed, 0, out)
    rows = planned.training_rows(data.kept)
    return ours.make_trainer(model, tokenizer, rows, plan, [], config, settings)


def plain_trainer(
    arm: str, tokenizer: Any, data: planned.TrainingData, settings: TrainSettings, gpu: bool, out: Path
) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    matched = {"gradient_checkpointing": False, "bf16": gpu} if arm == "trl-plain" else {}
    config = SFTConfig(
        output_dir=str(out),
        num_train_epochs=1,
        gradient_accumulation_steps=STEP // 8,
        report_to="none",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=not gpu,
        **matched,
    )
    rows = Dataset.from_list(planned.training_rows(data.kept)[:-1])
    return SFTTrainer(new_model(tokenizer, gpu), config, train_dataset=rows, processing_class=tokenizer)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    """Medians, and the ratio to the plain trainer in the same round."""
    print(
        f"{'arm':12} {'loss tokens/s':>14} {'tokens/s':>10} {'peak GB':>8} {'mean loss':>10}  ratio to trl, trl-plain"
    )
    for arm, runs in found.items():
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        ratios = [
            statistics.median(a["rate"] / b["rate"] for a, b in zip(runs, found[other], strict=True))
            for other in ("trl", "trl-plain")
            if other in found
        ]
        print(
            f"{arm:12} {median['rate']:14,.0f} {median['tokens']:10,.0f} {median['peak_gb']:8.2f} "
            f"{median['loss']:10.3f}  {', '.join(f'{r:.2f}' for r in ratios)}"
        )


if __name__ == "__main__":
    main()
