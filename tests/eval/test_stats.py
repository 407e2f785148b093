"""Intervals and tests: hand-worked numbers, coverage, and agreement with scipy."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats as scipy_stats

from eval import resampling, stats
from eval.ratings.bradley_terry import Game, Ratings, bradley_terry
from eval.stats import (
    bootstrap_mean,
    clustered_difference,
    clustered_mean,
    compare_arms,
    crossed_difference,
    crossed_mean,
    holm,
)
from tacos.errors import TacosError


def test_two_values_by_hand():
    """Resamples of (0, 1) average 0, 1/2, 1 with chances 1/4, 1/2, 1/4, so the interval is all of it."""
    interval = bootstrap_mean([0, 1])
    assert (interval.mean, interval.low, interval.high, interval.n) == (0.5, 0.0, 1.0, 2)


def test_constant_values_have_no_width():
    interval = bootstrap_mean([0.25] * 7)
    assert (interval.mean, interval.low, interval.high) == (0.25, 0.25, 0.25)
    assert bootstrap_mean([3]).high == 3


def test_bernoulli_against_the_binomial():
    """80 coin values, 32 heads: resampled sums are Binomial(80, 0.4)."""
    interval = bootstrap_mean([1] * 32 + [0] * 48, resamples=20_000)
    low, high = scipy_stats.binom.ppf([0.025, 0.975], 80, 0.4) / 80
    assert interval.low == pytest.approx(low, abs=1.01 / 80)
    assert interval.high == pytest.approx(high, abs=1.01 / 80)


def test_seeds_and_chunks(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)
    whole = bootstrap_mean(values)
    monkeypatch.setattr(resampling, "CELLS", 500)
    assert bootstrap_mean(values) == whole


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0]]])
def test_missing_values_are_refused(values):
    with pytest.raises(ValueError, match=r"expected|missing"):
        bootstrap_mean(values)


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        interval = bootstrap_mean(rng.exponential(size=60), seed=trial, resamples=500)
        hits += interval.low <= 1 <= interval.high
    assert 0.88 < hits / 300 < 0.97  # skewed values: a percentile interval runs a little short of 0.95


def one_seed(a, b, seed=0, resamples=2000):
    """Paired by question alone."""
    return crossed_difference([a], [b], seed, resamples)


def test_a_paired_difference_beats_unpaired_noise():
    rng = np.random.default_rng(0)
    base = rng.normal(size=100)
    result = one_seed(base * 5 + 0.3 + rng.normal(scale=0.1, size=100), base * 5)
    assert result.interval.low > 0.2 and result.interval.high < 0.4 and result.interval.n == 100
    assert result.p_value == pytest.approx(1 / 2001)


def test_p_value_of_no_difference():
    assert one_seed([1, 2, 3], [1, 2, 3]).p_value == 1.0
    assert one_seed([1, 0], [0, 1]).p_value == 1.0


def test_p_value_is_near_the_t_test():
    rng = np.random.default_rng(3)
    gap = rng.normal(0.2, 1, size=80)
    expected = scipy_stats.ttest_1samp(gap, 0).pvalue
    assert one_seed(gap, np.zeros(80), resamples=20_000).p_value == pytest.approx(expected, abs=0.015)


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(0)
    p = [one_seed(rng.normal(size=40), np.zeros(40), t, 400).p_value for t in range(300)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_unequal_shapes_do_not_pair():
    with pytest.raises(ValueError, match="cannot pair"):
        one_seed([1, 2], [1, 2, 3])


def test_one_seed_is_the_bootstrap_over_items():
    values = np.random.default_rng(0).normal(size=40)
    assert crossed_mean([values]) == bootstrap_mean(values)


def test_seeds_widen_the_interval():
    """Seed means -1, 0, 1 and no noise: resampled seeds alone carry the width, sd sqrt(2/3 / 3)."""
    matrix = np.repeat([[-1.0], [0.0], [1.0]], 500, axis=1)
    interval = crossed_mean(matrix)
    assert interval.n == 500 and interval.mean == 0
    assert -1 <= interval.low < -0.6 and 0.6 < interval.high <= 1


def test_crossed_spread_by_hand():
    """y = seed + item effects: resampled variance var(seeds)/S + var(items)/I, variances with ddof 0."""
    seeds, items = np.array([0.0, 1.0, 5.0]), np.random.default_rng(0).normal(size=30)
    means = resampling.resampled_means(seeds[:, None] + items[None, :], seed=0, resamples=40_000)
    assert means.var() == pytest.approx(seeds.var() / 3 + items.var() / 30, rel=0.05)


def test_crossed_difference_pairs_by_cell():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 50)) * 4
    result = crossed_difference(base + 0.5, base)
    assert (result.interval.low, result.interval.high) == pytest.approx((0.5, 0.5))
    assert result.p_value < 0.001


def test_clustered_mean_by_hand():
    """x stands in both seeds with 1, y in one with 0: resamples xx, xy, yx, yy give 1, 2/3, 2/3, 0."""
    interval = clustered_mean([{"x": 1, "y": 0}, {"x": 1}])
    assert interval.mean == pytest.approx(2 / 3)
    assert (interval.low, interval.high, interval.n) == (0.0, 1.0, 2)
    sums = stats._cluster_sums(np.array([[2.0, 2.0], [0.0, 1.0]]), seed=0, resamples=20_000)
    found, counts = np.unique(stats._ratio(sums), return_counts=True)
    assert found == pytest.approx([0, 2 / 3, 1])
    assert counts / 20_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def width(interval):
    return interval.high - interval.low


def test_the_same_rows_in_every_seed_count_once():
    """An arm that selects alike for all seeds knows no more of its defects than with one seed."""
    rows = {f"r{i}": float(i % 4 == 0) for i in range(200)}
    once, thrice = clustered_mean([rows]), clustered_mean([rows] * 3)
    assert once == thrice and once.n == 200
    assert width(once) == pytest.approx(width(bootstrap_mean(list(rows.values()))), rel=0.1)
    assert width(thrice) > 1.5 * width(bootstrap_mean([*rows.values()] * 3))


def test_distinct_rows_of_every_seed_are_independent():
    seeds = [{f"{s}-{i}": float(i % 3 == 0) for i in range(90)} for s in range(3)]
    expected = bootstrap_mean([v for rows in seeds for v in rows.values()])
    assert width(clustered_mean(seeds)) == pytest.approx(width(expected), rel=0.1)


def test_clustered_difference_pairs_what_is_shared():
    shared = {f"r{i}": float(i % 2) for i in range(100)}
    more = shared | {f"n{i}": 1.0 for i in range(20)}
    same = clustered_difference([shared, shared], [shared])
    assert (same.mean, same.low, same.high, same.n) == (0, 0, 0, 100)
    gain = clustered_difference([more], [shared])
    assert gain.mean == pytest.approx(70 / 120 - 0.5) and gain.n == 120
    apart = clustered_difference([more], [{f"o{k}": v for k, v in shared.items()}])
    assert gain.low > 0 and width(gain) < 0.5 * width(apart)


def test_clustered_difference_of_two_rows_by_hand():
    """A holds x = 1, B holds y = 0: xy and yx give 1; xx and yy have one side only and are left out."""
    gap = clustered_difference([{"x": 1}], [{"y": 0}])
    assert (gap.mean, gap.low, gap.high, gap.n) == (1, 1, 1, 2)


def test_clusters_of_nothing_are_refused():
    for call in (lambda: clustered_mean([]), lambda: clustered_difference([{"x": 1}], [{}])):
        with pytest.raises(ValueError, match="at least one"):
            call()
    with pytest.raises(ValueError, match="missing"):
        clustered_mean([{"x": float("nan")}])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_large_inputs_stay_quick():
    started = time.perf_counter()
    crossed_mean(np.random.default_rng(0).normal(size=(3, 1000)))
    rows = {str(i): float(i % 7 == 0) for i in range(100_000)}
    clustered_difference([rows] * 3, [rows])
    assert time.perf_counter() - started < 2


def test_arms_against_a_baseline_by_hand():
    """Equal to single paired tests, with Holm over the two arms; question order decides nothing."""
    rng = np.random.default_rng(0)
    base = {f"q{i}": float(v) for i, v in enumerate(rng.normal(size=60))}
    better = {q: v + 1 + float(rng.normal(scale=0.1)) for q, v in reversed(base.items())}
    alike = {q: v + float(rng.normal(scale=0.5)) for q, v in base.items()}
    found = compare_arms({"better": better, "base": base, "alike": alike}, "base")
    assert list(found) == ["better", "alike"]
    order = sorted(base)
    single = [one_seed([arm[q] for q in order], [base[q] for q in order]) for arm in (better, alike)]
    assert [c.difference for c in found.values()] == [s.interval for s in single]
    assert [c.p_holm for c in found.values()] == holm([s.p_value for s in single])
    assert found["better"].p_holm == pytest.approx(2 / 2001) and found["alike"].p_value > 0.05
    assert found["better"].unpaired == 0


def test_arms_pair_only_what_both_have():
    found = compare_arms({"a": {"x": 1, "y": 3, "only": 9}, "b": {"y": 1, "x": 0, "else": 7, "z": 1}}, "b")
    assert (found["a"].difference.mean, found["a"].difference.n, found["a"].unpaired) == (1.5, 2, 3)


def test_arms_over_several_seeds_are_crossed():
    a, b = {"x": [1, 2], "y": [3, 5]}, {"x": [0, 0], "y": [1, 1]}
    found = compare_arms({"a": a, "b": b}, "b")["a"]
    assert found.difference == crossed_difference([[1, 3], [2, 5]], [[0, 1], [0, 1]]).interval
    assert found.difference.mean == 2.25


@pytest.mark.parametrize(
    ("arms", "complaint"),
    [
        ({"a": {"x": 1}}, "no baseline"),
        ({"a": {"x": 1}, "b": {"y": 1}}, "shares no question"),
        ({"a": {"x": [1, 2]}, "b": {"x": [1]}}, "cannot pair"),
        ({"a": {"x": float("nan")}, "b": {"x": 1}}, "missing"),
    ],
)
def test_arms_that_cannot_be_compared(arms, complaint):
    with pytest.raises(ValueError, match=complaint):
        compare_arms(arms, "b")


def test_a_baseline_alone_compares_nothing():
    assert compare_arms({"b": {"x": 1}}, "b") == {}


def games(model_1: str, model_2: str, results: str) -> list[Game]:
    names = {"w": "win", "t": "tie", "l": "lose"}
    return [
        Game(question_id=str(i), model_1=model_1, model_2=model_2, result=names[r])
        for i, r in enumerate(results)
    ]


def rating(ratings: Ratings, model: str) -> float:
    return next(r.rating.mean for r in ratings.ratings if r.model == model)


def test_two_models_differ_by_the_logit_of_the_win_rate():
    """6 won, 2 tied, 2 lost: 7 of 10, ln(7/3)."""
    found = bradley_terry(games("A", "B", "wwwwwwttll"), anchor="B", ridge=0, resamples=50)
    assert rating(found, "A") == pytest.approx(np.log(7 / 3), abs=1e-6) and rating(found, "B") == 0
    assert found.ratings[0].model == "A" and found.ratings[0].elo == pytest.approx(
        1000 + 400 * np.log10(7 / 3)
    )
    assert (found.questions, found.games, found.unbounded) == (10, 10, [])
    turned = bradley_terry(games("B", "A", "llllllttww"), anchor="B", ridge=0, resamples=50)
    assert rating(turned, "A") == pytest.approx(np.log(7 / 3), abs=1e-6)
    ridged = bradley_terry(games("A", "B", "wwwwwwttll"), anchor="B", resamples=50)
    assert rating(ridged, "A") == pytest.approx(np.log(7 / 3), rel=0.003)


def test_a_chain_of_three_adds_up():
    """A beats B 3 : 1 and B beats C 3 : 1, so A stands 2 ln 3 above C though they never met."""
    found = bradley_terry(
        games("A", "B", "wwwl") + games("B", "C", "wwwl"), anchor="C", ridge=0, resamples=20
    )
    assert [r.model for r in found.ratings] == ["A", "B", "C"]
    assert rating(found, "A") == pytest.approx(2 * np.log(3), abs=1e-5)
    assert rating(found, "B") == pytest.approx(np.log(3), abs=1e-5)


def test_ties_alone_rate_equal():
    assert rating(bradley_terry(games("A", "B", "tttt"), resamples=5), "B") == pytest.approx(0)


def test_bradley_terry_finds_the_truth_within_its_intervals():
    rng = np.random.default_rng(3)
    truth = {"a": 0.0, "b": 0.5, "c": 1.0, "d": -0.7}
    played = []
    for first in truth:
        for second in (m for m in truth if m > first):
            chance = 1 / (1 + np.exp(truth[second] - truth[first]))
            played += games(first, second, "".join(rng.choice(["w", "l"], size=300, p=[chance, 1 - chance])))
    found = bradley_terry(played, anchor="a", resamples=300)
    for r in found.ratings:
        assert r.rating.low <= truth[r.model] <= r.rating.high
        assert r.rating.n == 300 and r.games == 900
    assert [r.model for r in found.ratings] == ["c", "b", "a", "d"]
    assert bradley_terry(played, anchor="a", resamples=300) == found


def test_a_model_that_never_loses_is_refused_or_marked():
    played = games("A", "B", "wwww") + games("B", "C", "wtll")
    with pytest.raises(TacosError, match=r"no finite rating for A"):
        bradley_terry(played, ridge=0)
    found = bradley_terry(played, anchor="B", resamples=20)
    assert found.unbounded == ["A"] and found.ratings[0].model == "A"
    assert np.isfinite(found.ratings[0].rating.high)


def test_models_that_never_met_are_refused():
    with pytest.raises(TacosError, match=r"2 groups of models never met.*A, B; C, D"):
        bradley_terry(games("A", "B", "wl") + games("C", "D", "wl"))


def test_resamples_that_join_no_scale_are_left_out_and_counted():
    found = bradley_terry(games("A", "B", "wl"), ridge=0, resamples=200)
    assert 60 < found.left_out < 140  # both questions alike: half of the resamples


@pytest.mark.parametrize(
    ("played", "anchor", "complaint"),
    [([], None, "no games"), (games("A", "A", "w"), None, "itself"), (games("A", "B", "w"), "b", "anchor")],
)
def test_games_that_rate_nobody(played, anchor, complaint):
    with pytest.raises(TacosError, match=complaint):
        bradley_terry(played, anchor=anchor)
