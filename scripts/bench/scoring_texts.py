"""Real texts for `scripts.bench.scoring`: the builtin pool, expert pairs, GPT-4's reviews of both orders.

The builtin pool and the pairs are judged by a number per sample with the usual judge's drift, noise and liking for the
first place added (0.6, 0.9 and 0.3 standard deviations); the number is the truth (clean, or a defect) or a learned
scorer's. Features and embeddings of a prior are real. A learned scorer reads the same features as the prior, so of it
the prior foretells more than it would of a judge who reads what the features do not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import norm, rankdata, spearmanr
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score

from eval.pairwise.reviews import Review, read_reviews
from scripts.bench.scoring import (
    MEAN,
    MIXED,
    PRIOR,
    SHARE,
    WON,
    Ask,
    Judge,
    Measured,
    World,
    precision,
    table,
)
from tacos.data.builtin.build import BuiltinSettings, build
from tacos.data.rows import read_rows
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.scoring.calls import Calls, CallScores
from tacos.scoring.iqs.light import LightScorer, LightSettings
from tacos.scoring.iqs.pairs import read_pairs
from tacos.scoring.learned import LearnedSettings, fit_on_pool
from tacos.scoring.readout.bradley_terry import fit_bradley_terry
from tacos.scoring.readout.prior import design_matrix
from tacos.scoring.readout.readout import ReadScores
from tacos.selection import Groups
from tacos.types import Pool, make_sample


def vectors_of(pool: Pool, embedder: Embedder) -> tuple[np.ndarray, np.ndarray]:
    return embedder(pool.prompts), embedder(pool.responses, LearnedSettings().response_tokens)


def judged(quality: np.ndarray) -> Callable[[int], Ask]:
    """The usual judge over a number a sample, brought to normal quantiles."""
    normal = norm.ppf((rankdata(quality) - 0.5) / len(quality))

    def asked(seed: int) -> Ask:
        rng = np.random.default_rng([9, seed])
        return lambda calls: Judge()(calls, normal, np.zeros(len(normal)), rng)

    return asked


def clean_share(world: World, read: ReadScores) -> Measured:
    """Share of the selected fifth that is clean, and how well clean rows stand above defects (area under the curve)."""
    found = np.nan_to_num(read.scores.values, nan=-np.inf)
    chosen = [
        rows[np.argsort(-found[rows], kind="stable")[: round(SHARE * len(rows))]]
        for rows in world.groups.members
    ]
    known = np.isfinite(found)
    area = roc_auc_score(world.truth[known], found[known])
    return Measured(float(world.truth[np.concatenate(chosen)].mean()), float(area))


def builtin(seeds: int) -> None:
    embedder = Embedder(EmbedderSettings())
    made = build(BuiltinSettings())
    pool, truth = made.pool, np.array([float(row.defect is None) for row in made.truth])
    vectors = vectors_of(pool, embedder)
    labels = KMeans(20, n_init=1, random_state=0).fit_predict(vectors[0])
    groups = Groups(tuple(map(str, range(20))), tuple(np.flatnonzero(labels == k) for k in range(20)))
    world = World(groups, truth, design_matrix(pool, *vectors, 0))
    learned = fit_on_pool(pool, *vectors, embedder, LearnedSettings(), 0)[0]
    for name, quality in (("truth", truth + 0.0), ("quality model", learned)):
        print(f"\nbuiltin pool, judge = {name} + noise; clean share {truth.mean():.3f}\n")
        table(lambda seed, q=quality: (world, judged(q)), seeds, ("clean", "area"), clean_share)


def pairs(train: Path, valid: Path, seeds: int) -> None:
    """Revision and original of every pair as two samples of one pool."""
    light, known = LightScorer(LightSettings()).fit(read_pairs(train)), read_pairs(valid)
    sides = [(p, r) for p, r in zip(known.prompts, known.better, strict=True)]
    sides += [(p, r) for p, r in zip(known.worse_prompts, known.worse, strict=True)]
    pool = Pool.from_samples(make_sample(p, r, id=f"s{i}") for i, (p, r) in enumerate(sides))
    n = len(known.pairs)
    quality = light.score(*map(list, zip(*sides, strict=True)))
    right = np.mean((quality[:n] > quality[n:]) + 0.5 * (quality[:n] == quality[n:]))
    print(f"\n{n} pairs, the scorer alone is right on {right:.3f}\n")
    columns = design_matrix(pool, *vectors_of(pool, light.embedder), 0)
    world = World(Groups.one(2 * n), quality, columns)

    def accuracy(world: World, read: ReadScores) -> Measured:
        found = read.scores.values
        gap = found[:n] - found[n:]
        known = np.isfinite(found)
        rho = spearmanr(found[known], world.truth[known]).statistic
        return Measured(float(np.nanmean((gap > 0) + 0.5 * (gap == 0))), float(rho))

    table(lambda seed: (world, judged(quality)), seeds, ("pair accuracy", "rho"), accuracy)


def reviews(assets: Path) -> None:
    """Read out one order of the reviews, and hold it to the scores of the other."""
    files = [
        read_reviews(assets / f"judgments/pairwise_reviews_{name}_gpt4.json") for name in ("koala", "vicuna")
    ]
    read = [r for file in files for r in file.reviews if r.order_1.parsed and r.order_2.parsed]
    pool = Pool.from_samples(
        make_sample(r.question, text, id=f"s{i}")
        for i, (r, text) in enumerate((r, text) for r in read for text in (r.answer_a, r.answer_b))
    )
    columns = design_matrix(pool, *vectors_of(pool, Embedder(EmbedderSettings())), 0)
    both = [ordered(read, swapped) for swapped in (False, True)]
    print(f"\n{len(read)} questions, {len(pool)} answers\n\n| read-out | P@20% | rho |\n| --- | --- | --- |")
    for name, readout in (("mean", MEAN), ("mixed", MIXED), ("mixed, prior", PRIOR), ("who won", WON)):
        rows = []
        for ((calls, answers), _), (_, other) in (both, both[::-1]):
            truth = other.ravel()
            found = readout.read(
                Groups.one(len(pool)), len(pool), calls, answers, columns if readout.foretells else None
            )
            values = found.scores.values
            rows.append((precision(values, truth), spearmanr(values, truth).statistic))
            print(f"  {name}: {found.summary}")
        mean = np.mean(rows, axis=0)
        print(f"| {name} | {mean[0]:.3f} | {mean[1]:.3f} |")


def ordered(read: Sequence[Review], swapped: bool) -> tuple[tuple[Calls, CallScores], np.ndarray]:
    """The calls of one order, and the scores of A and B in it, (n_questions, 2)."""
    verdicts = [r.order_2 if swapped else r.order_1 for r in read]
    scores = np.array([[v.score_1, v.score_2] for v in verdicts], dtype=float)
    rows = np.arange(2 * len(read)).reshape(-1, 2)
    calls = Calls.of((rows[:, ::-1] if swapped else rows).tolist())
    return (calls, CallScores(scores)), scores[:, ::-1] if swapped else scores


def mt_bench(assets: Path) -> None:
    """GPT-4's verdicts on two models' answers in both orders, which name a winner alone."""
    rows = [row.value for row in read_rows(assets / "judgments/mt_bench_pair_vs_alpaca-52k.jsonl")]
    points = {"model_1": (1.0, 0.0), "model_2": (0.0, 1.0), "tie": (0.5, 0.5)}
    verdicts = [(r["g1_winner"], r["g2_winner"]) for r in rows]
    judged = [(points[one], points[two]) for one, two in verdicts if {one, two} <= points.keys()]
    pairs = np.arange(2 * len(judged)).reshape(-1, 2)
    calls = Calls.of(
        [*pairs.tolist(), *pairs[:, ::-1].tolist()]
    )  # model_2 is shown first in the second order
    scores = np.array([*(first for first, _ in judged), *(second[::-1] for _, second in judged)])
    fitted = fit_bradley_terry(calls, CallScores(scores))
    same = np.mean([first == second for first, second in judged])
    first = -fitted.places[1]
    print(
        f"\n{len(judged)} pairs of MT-Bench: both orders agree on {same:.3f}; first place {first:.2f} logits"
    )
