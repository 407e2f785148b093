"""Pairs of near duplicates that MinHash proposes: ours beside datasketch, rensa, datatrove and semhash.

    pip install datasketch rensa datatrove semhash
    python -m scripts.bench.near FILE [NAME ...] [--rows 20000] [--threshold 0.9] [--planted]

FILE: a pool; its prompts are compared. --planted: its responses in place of them, each beside a copy with up to a tenth
of its words replaced. Every library gets the same sets of 3-grams, as many permutations and the same bands, and all
pairs that reach the threshold in Jaccard similarity are known: the share of them that is proposed (recall), the share
of proposed pairs that reach it (precision), and seconds of CPU from sets to pairs. semhash reads the texts, and
compares embeddings of words and pairs of words, hashed to 512 dimensions.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from tacos.data.near import band_keys, bands
from tacos.data.read import read_pool
from tacos.data.row_numbers import gram_sets
from tacos.data.shingles import Shingles

Pairs = set[tuple[int, int]]
BLOCK = 500
MOST = 300
"""Rows that share a band and are paired; more are taken in order."""


def texts_of(path: Path, rows: int, planted: bool) -> list[str]:
    pool = read_pool(str(path)).pool
    if not planted:
        return pool.prompts[:rows]
    rng = np.random.default_rng(0)
    texts = [text for text in pool.responses if len(text.split()) >= 40][: rows // 2]
    copies = []
    for text in texts:
        words = text.split(" ")
        for place in rng.choice(len(words), int(rng.integers(1, 2 + len(words) // 10))):
            words[place] = "another"
        copies.append(" ".join(words))
    return texts + copies


def similar(sets: Shingles, threshold: float) -> Pairs:
    """Every pair that reaches the threshold, by counting what each two sets share."""
    names, columns = np.unique(sets.values, return_inverse=True)
    ones = np.ones(len(columns), np.float32)
    held = csr_matrix((ones, columns, sets.starts), shape=(len(sets), len(names)))
    counts, found = sets.counts, set()
    other = held.T.tocsr()
    for at in range(0, len(sets), BLOCK):
        shared = (held[at : at + BLOCK] @ other).tocoo()
        one, two = shared.row + at, shared.col
        jaccard = shared.data / (counts[one] + counts[two] - shared.data)
        keep = (one < two) & (jaccard >= threshold)
        found |= set(zip(one[keep].tolist(), two[keep].tolist(), strict=True))
    return found


def sharing(keys: np.ndarray) -> Pairs:
    """keys: (n, bands)"""
    pairs: Pairs = set()
    for column in keys.T:
        order = np.argsort(column, kind="stable")
        ends = np.flatnonzero(np.diff(column[order])) + 1
        for rows in np.split(order, ends):
            if len(rows) > 1:
                pairs |= set(combinations(sorted(rows.tolist())[:MOST], 2))
    return pairs


def tacos(texts: list[str], sets: Shingles, threshold: float) -> Pairs:
    return sharing(band_keys(sets, threshold, 0))


def datasketch(texts: list[str], sets: Shingles, threshold: float) -> Pairs:
    from datasketch import MinHash, MinHashLSH

    n = int(np.prod(bands(threshold)))
    index = MinHashLSH(num_perm=n, params=bands(threshold))
    halves = (values & np.uint64(0xFFFFFFFF) for values in sets)
    pairs: Pairs = set()
    for i, made in enumerate(MinHash.generator(halves, num_perm=n, seed=0, hashfunc=int)):
        pairs |= {(j, i) for j in index.query(made)}
        index.insert(i, made, check_duplication=False)
    return pairs


def folded(rows: Any, threshold: float) -> Pairs:
    """rows: the MinHashes of each set."""
    count, each = bands(threshold)
    minima = np.asarray(rows, dtype=np.uint64)[:, : count * each].reshape(-1, count, each)
    keys = np.zeros(minima.shape[:2], dtype=np.uint64)
    for place in range(each):
        keys = (keys ^ minima[:, :, place]) * np.uint64(0x9E3779B97F4A7C15)
    return sharing(keys)


def rensa(texts: list[str], sets: Shingles, threshold: float) -> Pairs:
    from rensa import RMinHash

    n = int(np.prod(bands(threshold)))
    made = RMinHash.digest_matrix_from_flat_token_hashes(sets.values, sets.starts.astype(np.uint64), n, 0)
    return folded(made.to_rows(), threshold)


def datatrove(texts: list[str], sets: Shingles, threshold: float) -> Pairs:
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

    count, each = bands(threshold)
    step = MinhashDedupSignature(".", MinhashConfig(num_buckets=count, hashes_per_bucket=each))
    made = (step.get_signature(values[:, None]) for values in sets)
    return folded([[value for band in row for value in band] for row in made], threshold)


class Hashed:
    """An encoder of texts."""

    def encode(self, inputs: Any, **kwargs: Any) -> np.ndarray:
        from sklearn.feature_extraction.text import HashingVectorizer

        made = HashingVectorizer(ngram_range=(1, 2), n_features=512).transform(list(inputs))
        return np.asarray(made.todense(), dtype=np.float32)


def semhash(texts: list[str], sets: Shingles, threshold: float) -> Pairs:
    from semhash import SemHash

    place: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        place[text].append(i)
    found = SemHash.from_records(texts, model=Hashed()).self_deduplicate(threshold=threshold)
    pairs: Pairs = set()
    for dropped in found.filtered:
        for other, _ in dropped.duplicates:
            pairs |= {(min(i, j), max(i, j)) for i in place[dropped.record] for j in place[other] if i != j}
    return pairs


LIBRARIES: dict[str, Callable[[list[str], Shingles, float], Pairs]] = {
    "tacos": tacos,
    "datasketch": datasketch,
    "rensa": rensa,
    "datatrove": datatrove,
    "semhash": semhash,
}


def lines(args: argparse.Namespace) -> Iterator[str]:
    texts = [text for text in texts_of(args.file, args.rows, args.planted) if text.strip()]
    sets = gram_sets(texts)
    true = similar(sets, args.threshold)
    yield f"{len(texts):,} texts, {sets.counts.mean():.0f} 3-grams each, {len(true):,} pairs from {args.threshold:g} on"
    for name in args.names or LIBRARIES:
        used = time.process_time()
        found = LIBRARIES[name](texts, sets, args.threshold)
        used = time.process_time() - used
        hits = len(found & true)
        recall, precision = hits / max(1, len(true)), hits / max(1, len(found))
        yield f"{name}: recall {recall:.2%}, precision {precision:.1%} of {len(found):,}; {used:.2f} s of CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(LIBRARIES))
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--planted", action="store_true")
    args = parser.parse_args()
    for line in lines(args):
        print(line, flush=True)


if __name__ == "__main__":
    main()
