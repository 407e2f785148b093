"""Intervals and tests: hand-worked numbers, coverage, and agreement with scipy."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats as scipy_stats

from eval import stats
from eval.stats import (
    bootstrap_mean,
    clustered_difference,
    clustered_mean,
    crossed_difference,
    crossed_mean,
    holm,
    paired_difference,
)


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
    monkeypatch.setattr(stats, "CELLS", 500)
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


def test_paired_difference_beats_unpaired_noise():
    rng = np.random.default_rng(0)
    base = rng.normal(size=100)
    result = paired_difference(base * 5 + 0.3 + rng.normal(scale=0.1, size=100), base * 5)
    assert result.interval.low > 0.2 and result.interval.high < 0.4 and result.interval.n == 100
    assert result.p_value == pytest.approx(1 / 2001)


def test_p_value_of_no_difference():
    assert paired_difference([1, 2, 3], [1, 2, 3]).p_value == 1.0
    assert paired_difference([1, 0], [0, 1]).p_value == 1.0


def test_p_value_is_near_the_t_test():
    rng = np.random.default_rng(3)
    gap = rng.normal(0.2, 1, size=80)
    expected = scipy_stats.ttest_1samp(gap, 0).pvalue
    assert paired_difference(gap, np.zeros(80), resamples=20_000).p_value == pytest.approx(
        expected, abs=0.015
    )


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(0)
    p = [paired_difference(rng.normal(size=40), np.zeros(40), t, 400).p_value for t in range(300)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_unequal_shapes_do_not_pair():
    with pytest.raises(ValueError, match="cannot pair"):
        paired_difference([1, 2], [1, 2, 3])


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
    means = stats._means(seeds[:, None] + items[None, :], seed=0, resamples=40_000)
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
