"""Each exact allocator against its plain loop in the same run: seconds, the ratio, and whether the picks are the same.

    python -m scripts.bench.selection [NAME ...] [--rows N] [--budget N] [--plain N] [--dim 384] [--threads 2]

NAME: cosine_filter, k_center, facility_location, log_det, mig, zip, novelty; all of them by default. The plain loop
takes `--plain` rows (0 leaves it out), and its time is scaled to the budget where every step costs the same. Greedy
picks are nested, so its picks are held to the first of ours. Where submodlib is installed (`pip install submodlib-py`),
its lazy greedy is timed too. Vectors are random, around centres as texts are; texts are random words.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from scripts.bench.usage import peak_gib
from tacos.allocation.cosine_filter import unlike
from tacos.allocation.facility_location import covering
from tacos.allocation.k_center import farthest
from tacos.allocation.log_det import determinants
from tacos.allocation.mig import Mig, linked, tagged
from tacos.allocation.novelty import densities, novel
from tacos.allocation.zip import Archive, ZipSelection
from tacos.models.embedder import unit_rows
from tacos.selection import Groups

Picks = list[int]
Loop = Callable[[int], Picks]
"""Budget -> picks."""
TAGS = 4500


class Case(NamedTuple):
    """rows, budget: of the measurement. plain: rows that the plain loop takes. scaled: its steps cost the same."""

    make: Callable[[int, int], tuple[Loop, Loop]]
    rows: int
    budget: int
    plain: int
    scaled: bool = True


def around(n: int, dim: int, centres: int, noise: float) -> np.ndarray:
    """(n, dim) float32 of unit length; two rows of one centre have a cosine of about 1 / (1 + noise^2)."""
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(centres, dim)).astype(np.float32)[rng.integers(0, centres, n)]
    return unit_rows(middle + noise * rng.standard_normal((n, dim), dtype=np.float32))


def cosine_filter(n: int, dim: int) -> tuple[Loop, Loop]:
    vectors, order = around(n, dim, 8000, 0.2), np.random.default_rng(1).permutation(n)

    def plain(budget: int) -> Picks:
        kept: Picks = []
        for place in range(n):
            if len(kept) == budget:
                break
            if not kept or (vectors[order[kept]] @ vectors[order[place]]).max() <= 0.9:
                kept.append(place)
        return kept

    return lambda budget: unlike(vectors, order, 0.9, budget).tolist(), plain


def k_center(n: int, dim: int) -> tuple[Loop, Loop]:
    vectors = around(n, dim, 200, 1.0)

    def plain(budget: int) -> Picks:
        taken, nearest = [0], np.linalg.norm(vectors - vectors[0], axis=1)
        while len(taken) < budget:
            taken.append(int(nearest.argmax()))
            nearest = np.minimum(nearest, np.linalg.norm(vectors - vectors[taken[-1]], axis=1))
        return taken

    return lambda budget: farthest(vectors, [0], budget), plain


def facility_location(n: int, dim: int) -> tuple[Loop, Loop]:
    vectors = around(n, dim, 200, 1.0)

    def plain(budget: int) -> Picks:
        taken: Picks = []
        covered = np.zeros(n, dtype=np.float32)
        cosines = vectors @ vectors.T
        while len(taken) < budget:
            added = np.array([np.maximum(row - covered, 0).sum() for row in cosines])
            added[taken] = -1
            taken.append(int(added.argmax()))
            covered = np.maximum(covered, cosines[taken[-1]])
        return taken

    return lambda budget: covering(vectors, np.arange(n), np.zeros(n), 0, budget), plain


def log_det(n: int, dim: int) -> tuple[Loop, Loop]:
    vectors = around(n, dim, 200, 1.0)

    def plain(budget: int) -> Picks:
        """The usual greedy MAP, with a row of the Cholesky factor for every row of the pool."""
        factor, left, taken = np.zeros((n, budget)), np.ones(n), []
        for step in range(budget):
            row = int(left.argmax())
            taken.append(row)
            inner = vectors.astype(np.float64) @ vectors[row].astype(np.float64)
            factor[:, step] = (inner - factor[:, :step] @ factor[row, :step]) / np.sqrt(left[row])
            left = left - factor[:, step] ** 2
            left[taken] = -np.inf
        return taken

    return lambda budget: determinants(vectors, np.ones(n), budget)[0], plain


def tags_of(n: int) -> Groups:
    """`TAGS` tags as groups, a few of them common; up to four a row."""
    weights = 1 / np.arange(1, TAGS + 1)
    tags = np.random.default_rng(0).choice(TAGS, size=(n, 4), p=weights / weights.sum())
    order = np.argsort(tags, axis=None, kind="stable")
    rows = np.split(order // 4, np.cumsum(np.bincount(tags.ravel(), minlength=TAGS))[:-1])
    return Groups(tuple(map(str, range(TAGS))), tuple(np.unique(members) for members in rows))


def mig(n: int, dim: int) -> tuple[Loop, Loop]:
    groups = tags_of(n)
    rows, qualities = groups.covered, np.random.default_rng(1).uniform(1, 36, n)
    spread = tagged(groups, rows, qualities, False) @ linked(around(TAGS, dim, 3000, 0.3), 0.9, 1)

    def plain(budget: int) -> Picks:
        dense, there, taken = spread.toarray(), np.zeros(TAGS), []
        while len(taken) < budget:
            gains = dense @ (0.8 * (there + 1e-6) ** -0.2)
            gains[taken] = -1
            taken.append(int(gains.argmax()))
            there += dense[taken[-1]]
        return taken

    return lambda budget: Mig().informing(spread, budget), plain


def zip_(n: int, dim: int) -> tuple[Loop, Loop]:
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefghijklmnop"), rng.integers(2, 9))) for _ in range(4000)])
    texts = [" ".join(rng.choice(words[: rng.integers(20, 4000)], 80)).encode() for _ in range(n)]
    settings = ZipSelection(candidates=min(n, 2000))

    class Again(Archive):
        """Every ratio from all the texts."""

        def ratios(self, held: list[int], rows: Any) -> np.ndarray:
            head = b"".join(self.texts[row] + self.between for row in held)
            whole = (head + self.texts[row] for row in rows)
            return np.array([len(text) / len(zlib.compress(text, 9)) for text in whole])

    def run(kind: type[Archive]) -> Loop:
        return lambda budget: settings.rounds(kind(texts, b"", b"\n", b""), budget)

    return run(Archive), run(Again)


def novelty(n: int, dim: int) -> tuple[Loop, Loop]:
    vectors = around(n, dim, 200, 1.0)
    density = densities(vectors, 10, 0.5)

    def plain(budget: int) -> Picks:
        taken = [0]
        while len(taken) < budget:
            apart = np.maximum(1 - vectors @ vectors[taken].T, 0) * (density[:, None] + density[taken])
            sums = np.sort(apart, axis=1) @ (1 / np.arange(1, len(taken) + 1))
            sums[taken] = -1
            taken.append(int(sums.argmax()))
        return taken

    return lambda budget: novel(vectors, density, 1 / np.arange(1, budget + 1), 0), plain


CASES = {
    "cosine_filter": Case(cosine_filter, 52_000, 6000, 6000),
    "k_center": Case(k_center, 52_000, 1000, 1000),
    "facility_location": Case(facility_location, 10_000, 1000, 20),
    "log_det": Case(log_det, 10_000, 1000, 384, scaled=False),
    "mig": Case(mig, 50_000, 5000, 50),
    "zip": Case(zip_, 5000, 100, 100),
    "novelty": Case(novelty, 10_000, 500, 500),
}


def timed(loop: Loop, budget: int) -> tuple[float, Picks]:
    start = time.perf_counter()
    picks = loop(budget)
    return time.perf_counter() - start, picks


def lazy_greedy(n: int, dim: int) -> Loop:
    """submodlib's, with the cosines given, over the vectors of `facility_location`."""
    from submodlib import FacilityLocationFunction

    vectors = around(n, dim, 200, 1.0)

    def run(budget: int) -> Picks:
        made = FacilityLocationFunction(n=n, mode="dense", sijs=vectors @ vectors.T, separate_rep=False)
        picks = made.maximize(budget=budget, optimizer="LazyGreedy", show_progress=False)
        return [row for row, _ in picks]

    return run


