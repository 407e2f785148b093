"""Intervals and tests: hand-worked numbers, coverage, and agreement with scipy."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats as scipy_stats

from eval import stats
from eval.stats import bootstrap_mean, crossed_difference, crossed_mean, holm, paired_difference


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


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_large_inputs_stay_quick():
    started = time.perf_counter()
    crossed_mean(np.random.default_rng(0).normal(size=(3, 1000)))
    assert time.perf_counter() - started < 2
