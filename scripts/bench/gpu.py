"""What a GPU gives: a Markdown table of training and scoring on models drawn at random, so that nothing is downloaded.

    python -m scripts.bench.gpu [--pool alpaca_data.json] [--rows 4096] [--only PART ...] [--out gpu.md]
    python -m scripts.bench.gpu --device cpu --tiny       the same code on small shapes, to know that it runs

    sft        ours against plain SFTTrainer on a LLaMA of 0.8 billion parameters in bf16 (`train` of this folder)
    recipes    recipes of configs/train on a base of their shape: is the memory that the recipe names enough?
    scoring    losses in batches against a loop of one row at a time, LLaMA 2 7B in bf16

The share of the card's peak counts the work of N parameters on tokens without padding (`tacos.models.flops`), over
the dense bf16 products of the maker's sheet, or of a large product where the card is not known here. Memory is what
torch held at most. Without CUDA it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

PEAKS = {"H100 80GB HBM3": 989.0, "H200": 989.0, "A100": 312.0, "L40S": 362.0, "RTX 4090": 165.0}
"""Part of a card's name -> TFLOP/s of dense bf16 products."""
TINY_SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}


class Recipe(NamedTuple):
    """gb: of the GPU that the recipe names. vocabulary, shape: of its base."""

    gb: int
    vocabulary: int
    shape: dict[str, int]


WIDE = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
RECIPES = {
    "llama2_7b_lora": Recipe(24, 32_000, WIDE | {"intermediate_size": 11008}),
    "llama3_8b_qlora": Recipe(16, 128_256, WIDE | {"intermediate_size": 14336, "num_key_value_heads": 8}),
}
PARTS = ("sft", "recipes", "scoring")


class Line(NamedTuple):
    """share: of the card's peak; None where nothing tells."""

    what: str
    rate: float
    share: float | None
    gib: float | None
    note: str = ""

    def __str__(self) -> str:
        share = "" if self.share is None else f"{self.share:.1%}"
        memory = "" if self.gib is None else f"{self.gib:.1f} GiB"
        return f"| {self.what} | {self.rate:,.0f} | {share} | {memory} | {self.note} |"


def peak(device: str) -> tuple[float, str]:
    """FLOP/s of dense products, and where the number is from."""
    if device == "cuda":
        name = torch.cuda.get_device_name()
        if known := next((value for part, value in PEAKS.items() if part in name), None):
            return known * 1e12, f"{known:.0f} TFLOP/s by its sheet"
    found = measured_peak(device)
    return found, f"{found / 1e12:.3g} TFLOP/s measured"


def measured_peak(device: str) -> float:
    """The best of several products of two large bf16 matrices."""
    n = 8192 if device == "cuda" else 512
    one = torch.randn(n, n, dtype=torch.bfloat16, device=device)
    best = 0.0
    for _ in range(10):
        settle(device)
        started = time.perf_counter()
        one @ one
        settle(device)
        best = max(best, 2.0 * n**3 / (time.perf_counter() - started))
    return best


