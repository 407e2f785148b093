"""One inference round of IterSelectTune at scale: draw V, M, R, Q, sort; with time, memory and the error of R.

    python -m scripts.bench.iterselecttune [--rows 1000000] [--dim 384] [--hard 100000] [--runs 3] [--threads 2]
        [--directions 64] [--clusters]

Random unit vectors around `directions` random centres, so that rows have neighbours as texts do. V is every row that
is left, which is more than a round draws by default (a fifth of the pool). `--clusters` times the k-means of the pool
as well, which is done once for all rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from scripts.bench.usage import peak_gib
from tacos.grouping.embedding import EmbeddingGroups, cluster_embeddings
from tacos.methods.hard_space import IterSelectTuneSettings, Space
from tacos.scoring.hardness import LightClassifier
from tacos.scoring.similarity import max_cosine

BLOCK = 50_000


def unit_vectors(n: int, dim: int, directions: int) -> np.ndarray:
    """(n, dim) float32; rows of one direction have a cosine of about 0.5."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(directions, dim)).astype(np.float32)
    vectors = np.empty((n, dim), np.float32)
    for start in range(0, n, BLOCK):
        block = rng.standard_normal((min(BLOCK, n - start), dim), dtype=np.float32)
        block += centres[rng.integers(0, directions, len(block))]
        vectors[start : start + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def one_round(
    space: Space, hard: np.ndarray, left: np.ndarray, model: LightClassifier, draw: int
) -> np.ndarray:
    m = model.probability(np.arange(len(space.vectors)))
    return space.batch(left, hard, m, draw).rows


def error_of_r(vectors: np.ndarray, hard: np.ndarray, left: np.ndarray) -> np.ndarray:
    """How much too low R is, for 2,000 rows."""
    rows = np.random.default_rng(1).choice(left, 2000, replace=False)
    return max_cosine(vectors, rows, hard, exact=np.inf) - max_cosine(vectors, rows, hard, exact=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--hard", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--directions", type=int, default=64)
    parser.add_argument("--clusters", action="store_true")
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    vectors = unit_vectors(args.rows, args.dim, args.directions)
    print(f"{args.rows:,} x {args.dim} vectors, {peak_gib():.2f} GiB", flush=True)
    settings = IterSelectTuneSettings(subset=args.rows)
    clusters = np.random.default_rng(2).integers(0, 707, args.rows)
    with threadpool_limits(args.threads):
        if args.clusters:
            began = time.perf_counter()
            groups = cluster_embeddings(vectors, EmbeddingGroups(), seed=0)
            for number, members in enumerate(groups.members):
                clusters[members] = number
            print(f"k-means, {len(groups)} clusters: {time.perf_counter() - began:.1f} s", flush=True)
        hard = np.sort(np.random.default_rng(3).choice(args.rows, args.hard, replace=False))
        left = np.setdiff1d(np.arange(args.rows), hard, assume_unique=True)
        model = LightClassifier(vectors, penalty=1.0)
        model.fit(np.arange(3000), np.arange(3000) % 2)
        space = Space(vectors, clusters, settings, seed=0)
        times = []
        for run in range(args.runs):
            began = time.perf_counter()
            batch = one_round(space, hard, left, model, run)
            times.append(time.perf_counter() - began)
            print(
                f"round {run}: {len(batch):,} of {len(left):,} rows, {times[-1]:.1f} s, {peak_gib():.2f} GiB",
                flush=True,
            )
        missed = error_of_r(vectors, hard, left)
    print(
        f"median {statistics.median(times):.1f} s, peak {peak_gib():.2f} GiB, {args.threads} threads; R is too low "
        f"for {(missed > 1e-5).mean():.0%} of rows, by {missed.mean():.4f} on average, {missed.max():.3f} at most"
    )


if __name__ == "__main__":
    main()