def measure(name: str, n: int, dim: int, budget: int, count: int) -> None:
    """count: rows that the plain loop takes; 0 leaves it out."""
    ours, plain = CASES[name].make(n, dim)
    seconds, picks = timed(ours, budget)
    print(f"{name}: {n:,} -> {budget:,} in {seconds:.2f} s, {peak_gib():.1f} GiB", flush=True)
    if not count:
        return
    scaled = CASES[name].scaled and count < budget
    beside = seconds if scaled or count == budget else timed(ours, count)[0]
    slow, expected = timed(plain, count)
    slow *= budget / count if scaled else 1
    print(
        f"    plain loop {slow:.1f} s{' scaled' if scaled else ''}, {slow / beside:.0f}x, {same(picks, expected)}"
    )
    if name == "facility_location" and find_spec("submodlib"):
        lazy, found = timed(lazy_greedy(n, dim), budget)
        print(f"    submodlib {lazy:.1f} s, {lazy / seconds:.1f}x, {same(picks, found)}")


def same(picks: Picks, others: Picks) -> str:
    return (
        f"{sum(a == b for a, b in zip(picks, others, strict=False)):,} of {len(others):,} picks are the same"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    for name in ("rows", "budget", "plain"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    for name in args.names or CASES:
        n, budget = args.rows or CASES[name].rows, args.budget or CASES[name].budget
        plain = CASES[name].plain if args.plain is None else args.plain
        with threadpool_limits(args.threads):
            measure(name, n, args.dim, budget, min(plain, budget))


if __name__ == "__main__":
    main()