def settle(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def sft(args: argparse.Namespace, limit: float) -> Iterator[Line]:
    """Arms take turns; the median of the rounds by rate."""
    from scripts.bench import train

    arms = ["trl", "trl-plain", "ours", "ours-packed"]
    if args.device == "cuda" and find_spec("liger_kernel"):
        arms.append("ours-liger")
    device = "auto" if args.device == "cuda" else "cpu"
    options = [str(args.pool), "--rows", str(args.rows), "--device", device]
    options += ["--micro-batch-tokens", "1024" if args.tiny else "16384"]
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
    for _ in range(args.rounds):
        for arm in arms:
            found[arm].append(train.in_a_process(options, arm))
    for arm, runs in found.items():
        run = sorted(runs, key=lambda one: one["tokens"])[len(runs) // 2]
        ratios = sorted(a["tokens"] / b["tokens"] for a, b in zip(runs, found["trl"], strict=True))
        said = f"{ratios[len(ratios) // 2]:.2f} times trl, mean loss {run['loss']:.2f}"
        share = 6 * run["parameters"] * run["tokens"] / limit
        yield Line(f"sft, {arm}", run["tokens"], share, run["peak_gb"] * 1e9 / 2**30, said)


def recipes(args: argparse.Namespace, limit: float) -> Iterator[Line]:
    """Each in a process of its own, so that memory is its own."""
    for name, recipe in RECIPES.items():
        mode = name.rpartition("_")[2]
        if mode == "qlora" and not find_spec("bitsandbytes"):
            yield Line(name, 0, None, None, "left out: bitsandbytes is not installed")
            continue
        command = [sys.executable, "-m", "scripts.bench.gpu", "--device", args.device, "--recipe", name]
        command += ["--pool", str(args.pool), "--rows", str(args.rows), *(["--tiny"] if args.tiny else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            yield Line(name, 0, None, None, f"failed: {last_line(done.stderr)}")
            continue
        run, said = json.loads(done.stdout.splitlines()[-1]), f"the recipe names {recipe.gb} GB"
        yield Line(name, run["rate"], run["flops_per_second"] / limit, run["gib"], said)


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no word"])[-1][:200].replace("|", "/")


def one_recipe(args: argparse.Namespace) -> dict[str, float | None]:
    """Two steps of a recipe, after one that is not timed, as `tacos train` builds its trainer."""
    from tacos.config import load
    from tacos.data.read import read_pool
    from tacos.models.flops import flops, parameters_at_work
    from tacos.types import Pool
    from train.build import build_trainer
    from train.settings import TrainRun
    from train.sft import quiet

    pool = Pool.from_samples(list(read_pool(str(args.pool)).pool)[: args.rows])
    run = load(TrainRun, Path("configs/train") / f"{args.recipe}.yaml")
    step = min(run.train.batch_size, len(pool) // 3)
    device = "auto" if args.device == "cuda" else "cpu"
    changed = {"template": "tiny", "epochs": 1.0, "batch_size": step, "device": device}
    settings = run.train.model_copy(update=changed | ({"micro_batch_tokens": 512} if args.tiny else {}))
    quiet(settings)
    with tempfile.TemporaryDirectory() as folder:
        base = random_base(Path(folder) / "base", RECIPES[args.recipe], pool, args)
        run = run.model_copy(update={"model": str(base), "out": folder, "train": settings})
        trainer, _, data = build_trainer(run, Pool.from_samples(list(pool)[: 3 * step]))
        clock = Clock(args.device)
        trainer.add_callback(clock)
        trainer.train()
    tokens = sum(len(data.kept[row].ids) for rows in data.plan[1:] for row in rows)
    size, trained = parameters_at_work(trainer.model), parameters_at_work(trainer.model, trained=True)
    return {
        "rate": tokens / clock.seconds,
        "flops_per_second": flops(size, tokens, tokens, trained) / clock.seconds,
        "gib": torch.cuda.max_memory_allocated() / 2**30 if args.device == "cuda" else None,
    }


class Clock(TrainerCallback):
    """Seconds from the end of the first step to that of the last."""

    def __init__(self, device: str):
        self.device, self.started, self.seconds = device, 0.0, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        settle(self.device)
        now = time.perf_counter()
        if state.global_step == 1:
            self.started = now
        self.seconds = now - self.started


def random_base(folder: Path, recipe: Recipe, pool: Any, args: argparse.Namespace) -> Path:
    """A base of the recipe's shape with weights drawn at random, in bf16, and a small tokenizer in its vocabulary."""
    from train.tiny import TinySettings, build_tokenizer

    words = 512 if args.tiny else 8192
    texts = (message.content for sample in pool for message in sample.messages)
    tokenizer = build_tokenizer(list(texts), TinySettings(vocab_size=words, context=1024))
    shape = TINY_SHAPE if args.tiny else recipe.shape
    vocabulary = len(tokenizer) if args.tiny else recipe.vocabulary
    config = LlamaConfig(vocab_size=vocabulary, max_position_embeddings=4096, dtype="bfloat16", **shape)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(args.device):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del model
    if args.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return folder


def scoring(args: argparse.Namespace, limit: float) -> Iterator[Line]:
    """The loop takes every tenth row, whose losses have to be ours."""
    from scripts.bench.local_model import build, rows
    from tacos.models.batches import token_losses

    lm = build("small" if args.tiny else "7b", args.device)
    given = rows(20 if args.tiny else 1000, 1)
    some = range(0, len(given), 10)

    def loop() -> dict[int, float]:
        return {place: alone(lm.model, given[place], args.device) for place in some}

    def ours() -> dict[int, float]:
        return {place: float(loss.mean()) for place, loss in token_losses(lm, given, 16_384)}

    dict(token_losses(lm, given[:8]))  # what is compiled and allocated at first is no part of it
    said: dict[int, float] = {}
    for what, work in (("one row at a time", loop), ("ours, in batches", ours)):
        settle(args.device)
        started = time.perf_counter()
        found = work()
        seconds = time.perf_counter() - started
        apart = max((abs(found[place] - said[place]) for place in said), default=None)
        said = said or found
        rate = sum(len(given[place].ids) for place in found) / seconds
        note = "" if apart is None else f"mean losses of rows at most {apart:.0e} apart"
        memory = torch.cuda.max_memory_allocated() / 2**30 if args.device == "cuda" else None
        yield Line(f"losses, {what}", rate, 2 * lm.parameters * rate / limit, memory, note)


def alone(model: Any, row: Any, device: str) -> float:
    """The mean loss of a row by itself."""
    ids = torch.tensor([row.ids], device=device)
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none").cpu()
    return float(losses[torch.tensor(row.mask[1:]) == 1].mean())


def generated(folder: Path, rows: int) -> Path:
    """The builtin pool as a file."""
    from tacos.data.builtin.build import BuiltinSettings, build
    from tacos.store.files import write_jsonl

    pool = build(BuiltinSettings(size=rows, test_size=0, corpus_size=0)).pool
    path = folder / "pool.jsonl"
    write_jsonl(path, ({"id": s.id, "messages": [m.model_dump() for m in s.messages]} for s in pool))
    return path


def table(args: argparse.Namespace) -> Iterator[str]:
    limit, source = peak(args.device)
    name = torch.cuda.get_device_name() if args.device == "cuda" else "a CPU, small shapes"
    yield f"{name}, torch {torch.__version__}; peak {source}.\n"
    yield "| what | tokens/s | of the peak | memory | |"
    yield "| --- | --- | --- | --- | --- |"
    parts = {"sft": sft, "recipes": recipes, "scoring": scoring}
    for part in args.only:
        for line in parts[part](args, limit):
            yield str(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pool", type=Path, help="rows to train on; generated ones when unset")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="where the table goes, too")
    parser.add_argument("--recipe", choices=list(RECIPES), help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.rows = args.rows or (64 if args.tiny else 4096)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing was measured (--device cpu --tiny runs the code on small shapes)")
        return
    if args.recipe:
        print(json.dumps(one_recipe(args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        args.pool = args.pool or generated(Path(folder), args.rows)
        written = []
        for line in table(args):
            print(line, flush=True)
            written.append(line + "\n")
            if args.out:
                args.out.write_text("".join(written), encoding="utf-8")


if __name__ == "__main__":
    main()
