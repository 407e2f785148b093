"""What the approximate modes for large pools lose, where the exact ones can still be run.

    python -m scripts.bench.approximate [--rows 20000] [--budget 200] [--dim 384] [--threads 2]

`facility_location`: the objective over all rows against that of exact greedy, and the share of its picks, by
`neighbors` and `compared`; a uniform draw beside it. `novelty`: how much too low a density is, and the share of picks,
by `compared`. Three pools of random vectors: `even`, 200 centres; `fine`, a centre for ten rows; `topics`, centres
around centres, of sizes that fall as 1 / rank, and one direction that all share.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

from scripts.bench.selection import around
from tacos.allocation.facility_location import Search, covering
from tacos.allocation.novelty import densities, novel
from tacos.models.embedder import unit_rows

BLOCK = 4096


def topics(n: int, dim: int) -> np.ndarray:
    """(n, dim) float32 of unit length."""
    rng = np.random.default_rng(5)
    wide = rng.normal(size=(20, dim))
    narrow = wide[rng.integers(0, 20, 400)] + 1.2 * rng.normal(size=(400, dim))
    shares = 1 / np.arange(1, 401)
    home = rng.choice(400, n, p=shares / shares.sum())
    noise = rng.uniform(0.5, 2.5, (n, 1)) * rng.normal(size=(n, dim))
    return unit_rows((narrow[home] + noise + 0.5 * rng.normal(size=dim)).astype(np.float32))


def value(unit: np.ndarray, chosen: list[int]) -> float:
    """The mean cosine of a row to the nearest chosen one, at least 0."""
    blocks = (unit[at : at + BLOCK] @ unit[chosen].T for at in range(0, len(unit), BLOCK))
    return float(
        np.concatenate([np.maximum(block.max(axis=1), 0) for block in blocks]).mean(dtype=np.float64)
    )


def shared(picks: list[int], others: list[int]) -> str:
    return f"{len(set(picks) & set(others)) / len(others):.0%} of the picks"


def facility_location(unit: np.ndarray, budget: int) -> None:
    n = len(unit)

    def run(near: Search | None) -> tuple[list[int], float]:
        start = time.perf_counter()
        return covering(unit, np.arange(n), np.zeros(n), 0, budget, near), time.perf_counter() - start

    exact, seconds = run(None)
    best = value(unit, exact)
    drawn = np.random.default_rng(0).permutation(n)[:budget].tolist()
    print(
        f"    exact {best:.4f} in {seconds:.1f} s; random {value(unit, drawn) / best:.1%} of it", flush=True
    )
    for neighbors, compared in ((32, n), (64, n), (256, n), (64, 2048), (64, 8192)):
        picks, seconds = run(Search(neighbors, compared, 0))
        print(
            f"    neighbors={neighbors} compared={compared}: {value(unit, picks) / best:.1%}, "
            f"{shared(picks, exact)}, {seconds:.1f} s",
            flush=True,
        )


def novelty(unit: np.ndarray, budget: int) -> None:
    weights = 1 / np.arange(1, budget + 1)

    def run(compared: int) -> tuple[np.ndarray, list[int], float]:
        start = time.perf_counter()
        density = densities(unit, 10, 0.5, compared)
        seconds = time.perf_counter() - start
        return density, novel(unit, density, weights, 0), seconds

    exact, picks, seconds = run(len(unit))
    print(f"    exact densities in {seconds:.1f} s", flush=True)
    for compared in (2048, 8192):
        density, found, seconds = run(compared)
        low = 1 - density / exact
        print(
            f"    compared={compared}: densities {low.mean():.2%} too low, {low.max():.1%} at most, "
            f"{shared(found, picks)}, {seconds:.1f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 20_000), ("budget", 200), ("dim", 384), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    n, dim = args.rows, args.dim
    pools = {
        "even": lambda: around(n, dim, 200, 1.0),
        "fine": lambda: around(n, dim, n // 10, 0.7),
        "topics": lambda: topics(n, dim),
    }
    with threadpool_limits(args.threads):
        for name, make in pools.items():
            unit = make()
            for measure in (facility_location, novelty):
                print(f"{measure.__name__}, {name}, {n:,} -> {args.budget:,}", flush=True)
                measure(unit, args.budget)


if __name__ == "__main__":
    main()
