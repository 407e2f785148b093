"""The stages after loading at a million rows: seconds, seconds of CPU, peak memory; each in a process of its own.

    python -m scripts.bench.stages [NAME ...] [--rows 1000000] [--dim 384] [--folder DIR]

NAME, all of them by default:

    tags         half as many tags as rows, of a thirtieth as many names, normalized with random vectors, then clustered
    clusters     k-means of random vectors around `rows / 500` centres, k 50
    clusters_1k  the same, k 1,000
    plan         who meets whom in as many comparisons, in 707 groups
    comparisons  their answers, written to a table and read again
    readout      the scores that the mixed model makes of them, without its prior
    selection    a fifth of the rows by score: picks, `selection.jsonl`, and the file a user gets

Allocators are measured by `scripts.bench.million`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.million import vectors
from scripts.bench.pool import made
from scripts.bench.usage import cpu_seconds, peak_gib
from tacos.allocation.top import Top
from tacos.data.read import read_pool
from tacos.grouping.cluster import ClusteringSettings, cluster_tags
from tacos.grouping.embedding import EmbeddingGroups, cluster_embeddings
from tacos.grouping.normalize import NormalizationSettings, normalize
from tacos.scoring.calls import Calls, CallScores, read_comparisons, write_comparisons
from tacos.scoring.designs import Design
from tacos.scoring.readout.readout import Readout
from tacos.selection import Groups, Scores, Tags
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.store.rows import write_rows
from tacos.types import POOL_SCHEMA, Pool

GROUPS = 707
"""floor(sqrt(n / 2)) of a million."""
Args = argparse.Namespace


def embed(names: list[str], dim: int) -> np.ndarray:
    made = np.random.default_rng(0).standard_normal((len(names), dim), dtype=np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def tags(args: Args) -> str:
    rng, n = np.random.default_rng(0), args.rows // 2
    names = [f"{'abcdefghij'[i % 10]}topic number{i}" for i in range(args.rows // 30)]
    weights = 1 / np.arange(1, len(names) + 1)
    drawn = rng.choice(len(names), n, p=weights / weights.sum()).tolist()
    rows = tuple(tuple(dict.fromkeys(names[i] for i in drawn[at : at + 3])) for at in range(0, n, 3))
    left = normalize(Tags(rows), NormalizationSettings(), lambda names: embed(names, args.dim)).tags
    kept = sorted(left.counts())
    groups = cluster_tags(left, kept, embed(kept, args.dim), ClusteringSettings(), 0)
    return f"{n:,} tags of {len(names):,} names, {len(kept):,} left, {len(groups)} groups"


def clusters(args: Args, k: int = 50) -> str:
    found = cluster_embeddings(tables.read_vectors(args.folder), EmbeddingGroups(k=k), 0)
    return f"{len(found)} groups"


def clusters_1k(args: Args) -> str:
    return clusters(args, 1000)


def grouped(args: Args) -> Groups:
    home = np.random.default_rng(0).integers(0, GROUPS, args.rows)
    order = np.argsort(home, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(home[order])) + 1)
    return Groups(tuple(map(str, range(len(parts)))), tuple(parts))


def planned(args: Args) -> Calls:
    """Two rounds of pairs: a call for each row."""
    return Design(rounds=2).plan(grouped(args), 0)


def answered(calls: Calls) -> CallScores:
    rng = np.random.default_rng(1)
    scores = rng.normal(60, 10, calls.rows.max() + 1)[calls.rows] + rng.normal(0, 9, calls.rows.shape)
    lost = rng.choice(len(calls), len(calls) // 100, replace=False)
    scores[lost] = np.nan
    return CallScores(scores, dict.fromkeys(lost.tolist(), "unreadable reply"), {})


def plan(args: Args) -> str:
    return f"{len(planned(args)):,} calls"


def readout(args: Args) -> str:
    calls = planned(args)
    read = Readout(prior=False).read(grouped(args), args.rows, calls, answered(calls))
    return f"{len(calls):,} calls, {int((~np.isnan(read.scores.values)).sum()):,} rows have a score"


def stored(args: Args) -> Pool:
    """The made pool, its bad rows too small a share to matter."""
    path = args.folder / tables.POOL
    if not path.exists():
        read_pool(str(made(args.folder, args.rows, 0))).pool.write(path)
    return Pool.read(path)


def comparisons(args: Args) -> str:
    pool = stored(args)
    args.rows = len(pool)
    calls = planned(args)
    write_comparisons(args.folder, pool, calls, answered(calls))
    again, _ = read_comparisons(args.folder, pool)
    return f"{len(again):,} calls"


def selection(args: Args) -> str:
    pool = stored(args)
    scores = Scores(np.random.default_rng(1).uniform(1, 6, len(pool)))
    args.rows = len(pool)
    picks = Top().allocate(grouped(args), scores, len(pool) // 5, None)  # type: ignore[arg-type]
    tables.write_scores(args.folder, pool, scores)
    tables.write_selection(args.folder, pool, picks)
    write_rows(args.folder / "selected.parquet", read_jsonl(args.folder / tables.SELECTION))
    return f"{len(picks):,} rows of {len(POOL_SCHEMA)} columns"


STAGES: dict[str, Callable[[Any], str]] = {
    "tags": tags,
    "clusters": clusters,
    "clusters_1k": clusters_1k,
    "plan": plan,
    "comparisons": comparisons,
    "readout": readout,
    "selection": selection,
}
PREPARED: dict[str, Callable[[Args], Any]] = {
    "clusters": lambda args: vectors(args.folder, args.rows, args.dim),
    "clusters_1k": lambda args: vectors(args.folder, args.rows, args.dim),
    "comparisons": stored,
    "selection": stored,
}
"""What is made before, in another process."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STAGES))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        name, began, used = args.names[0], time.perf_counter(), cpu_seconds()
        said = STAGES[name](args)
        seconds, used = time.perf_counter() - began, cpu_seconds() - used
        print(f"{name}: {said}; {seconds:.0f} s, {used:.0f} s of CPU, {peak_gib():.2f} GiB", flush=True)
        return
    with tempfile.TemporaryDirectory() as temporary:
        args.folder = args.folder or Path(temporary)
        rest = [f"--{key}={getattr(args, key)}" for key in ("rows", "dim", "folder")]
        for name in args.names or STAGES:
            PREPARED.get(name, lambda args: None)(args)
            subprocess.run([sys.executable, "-m", "scripts.bench.stages", name, "--here", *rest], check=True)


if __name__ == "__main__":
    main()
