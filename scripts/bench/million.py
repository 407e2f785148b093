"""Every allocator over a million rows: seconds, seconds of CPU, peak memory; each in a process of its own.

    python -m scripts.bench.million [NAME ...] [--rows 1000000] [--budget 10000] [--dim 384] [--threads 2]
        [--folder DIR] [--set neighbors=64 ...]

NAME: cosine_filter, k_center, facility_location, log_det, mig, zip, novelty; all of them by default. Vectors are random
around `rows / 500` centres, written once to DIR and read from there as a stage would; texts are random words, and
`mig` has 4,500 tags. `--set` gives a setting of the allocator that is named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from threadpoolctl import threadpool_limits

from scripts.bench.selection import TAGS, around, tags_of
from scripts.bench.usage import peak_gib
from tacos.allocation.mig import Mig, linked, tagged
from tacos.allocation.zip import Archive, ZipSelection
from tacos.part import ALLOCATORS
from tacos.selection import Groups, Scores
from tacos.stage import Job
from tacos.store import tables

BLOCK = 50_000
SETTINGS: dict[str, dict[str, Any]] = {"facility_location": {"alpha": 0, "neighbors": 64}}
"""What is practical at this size."""
NAMES = ("cosine_filter", "k_center", "facility_location", "log_det", "mig", "zip", "novelty")


def made_before(folder: Path, n: int, dim: int) -> bool:
    path = folder / tables.VECTORS
    return path.exists() and np.load(path, mmap_mode="r").shape == (n, dim)


def vectors(folder: Path, n: int, dim: int) -> None:
    """(n, dim) float32 around n / 500 centres, two rows of one having a cosine of about 0.5; made once."""
    if made_before(folder, n, dim):
        return
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, n // 500), dim), dtype=np.float32)
    made = np.lib.format.open_memmap(folder / tables.VECTORS, mode="w+", dtype=np.float32, shape=(n, dim))
    for at in range(0, n, BLOCK):
        block = rng.standard_normal((min(BLOCK, n - at), dim), dtype=np.float32)
        block += centres[rng.integers(0, len(centres), len(block))]
        made[at : at + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    made.flush()


def by_vectors(name: str, folder: Path, n: int, budget: int, settings: dict[str, Any]) -> list[int]:
    """As a stage does it, from the vectors' file to the picks."""
    part = ALLOCATORS.get(name)(**settings)
    scores = Scores(np.random.default_rng(1).uniform(1, 6, n))
    job = Job(folder, {"vectors": folder}, None, 0)  # type: ignore[arg-type]
    return [pick.index for pick in part.allocate(Groups.one(n), scores, budget, job)]


def by_tags(n: int, dim: int, budget: int) -> list[int]:
    groups = tags_of(n)
    links = linked(around(TAGS, dim, 3000, 0.3), 0.9, 1)
    weights = np.random.default_rng(1).uniform(1, 36, n)
    return Mig().informing(tagged(groups, groups.covered, weights, False) @ links, budget)


def by_texts(n: int, budget: int) -> list[int]:
    """Texts of 80 words of a part of 4,000, so that they repeat themselves to different degrees."""
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefghijklmnop"), rng.integers(2, 9))) for _ in range(4000)])
    known = rng.integers(20, 4000, n)
    texts = (" ".join(words[rng.integers(0, known[row], 80)]).encode() for row in range(n))
    return ZipSelection().rounds(Archive(texts, b"", b"\n", b""), budget)


def measure(name: str, args: argparse.Namespace) -> None:
    settings = SETTINGS.get(name, {}) | {
        key: yaml.safe_load(value) for key, value in (pair.split("=") for pair in args.set)
    }
    start, used = time.perf_counter(), time.process_time()
    with threadpool_limits(args.threads):
        if name == "mig":
            picks = by_tags(args.rows, args.dim, args.budget)
        elif name == "zip":
            picks = by_texts(args.rows, args.budget)
        else:
            picks = by_vectors(name, args.folder, args.rows, args.budget, settings)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    print(
        f"{name} {settings or ''}: {args.rows:,} -> {len(set(picks)):,} in {seconds:.0f} s, "
        f"{used:.0f} s of CPU, {peak_gib():.1f} GiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--budget", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        args.folder = args.folder or Path(temporary)
        names = args.names or list(NAMES)
        if len(names) == 1 and made_before(args.folder, args.rows, args.dim):
            measure(names[0], args)
            return
        vectors(args.folder, args.rows, args.dim)
        rest = [f"--{key}={getattr(args, key)}" for key in ("rows", "budget", "dim", "threads", "folder")]
        rest += [f"--set={pair}" for pair in args.set]
        for name in names:
            subprocess.run([sys.executable, "-m", "scripts.bench.million", name, *rest], check=True)


if __name__ == "__main__":
    main()
