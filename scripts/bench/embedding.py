"""Ways to embed on a CPU, each against sentence-transformers in float32: texts per CPU second, error, effect on picks.

    python -m scripts.bench.embedding speed POOL [NAME ...] [--rows 500] [--threads 1]
    python -m scripts.bench.embedding picks POOL [NAME ...] [--rows 10000] [--budget 1000] [--seeds 5]
    python -m scripts.bench.embedding padding POOL

POOL: a file, or `builtin`, whose defects are known. NAME: a way of `embedding_ways.py`; all by default, and `reference`
always. Prompts are cut at 128 tokens and responses at 64, as TACOS without an LLM reads them. Error is 1 - cosine to
the reference. Picks are those of `tacos select POOL --method tacos`, with the settings of `configs/quickstart.yaml` for
the builtin pool, of which defects among them are known.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.bench.embedding_ways import WAYS, Encode, minilm
from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.data.builtin.build import BuiltinSettings, build
from tacos.data.read import read_pool
from tacos.models.batches import buckets
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.settings import SelectSettings
from tacos.stage import Tools
from tacos.store.files import read_jsonl
from tacos.types import Pool
from tacos.usage import Ledger


def pool_of(source: str, rows: int | None) -> Pool:
    pool = build(BuiltinSettings()).pool if source == "builtin" else read_pool(source).pool
    if rows is None or rows >= len(pool):
        return pool
    return pool.take(np.sort(np.random.default_rng(0).permutation(len(pool))[:rows]).tolist())


def measure_speed(pool: Pool, names: Sequence[str], threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    parts = [(list(dict.fromkeys(texts)), cut) for texts, cut in ((pool.prompts, 128), (pool.responses, 64))]
    n = sum(len(texts) for texts, _ in parts)
    truth: np.ndarray | None = None
    print(
        f"{n:,} texts, {threads} threads\n\n| way | texts per second | per CPU second | error: mean | max |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name in names:
        encode = WAYS[name](threads)
        encode(parts[0][0][:64], 128)  # what a first call sets up is not timed
        wall, cpu = time.perf_counter(), time.process_time()
        vectors = np.vstack([encode(texts, cut) for texts, cut in parts])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        truth = vectors if truth is None else truth
        error = np.maximum(0, 1 - np.einsum("ij,ij->i", vectors, truth, dtype=np.float64))
        print(
            f"| {name} | {n / wall:,.0f} | {n / cpu:,.0f} | {error.mean():.1e} | {error.max():.1e} |",
            flush=True,
        )


class Way(Embedder):
    """One of `WAYS` in the place of a run's embedder; no text is embedded twice."""

    def __init__(self, encode: Encode):
        super().__init__(EmbedderSettings(dtype="float32", device="cpu"))
        self.encode = encode
        self.known: dict[tuple[str, int], np.ndarray] = {}

    def __call__(
        self, texts: Sequence[str], max_tokens: int | None = None, unit: bool = True, what: str = ""
    ) -> np.ndarray:
        cut = max_tokens or self.settings.max_tokens
        new = [text for text in dict.fromkeys(texts) if (text, cut) not in self.known]
        if new:
            self.known |= {
                (text, cut): vector for text, vector in zip(new, self.encode(new, cut), strict=True)
            }
        return np.stack([self.known[text, cut] for text in texts])


def measure_picks(source: str, names: Sequence[str], rows: int | None, budget: int, seeds: int) -> None:
    defects = (
        {row.id for row in build(BuiltinSettings()).truth if row.defect} if source == "builtin" else set()
    )
    truth: list[set[str]] = []
    print("| way | the reference's picks | defects over seeds |\n| --- | --- | --- |")
    for name in names:
        way = Way(WAYS[name](1))
        with tempfile.TemporaryDirectory() as folder:
            pool = pool_file(source, rows, Path(folder))
            picks = [picked(pool, way, budget, Path(folder), seed) for seed in range(seeds)]
        truth = truth or picks
        same = [f"{len(mine & other) / budget:.3f}" for mine, other in zip(picks, truth, strict=True)]
        bad = [len(found & defects) / budget for found in picks]
        told = f"{np.mean(bad):.1%} ({', '.join(f'{share:.1%}' for share in bad)})" if defects else ""
        print(f"| {name} | {', '.join(same)} | {told} |", flush=True)
        if name == "reference" and seeds > 1:
            others = [len(picks[0] & other) / budget for other in picks[1:]]
            print(
                f"| reference, another seed | {', '.join(f'{share:.3f}' for share in others)} | |", flush=True
            )


def pool_file(source: str, rows: int | None, folder: Path) -> str:
    if source == "builtin" or rows is None:
        return source
    lines = [sample.model_dump_json(include={"id", "messages"}) for sample in pool_of(source, rows)]
    (folder / "pool.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(folder / "pool.jsonl")


def picked(source: str, way: Embedder, budget: int, folder: Path, seed: int) -> set[str]:
    data = {"pool": {"source": source}, "method": "tacos", "budget": budget, "seed": seed}
    small = {"group": {"k": 30}, "score": {"fit": {"fit_rows": 600}}} if source == "builtin" else {}
    stage = selection_stage(parse(SelectSettings, data | small))
    tools = Tools(Ledger(), lambda settings=None: way, None, "cpu")  # type: ignore[arg-type]
    out = ArtifactStore(folder / "artifacts").run(stage, tools)
    return {row["id"] for row in read_jsonl(out / "selection.jsonl")}


def measure_padding(pool: Pool) -> None:
    """What is computed beside what is read, in batches of 32 by characters and in batches by tokens."""
    tokenizer = minilm().tokenizer
    for name, texts, cut in (("prompts", pool.prompts, 128), ("responses", pool.responses, 64)):
        unique = list(dict.fromkeys(texts))
        ids = tokenizer(unique, truncation=True, max_length=cut)["input_ids"]
        lengths = np.array(list(map(len, ids)))
        by_characters = lengths[np.argsort([-len(text) for text in unique], kind="stable")]
        computed = sum(
            by_characters[i : i + 32].max() * len(by_characters[i : i + 32]) for i in range(0, len(ids), 32)
        )
        ours = sum(lengths[places].max() * len(places) for places in buckets(lengths.tolist(), 1024))
        print(
            f"{name}: {len(unique):,} texts, {lengths.sum():,} tokens; computed by characters "
            f"{computed / lengths.sum():.2f}, by tokens {ours / lengths.sum():.3f} times as many"
        )


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "picks", "padding"))
    parser.add_argument("pool")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(WAYS))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    names = list(dict.fromkeys(["reference", *(args.names or WAYS)]))
    if args.what == "speed":
        measure_speed(pool_of(args.pool, args.rows or 500), names, args.threads)
    elif args.what == "picks":
        measure_picks(args.pool, names, args.rows, args.budget, args.seeds)
    else:
        measure_padding(pool_of(args.pool, args.rows))


if __name__ == "__main__":
    main()
