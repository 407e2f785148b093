"""Designs x read-outs of comparative scoring at equal calls, against judges whose truth is known.

    python -m scripts.bench.scoring simulated [--seeds 20]      a judge with known noise, 25 groups of 80
    python -m scripts.bench.scoring builtin [--seeds 5]         real texts: the builtin pool and its defects
    python -m scripts.bench.scoring pairs --train F --valid F   expert pairs: their revisions, judged by the light IQS
    python -m scripts.bench.scoring reviews ASSETS              GPT-4's stored reviews of both orders
    python -m scripts.bench.scoring speed                       100,000 samples, 200,000 calls

P@20%: share of the true best fifth that is in the selected fifth, group by group where there are groups. rho: rank
correlation with the truth. z: spread of (score - truth) / standard error, 1 where errors are right.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata, spearmanr

from tacos.scoring.calls import Calls, CallScores
from tacos.scoring.designs import Design
from tacos.scoring.readout.readout import Readout, ReadScores
from tacos.selection import Groups

GROUPS, MEMBERS, SHARE = 25, 80, 0.2
MEAN, MIXED, PRIOR = Readout(by="mean"), Readout(prior=False), Readout()
WON = Readout(by="bradley_terry")
LISTS = Design(size=4, rounds=2)
SWAPPED = "the same pair swapped"
PLANS: Mapping[float, Sequence[tuple[str, Design | None]]] = {
    0.5: (
        ("pairs, stored order", Design(order="stored", bridges=0)),
        ("pairs", Design(bridges=0)),
        ("pairs, 10% bridges", Design()),
        ("lists of 3, 1.5 rounds", Design(size=3, rounds=1.5)),
        ("lists of 4, 2 rounds", LISTS),
        ("lists of 4, 1.5 rounds, half late", Design(size=4, rounds=1.5, late=0.5)),
    ),
    1.0: (
        (SWAPPED, None),
        ("pairs, 2 rounds", Design(rounds=2, bridges=0)),
        ("pairs, 2 rounds, 10% bridges", Design(rounds=2)),
        ("pairs, 1 round, 1 late", Design(late=1)),
        ("lists of 4, 4 rounds", Design(size=4, rounds=4)),
    ),
}
"""Calls per sample -> designs that need as many."""


@dataclass(frozen=True)
class Judge:
    """What a simulated judge adds to a sample's quality, in standard deviations of quality."""

    drift: float = 0.6
    noise: float = 0.9
    place: float = 0.3
    length: float = 0.0
    """Per standard deviation of log length, which says nothing of quality."""
    scale: float = 0.0
    """Standard deviation of what a group's own calls add."""
    contrast: float = 0.0
    """Share of the gap to the mean of the others that is added: pairs are pulled apart."""
    crowd: float = 0.0
    """Noise more for each sample of a call beyond two."""

    def __call__(
        self, calls: Calls, quality: np.ndarray, length: np.ndarray, rng: np.random.Generator
    ) -> CallScores:
        seen = quality[calls.rows] + self.length * length[calls.rows]
        others = np.where(calls.present, seen, 0)
        mean = (others.sum(1, keepdims=True) - others) / np.maximum(
            1, calls.present.sum(1, keepdims=True) - 1
        )
        scales = np.append(rng.normal(0, self.scale, int(calls.group.max()) + 1), 0.0)
        noise = self.noise + self.crowd * (calls.rows.shape[1] - 2)
        said = seen + self.contrast * (seen - mean) + rng.normal(0, self.drift, (len(calls), 1))
        said += rng.normal(0, noise, said.shape) + scales[calls.group][:, None]
        said[:, 0] += self.place
        return CallScores(np.where(calls.present, said, np.nan))


JUDGES = {
    "usual": Judge(),
    "loud": Judge(noise=1.5),
    "drifting": Judge(drift=1.2),
    "length": Judge(length=0.5),
    "contrast": Judge(contrast=0.3),
    "scales": Judge(scale=1.0),
    "crowded": Judge(crowd=0.15),
    "packed": Judge(crowd=0.25),
}
Ask = Callable[[Calls], CallScores]


@dataclass(frozen=True)
class World:
    """Samples with their truth. columns: what a prior is made from. whole: one cut over all groups."""

    groups: Groups
    truth: np.ndarray
    columns: np.ndarray | None
    whole: bool = False


def played(
    design: Design | None, world: World, ask: Ask, readout: Readout, seed: int
) -> tuple[int, ReadScores]:
    """Calls made, and what they say."""
    n, columns = len(world.truth), world.columns if readout.foretells else None
    if design is None:
        once = Design(bridges=0).plan(world.groups, seed)
        calls = Calls.join([once, replace(once, rows=once.rows[:, ::-1], guest=once.guest[:, ::-1])])
        return len(calls), readout.read(world.groups, n, calls, ask(calls), columns, seed)
    calls = design.plan(world.groups, seed)
    answers = ask(calls)
    read = readout.read(world.groups, n, calls, answers, columns, seed)
    if design.late:
        late = design.late_plan(world.groups, read.scores, round(SHARE * n), seed)
        calls, answers = Calls.join([calls, late]), answers.then(ask(late))
        read = readout.read(world.groups, n, calls, answers, columns, seed)
    return len(calls), read


class Measured(NamedTuple):
    """Two measures that the table names, and z where there is one."""

    first: float
    second: float
    z: float = np.nan


