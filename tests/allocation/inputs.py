"""Seeded inputs of the parity tests, and a job whose vectors lie in a folder.

`released_picks.json` holds what released code picks from these inputs, with the repository and commit that was run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tacos.models.embedder import unit_rows
from tacos.selection import Groups, Scores
from tacos.stage import Job
from tacos.store import tables
from tacos.types import Pool, make_sample

ROWS, DIM, CENTRES = 400, 16, 12
WORDS = (
    "sum",
    "list",
    "river",
    "code",
    "taste",
    "north",
    "light",
    "verse",
    "plan",
    "stone",
    "trade",
    "sleep",
)
RELEASED: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("released_picks.json").read_text())


def vectors(n: int = ROWS, dim: int = DIM, seed: int = 0) -> np.ndarray:
    """(n, dim) float32 around a few centres, of different lengths; no two rows are equal."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CENTRES, dim))[rng.integers(0, CENTRES, n)]
    return np.asarray(centres + 0.4 * rng.normal(size=(n, dim)), dtype=np.float32)


def with_copies(n: int = 900, dim: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Rows of which most have copies, and for each the first row of its vector."""
    kind = np.random.default_rng(5).integers(0, n // 3, n)
    _, first, place = np.unique(kind, return_index=True, return_inverse=True)
    return vectors(n, dim)[kind], first[place]


def qualities(n: int = ROWS, seed: int = 0) -> np.ndarray:
    """(n,) float64 in (0.5, 5.5), no two equal."""
    return np.random.default_rng(seed + 1).permutation(np.linspace(0.5, 5.5, n))


def tags(n: int = ROWS, seed: int = 0) -> list[list[str]]:
    """One to four different tags a row, a few of them common."""
    rng = np.random.default_rng(seed + 2)
    weights = 1 / np.arange(1, 31)
    draws = [
        rng.choice(30, size=rng.integers(1, 5), replace=False, p=weights / weights.sum()) for _ in range(n)
    ]
    return [[f"tag {number:02}" for number in sorted(draw)] for draw in draws]


def tag_vectors(seed: int = 0) -> np.ndarray:
    """(30, 8) float32 unit vectors of `tag 00` to `tag 29`, near-copies in threes."""
    rng = np.random.default_rng(seed + 3)
    return unit_rows(np.repeat(rng.normal(size=(10, 8)), 3, axis=0) + 0.2 * rng.normal(size=(30, 8)))


def texts(n: int = ROWS, seed: int = 0) -> Pool:
    """A pool of short generated texts that repeat themselves to different degrees."""
    rng = np.random.default_rng(seed + 4)
    samples = []
    for row in range(n):
        words = rng.choice(WORDS, size=rng.integers(2, len(WORDS) + 1), replace=False)
        said = " ".join(rng.choice(words, size=rng.integers(8, 60)))
        samples.append(
            make_sample(f"Tell me of {words[0]}, number {row}.", said, id=f"r{row}", source="made")
        )
    return Pool.from_samples(samples)


def job(
    folder: Path, made: np.ndarray | None = None, pool: Pool | None = None, seed: int = 0, tools: Any = None
) -> Job:
    """A job that finds these vectors and this pool."""
    if made is not None:
        tables.write_vectors(folder, made)
    if pool is not None:
        pool.write(folder / tables.POOL)
    return Job(folder, {"vectors": folder, "pool": folder}, tools, seed)


def everything(n: int = ROWS) -> Groups:
    return Groups.one(n)


def scored(n: int = ROWS) -> Scores:
    return Scores(qualities(n))
