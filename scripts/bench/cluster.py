"""Weighted k-means on distinct tags against k-means on one vector per occurrence: time and agreement.

    python scripts/bench/cluster.py TAGS.jsonl [--k 50] [--runs 3]

TAGS.jsonl holds rows {"tag": str, "count": int}. Both start from the same centres, so they walk the same
path; the occurrences only repeat rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from tacos.models.embedder import Embedder, EmbedderSettings


def timed(vectors: np.ndarray, weights: np.ndarray | None, start: np.ndarray) -> tuple[float, np.ndarray]:
    began = time.perf_counter()
    labels = KMeans(len(start), init=start, n_init=1).fit(vectors, sample_weight=weights).labels_
    return time.perf_counter() - began, labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tags", type=Path)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.tags.read_text(encoding="utf-8").splitlines()]
    counts = np.array([row["count"] for row in rows])
    distinct = Embedder(EmbedderSettings())([row["tag"] for row in rows])
    occurrences = np.repeat(distinct, counts, axis=0)
    ratios = []
    for seed in range(args.runs):
        chosen = np.random.default_rng(seed).choice(len(distinct), args.k, replace=False)
        fast, weighted = timed(distinct, counts.astype(float), distinct[chosen])
        slow, repeated = timed(occurrences, None, distinct[chosen])
        agree = adjusted_rand_score(np.repeat(weighted, counts), repeated)
        ratios.append(slow / fast)
        print(f"seed {seed}: weighted {fast:.2f} s, per occurrence {slow:.2f} s, agreement {agree:.4f}")
    rows_each = f"{len(distinct):,} tags, {len(occurrences):,} occurrences"
    print(f"{rows_each}: {statistics.median(ratios):.1f} times faster (median of {args.runs})")


if __name__ == "__main__":
    main()