def against_truth(world: World, read: ReadScores) -> Measured:
    """P@20%, rho, z."""
    found = np.nan_to_num(read.scores.values, nan=-np.inf)
    cuts = [np.arange(len(found))] if world.whole else world.groups.members
    hits = [precision(found[rows], world.truth[rows]) for rows in cuts]
    known = np.isfinite(found)
    rho = spearmanr(found[known], world.truth[known]).statistic
    z = np.nan
    if (
        read.scores.std_errors is not None
        and read.fitted is not None
        and np.isfinite(read.fitted.variances.drift)
    ):
        z = float(np.std((found - world.truth)[known] / read.scores.std_errors[known]))
    return Measured(float(np.average(hits, weights=[len(rows) for rows in cuts])), float(rho), z)


def precision(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of the selected fifth that is truly in the best; equal truths share their places."""
    places = max(1, round(SHARE * len(found)))
    chosen = truth[np.lexsort((np.arange(len(found)), -found))[:places]]
    at = np.sort(truth)[-places]
    above, equal = int((truth > at).sum()), int((truth == at).sum())
    return float(((chosen > at).sum() + (chosen == at).sum() * (places - above) / equal) / places)


def table(
    world_of: Callable[[int], tuple[World, Callable[[int], Ask]]],
    seeds: int,
    names: tuple[str, str] = ("P@20%", "rho"),
    measure: Callable[[World, ReadScores], Measured] = against_truth,
) -> None:
    """Print designs x read-outs. world_of: seed -> the world, and its judge by seed."""
    worlds = [world_of(seed) for seed in range(seeds)]
    print(f"| calls per sample | design | read-out | {names[0]} | {names[1]} | z |")
    print("| --- | --- | --- | --- | --- | --- |")
    for budget, plans in PLANS.items():
        for name, design in plans:
            for said, readout in (
                ("mean", MEAN),
                ("mixed", MIXED),
                ("mixed, prior", PRIOR),
                ("who won", WON),
            ):
                runs = [played(design, w, ask(seed), readout, seed) for seed, (w, ask) in enumerate(worlds)]
                found = np.array([measure(w, read) for (w, _), (_, read) in zip(worlds, runs, strict=True)])
                calls = np.mean([made / len(w.truth) for (w, _), (made, _) in zip(worlds, runs, strict=True)])
                assert abs(calls - budget) < 0.03 * max(1, budget) + 0.02, (name, calls)
                mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(seeds)
                spread = "" if np.isnan(mean[2]) else f"{mean[2]:.2f}"
                cells = (
                    f"{budget:g}",
                    name,
                    said,
                    f"{mean[0]:.3f} ± {error[0]:.3f}",
                    f"{mean[1]:.3f}",
                    spread,
                )
                print(f"| {' | '.join(cells)} |")


def simulated(judge: Judge, whole: bool) -> Callable[[int], tuple[World, Callable[[int], Ask]]]:
    """Quality of which half the variance is in 30 of 100 features; of the others one is log length, and ten tell the
    group, as embeddings do."""

    def world_of(seed: int) -> tuple[World, Callable[[int], Ask]]:
        rng = np.random.default_rng([7, seed])
        n = GROUPS * MEMBERS
        columns = rng.normal(size=(n, 100))
        columns[:, 31:41] += 2 * np.repeat(rng.normal(size=(GROUPS, 10)), MEMBERS, axis=0)
        told = columns[:, 1:31] @ rng.normal(size=30)
        quality = np.sqrt(0.5) * told / told.std() + rng.normal(0, np.sqrt(0.5), n)
        members = tuple(np.arange(n).reshape(GROUPS, MEMBERS))
        world = World(Groups(tuple(map(str, range(GROUPS))), members), quality, columns, whole)

        def asked(number: int) -> Ask:
            noise = np.random.default_rng([8, number])
            return lambda calls: judge(calls, quality, columns[:, 0], noise)

        return world, asked

    return world_of


def speed() -> None:
    """Planning and reading out, seconds."""
    n = 100_000
    quality = np.random.default_rng(0).normal(size=n)
    groups = Groups(tuple(map(str, range(50))), tuple(np.array_split(np.arange(n), 50)))
    columns = np.random.default_rng(1).normal(size=(n, 218))
    started = time.perf_counter()
    calls = Design(rounds=4).plan(groups, 0)
    print(f"plan of {len(calls):,} calls: {time.perf_counter() - started:.1f} s")
    answers = Judge()(calls, quality, np.zeros(n), np.random.default_rng(2))
    for name, readout in (("mean", MEAN), ("mixed", MIXED), ("mixed, prior", PRIOR), ("who won", WON)):
        started = time.perf_counter()
        read = readout.read(groups, n, calls, answers, columns if readout.foretells else None)
        rho = np.corrcoef(rankdata(read.scores.values), rankdata(quality))[0, 1]
        print(f"{name}: {time.perf_counter() - started:.1f} s, rho {rho:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("simulated", "builtin", "pairs", "reviews", "speed"))
    parser.add_argument("assets", nargs="?", type=Path)
    parser.add_argument("--judge", nargs="*", default=list(JUDGES), choices=JUDGES)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--valid", type=Path)
    asked = parser.parse_args()
    if asked.what == "speed":
        speed()
    elif asked.what == "simulated":
        for name in asked.judge:
            print(f"\n{name}: {JUDGES[name]}\n")
            table(simulated(JUDGES[name], whole=name == "scales"), asked.seeds)
    else:
        from scripts.bench.scoring_texts import builtin, mt_bench, pairs, reviews

        if asked.what == "builtin":
            builtin(asked.seeds)
        elif asked.what == "pairs":
            pairs(asked.train, asked.valid, asked.seeds)
        else:
            reviews(asked.assets)
            mt_bench(asked.assets)


if __name__ == "__main__":
    main()
