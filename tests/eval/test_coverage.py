"""Simulated against known truth: what every interval covers (95% wanted) and how often a verdict is wrong (5%).

Bounds are what a wrong formula fails: a percentile bootstrap of 20 answers near 1 covers .33, one over three seeds .52
to .75, questions drawn without their clusters .62. Each is seeded; the standard error of a share of 1,000 trials is
.007. What stays short of 95% is bounded where it is: ten skewed ratings (.89), and two seeds that differ much (.89),
from which no report claims anything of a method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pytest

from eval.alpaca_eval.length_control import Rows, controlled_values, fit
from eval.interval import Interval
from eval.rates import rate
from eval.ratings.bradley_terry import Game, bradley_terry
from eval.stats import (
    against,
    clustered_difference,
    clustered_mean,
    compare_arms,
    crossed_difference,
    crossed_mean,
    holm,
    mean_interval,
)

TRIALS = 1000
Draw = Callable[[np.random.Generator], Interval]


def covered(draw: Draw, truth: float, trials: int = TRIALS) -> float:
    rng = np.random.default_rng(7)
    found = (draw(rng) for _ in range(trials))
    return float(np.mean([one.low - 1e-9 <= truth <= one.high + 1e-9 for one in found]))


def claimed(draw: Draw, null: float = 0.0, trials: int = TRIALS) -> float:
    """How often an interval excludes the null value, which is true."""
    return 1 - covered(draw, null, trials)


@pytest.mark.parametrize("n", [20, 80, 400])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.98])
def test_shares(n: int, share: float) -> None:
    assert (
        covered(lambda rng: mean_interval((rng.random(n) < share).astype(float), (0.0, 1.0)), share) >= 0.92
    )


@pytest.mark.parametrize("n", [20, 80])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("same", [0.0, 0.5, 1.0])
def test_rates_of_two_decisions_a_question(n: int, share: float, same: float) -> None:
    """same: how many questions get one answer twice."""

    def draw(rng: np.random.Generator) -> Interval:
        hits = rng.random((n, 2)) < share
        hits[:, 1] = np.where(rng.random(n) < same, hits[:, 0], hits[:, 1])
        found = rate((i, bool(hit)) for i, row in enumerate(hits) for hit in row)
        assert found is not None
        return found

    assert covered(draw, share) >= 0.91


@pytest.mark.parametrize("n", [10, 20, 80, 400])
def test_ratings(n: int) -> None:
    """Integers from 1 to 10, skewed as judges rate."""
    levels, weights = np.arange(1, 11), np.array([1, 1, 1, 1, 2, 3, 5, 10, 12, 4]) / 40
    truth = float((levels * weights).sum())
    share = covered(lambda rng: mean_interval(rng.choice(levels, n, p=weights), (1, 10)), truth)
    assert (0.88 if n < 20 else 0.91) <= share <= 0.98


@pytest.mark.parametrize(("n", "ties"), [(3, 0.2), (5, 0.5), (10, 0.5), (30, 0.9), (80, 0.3), (400, 0.6)])
def test_wins_and_losses_of_equal_models(n: int, ties: float) -> None:
    sides = np.array([0.0, 1.0, 2.0])
    odds = [(1 - ties) / 2, ties, (1 - ties) / 2]
    wrong = claimed(lambda rng: against([rng.choice(sides, n, p=odds)], 1.0, scale=(0, 2)).interval, 1.0)
    assert wrong <= (0.0 if n < 6 else 0.065)


def crossed(rng: np.random.Generator, seeds: int, items: int, seed_sd: float) -> np.ndarray:
    """Answers of 0 and 1 to questions of unlike difficulty, of trainings of unlike luck; their mean is 0 over all."""
    luck, hard = rng.normal(0, seed_sd, (seeds, 1)), rng.normal(0, 1, (1, items))
    return np.asarray(luck + hard + rng.normal(0, 1, (seeds, items)))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 0.1, 0.5])
def test_seeds_and_questions_together(seeds: int, seed_sd: float) -> None:
    """Level held with and without an effect of seeds; without one the interval is wider than it need be."""
    share = covered(lambda rng: crossed_mean(crossed(rng, seeds, 100, seed_sd)), 0.0)
    assert (0.87 if seeds == 2 else 0.915) <= share <= 0.995


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 0.3])
def test_equal_arms_over_seeds(seeds: int, seed_sd: float) -> None:
    def gap(rng: np.random.Generator) -> Interval:
        hard = rng.normal(0, 1, (1, 100))
        one, two = (hard + rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, 1, (seeds, 100)) for _ in "ab")
        return crossed_difference(one, two).interval

    assert claimed(gap) <= 0.085


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_measure_of_whole_runs(seeds: int) -> None:
    share = covered(lambda rng: mean_interval(rng.normal(2.3, 0.05, seeds)), 2.3)
    assert 0.93 <= share <= 0.97


def test_clusters_of_questions() -> None:
    """15 judgments of each of 20 instructions that share most of what varies."""

    def draw(rng: np.random.Generator, clusters: list[str] | None) -> Interval:
        values = np.repeat(rng.normal(0, 1, 20), 15) + rng.normal(0, 0.5, 300)
        return crossed_mean([values], clusters)

    named = [str(i // 15) for i in range(300)]
    assert 0.92 <= covered(lambda rng: draw(rng, named), 0.0) <= 0.98
    assert covered(lambda rng: draw(rng, None), 0.0) < 0.7  # what it would cover without


def test_rows_that_seeds_share() -> None:
    """Three selections of 100 of the same 200 rows: the truth is the rate that rows were drawn from."""

    def draw(rng: np.random.Generator) -> Interval:
        bad = rng.random(200) < 0.3
        return clustered_mean(
            [{str(i): float(bad[i]) for i in rng.permutation(200)[:100]} for _ in range(3)], (0.0, 1.0)
        )

    assert 0.92 <= covered(draw, 0.3, 400) <= 0.98


def test_two_selections_of_one_pool() -> None:
    def draw(rng: np.random.Generator) -> Interval:
        bad = rng.random(300) < 0.3
        sides = [{str(i): float(bad[i]) for i in rng.permutation(300)[:120]} for _ in range(2)]
        return clustered_difference([sides[0]], [sides[1]]).interval

    assert claimed(draw, 0.0, 400) <= 0.075


def rated(rng: np.random.Generator, strength: dict[str, float], questions: int) -> list[Game]:
    """Two games a question for each pair, which mostly end alike; a fifth are ties."""
    found: list[Game] = []
    for question in range(questions):
        for one, two in combinations(strength, 2):
            lucky = rng.random() < 1 / (1 + np.exp(strength[two] - strength[one]))
            for _ in range(2):
                won = (
                    lucky
                    if rng.random() < 0.7
                    else rng.random() < 1 / (1 + np.exp(strength[two] - strength[one]))
                )
                found.append(
                    Game(question_id=str(question), model_1=one, model_2=two, result="win" if won else "lose")
                )
    return found


@pytest.mark.parametrize("questions", [10, 40, 80])
@pytest.mark.parametrize("gap", [0.0, 1.0, 3.0])
def test_bradley_terry_ratings(questions: int, gap: float) -> None:
    """Level of intervals, and of the verdicts of four equal models."""
    strength = {"a": 0.0, "b": gap, "c": 0.5 * gap, "d": 0.2 * gap}
    rng, hits, wrong = np.random.default_rng(2), [], 0
    trials = 200
    for _ in range(trials):
        found = bradley_terry(rated(rng, strength, questions), "a")
        hits += [r.rating.low <= strength[r.model] <= r.rating.high for r in found.ratings if r.model != "a"]
        wrong += any(c.p_holm <= 0.05 for c in found.contrasts)
    assert np.mean(hits) >= 0.915
    assert gap or wrong / trials <= 0.08


def family(rng: np.random.Generator) -> Iterator[float]:
    """The corrected p-values of ten equal arms against a baseline."""
    base = rng.random(200) < 0.4
    arms = {f"arm{a}": {str(i): float(v) for i, v in enumerate(rng.random(200) < 0.4)} for a in range(10)}
    found = compare_arms({"base": {str(i): float(v) for i, v in enumerate(base)}, **arms}, "base")
    yield from (one.p_holm for one in found.values())


def test_ten_equal_arms_make_no_winner() -> None:
    rng = np.random.default_rng(3)
    assert np.mean([min(family(rng)) <= 0.05 for _ in range(200)]) <= 0.09


def test_holm_holds_the_family() -> None:
    rng = np.random.default_rng(5)
    wrong = [min(holm(rng.random(20).tolist())) <= 0.05 for _ in range(TRIALS)]
    assert 0.03 <= np.mean(wrong) <= 0.07


def test_the_length_controlled_win_rate_holds_the_error_of_its_fit() -> None:
    """Judgments drawn from a known model; the published error, of predictions alone, covers about half."""
    rng = np.random.default_rng(11)
    strength = np.array([1.0, 0.8, -0.6])

    def rows(n: int, own: float, weight: float) -> Rows:
        features = np.column_stack([np.tanh(rng.normal(0, 1, n)), rng.normal(0, 1, n), np.full(n, own)])
        chance = 1 / (1 + np.exp(-features @ strength))
        return Rows(features, (rng.random(n) < chance).astype(float), np.full(n, weight))

    truth = float(np.mean(1 / (1 + np.exp(-(0.8 * rng.normal(0, 1, 400_000) - 0.6)))))
    gamed, hits = rows(400, 0.0, 0.1), {"ours": 0, "published": 0}
    for _ in range(300):
        own = rows(300, 1.0, 1.0)
        joined = Rows(*(np.concatenate([a, b]) for a, b in zip(_parts(gamed), _parts(own), strict=True)))
        fitted = fit(joined, 1e4)
        values = controlled_values(fitted, own, gamed, own.features[:, 1])
        predicted = fitted.predict(own.features[:, 1])
        for name, spread in (("ours", values), ("published", predicted)):
            error = 1.96 * spread.std(ddof=1) / len(spread) ** 0.5
            hits[name] += abs(predicted.mean() - truth) <= error
    assert 0.91 <= hits["ours"] / 300 <= 0.985 and hits["published"] / 300 < 0.8


def _parts(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rows.features, rows.y, rows.weight
