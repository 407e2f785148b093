"""Intervals and tests: hand-worked numbers, and agreement with scipy. What they cover: `test_coverage.py`."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats as scipy_stats
from scipy.stats import binomtest

from eval.ratings.bradley_terry import Game, Ratings, bradley_terry
from eval.spread import sign_flip, spread_over
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
from tacos.errors import TacosError


def test_one_seed_is_students_interval():
    values = np.random.default_rng(0).normal(2, 3, size=40)
    interval = mean_interval(values)
    low, high = scipy_stats.t.interval(0.95, 39, values.mean(), scipy_stats.sem(values))
    assert (interval.low, interval.high, interval.n) == (pytest.approx(low), pytest.approx(high), 40)
    assert crossed_mean([values]) == interval


def test_shares_have_wilsons_interval():
    for successes, n in ((32, 80), (20, 20), (0, 5), (1, 3)):
        interval = mean_interval([1] * successes + [0] * (n - successes), (0.0, 1.0))
        expected = binomtest(successes, n).proportion_ci(method="wilson")
        assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_ones_and_zeros_on_another_scale_are_no_shares():
    """Ten ratings of 1 on a scale of 1 to 10, ten win rates of 0%, and ten counts of one."""
    assert clustered_mean([{str(turn): 1.0 for turn in range(10)}]).low == 1.0
    rest = 1 - 0.025 ** (1 / 10)
    ratings, rates, counts = ([1.0] * 10, (1.0, 10.0)), ([0.0] * 10, (0.0, 100.0)), ([1.0] * 10, (None, None))
    assert [(i.low, i.high) for i in (mean_interval(*given) for given in (ratings, rates, counts))] == [
        (1.0, pytest.approx(1 + rest * 9)),
        (0.0, pytest.approx(rest * 100)),
        (1.0, 1.0),
    ]


def test_where_nothing_varied_the_other_end_of_the_scale_is_not_ruled_out():
    """Of 20 equal answers the share of their value is above .025 ** (1 / 20) = .832 (Clopper and Pearson)."""
    interval = crossed_mean([[1.0] * 20, [1.0] * 20], scale=(0.0, 1.0))
    assert (interval.low, interval.high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert interval.low == pytest.approx(binomtest(20, 20).proportion_ci(method="exact").low)
    ratings = mean_interval([7.0] * 20, scale=(1.0, 10.0))
    assert ratings.low == pytest.approx(7 - (1 - 0.025 ** (1 / 20)) * 6)
    assert mean_interval([0.25] * 7) == mean_interval([0.25] * 7, (None, None))
    assert (mean_interval([0.25] * 7).low, mean_interval([3.0]).high) == (0.25, 3)


def test_an_interval_stays_on_its_scale():
    interval = mean_interval([1.0, 1.0, 1.0, 0.5], scale=(0.0, 1.0))
    assert interval.high == 1.0 and interval.low > 0


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0]]])
def test_missing_values_are_refused(values):
    with pytest.raises(ValueError, match=r"expected|missing"):
        mean_interval(values)


def test_seeds_and_questions_add_up_by_hand():
    """Question means 2, 3, 4 and seed means 2, 4: V = 1 / 3 + 2 / 2, df = (16 / 9) / (1 / 18 + 1)."""
    matrix = [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]
    spread = spread_over(np.array(matrix), None)
    assert (spread.variance, spread.df) == (pytest.approx(4 / 3), pytest.approx((16 / 9) / (1 / 18 + 1)))
    half = scipy_stats.t.ppf(0.975, spread.df) * (4 / 3) ** 0.5
    interval = crossed_mean(matrix)
    assert (interval.mean, interval.low, interval.high) == (
        3,
        pytest.approx(3 - half),
        pytest.approx(3 + half),
    )


def test_a_cluster_counts_as_one_item():
    values = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    clusters = ["a", "a", "a", "b", "b", "b"]
    sums = np.array([3 - 2.0, 1 - 2.0]) / 6  # residuals from the mean 2 / 3
    variance = 2 * (sums**2).sum()
    assert spread_over(np.array([values]), clusters).variance == pytest.approx(variance)
    alone = crossed_mean([values], ["one"] * 6)
    assert alone == crossed_mean([values]) == crossed_mean([values], list("abcdef"))


def test_the_sign_flip_test_by_hand():
    assert sign_flip(np.array([1.0, 1.0, 1.0])) == 2 / 8
    assert sign_flip(np.ones(5)) == 2 / 32 and sign_flip(np.ones(6)) == 2 / 64
    assert sign_flip(np.array([3.0, -1.0])) == 1.0 and sign_flip(np.array([])) == 1.0
    values = np.random.default_rng(1).normal(0.4, 1, size=8)
    sums = [abs(np.dot(signs, values)) for signs in product((-1, 1), repeat=8)]
    assert sign_flip(values) == pytest.approx(np.mean([s >= abs(values.sum()) - 1e-12 for s in sums]))


def test_few_that_differ_support_no_claim():
    for n in (3, 5):
        found = against([[2.0] * n], 1.0, scale=(0.0, 2.0))
        assert found.p_value == 2 / 2**n and found.interval.low <= 1
    six = against([[2.0] * 6], 1.0, scale=(0.0, 2.0))
    assert six.p_value == 2 / 64 and six.interval.low > 0.07
    some = against([[2.0] * 5 + [1.0] * 95], 1.0, scale=(0.0, 2.0))
    assert some.p_value == 2 / 32 and some.interval.low == 1.0  # Student alone would claim it


def one_seed(a, b):
    """Paired by question alone."""
    return crossed_difference([a], [b])


def test_a_paired_difference_beats_unpaired_noise():
    rng = np.random.default_rng(0)
    base = rng.normal(size=100)
    result = one_seed(base * 5 + 0.3 + rng.normal(scale=0.1, size=100), base * 5)
    assert result.interval.low > 0.2 and result.interval.high < 0.4 and result.interval.n == 100
    assert result.p_value < 1e-20


def test_p_value_of_no_difference():
    assert one_seed([1, 2, 3], [1, 2, 3]).p_value == 1.0
    assert one_seed([1, 0], [0, 1]).p_value == 1.0


def test_p_value_is_that_of_the_t_test():
    gap = np.random.default_rng(3).normal(0.2, 1, size=80)
    assert one_seed(gap, np.zeros(80)).p_value == pytest.approx(scipy_stats.ttest_1samp(gap, 0).pvalue)


def test_unequal_shapes_do_not_pair():
    with pytest.raises(ValueError, match="cannot pair"):
        one_seed([1, 2], [1, 2, 3])


def test_crossed_difference_pairs_by_cell():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 50)) * 4
    result = crossed_difference(base + 0.5, base)
    assert (result.interval.low, result.interval.high) == pytest.approx((0.5, 0.5))
    assert result.p_value < 0.001


def test_clustered_mean_by_hand():
    """x stands in both seeds with 1, y in one with 0: mean 2 / 3, residuals 2 / 3 and -2 / 3 over 3 rows."""
    interval = clustered_mean([{"x": 1, "y": 0}, {"x": 1}])
    assert (interval.mean, interval.n) == (pytest.approx(2 / 3), 2)
    half = scipy_stats.t.ppf(0.975, 1) * (2 * 2 * (2 / 9) ** 2) ** 0.5
    assert interval.high == pytest.approx(2 / 3 + half)


def width(interval):
    return interval.high - interval.low


def test_the_same_rows_in_every_seed_count_once():
    """An arm that selects alike for all seeds knows no more of its defects than with one seed."""
    rows = {f"r{i}": float(i % 4 == 0) for i in range(200)}
    once, thrice = clustered_mean([rows], (0.0, 1.0)), clustered_mean([rows] * 3, (0.0, 1.0))
    assert once == thrice and once.n == 200
    assert once == mean_interval(list(rows.values()), (0.0, 1.0))
    assert width(thrice) > 1.5 * width(mean_interval([*rows.values()] * 3, (0.0, 1.0)))


def test_distinct_rows_of_every_seed_are_independent():
    seeds = [{f"{s}-{i}": float(i % 3 == 0) for i in range(90)} for s in range(3)]
    expected = mean_interval([v for rows in seeds for v in rows.values()], (0.0, 1.0))
    assert width(clustered_mean(seeds, (0.0, 1.0))) == pytest.approx(width(expected), rel=0.01)


def test_clustered_difference_pairs_what_is_shared():
    shared = {f"r{i}": float(i % 2) for i in range(100)}
    more = shared | {f"n{i}": 1.0 for i in range(20)}
    same = clustered_difference([shared, shared], [shared])
    assert (same.interval.mean, same.interval.low, same.interval.high, same.interval.n) == (0, 0, 0, 100)
    assert same.p_value == 1
    gain = clustered_difference([more], [shared]).interval
    assert gain.mean == pytest.approx(70 / 120 - 0.5) and gain.n == 120
    apart = clustered_difference([more], [{f"o{k}": v for k, v in shared.items()}]).interval
    assert gain.low > 0 and width(gain) < 0.5 * width(apart)


def test_rows_of_nothing_are_refused():
    for call in (lambda: clustered_mean([]), lambda: clustered_difference([{"x": 1}], [{}])):
        with pytest.raises(ValueError, match="at least one"):
            call()
    with pytest.raises(ValueError, match="missing"):
        clustered_mean([{"x": float("nan")}])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


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
    assert found["better"].p_holm < 1e-30 and found["alike"].p_value > 0.05
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
    found = bradley_terry(games("A", "B", "wwwwwwttll"), anchor="B", ridge=0)
    assert rating(found, "A") == pytest.approx(np.log(7 / 3), abs=1e-6) and rating(found, "B") == 0
    assert found.ratings[0].model == "A" and found.ratings[0].elo == pytest.approx(
        1000 + 400 * np.log10(7 / 3)
    )
    assert (found.questions, found.games, found.unbounded) == (10, 10, [])
    turned = bradley_terry(games("B", "A", "llllllttww"), anchor="B", ridge=0)
    assert rating(turned, "A") == pytest.approx(np.log(7 / 3), abs=1e-6)
    ridged = bradley_terry(games("A", "B", "wwwwwwttll"), anchor="B")
    assert rating(ridged, "A") == pytest.approx(np.log(7 / 3), rel=0.003)


def test_a_chain_of_three_adds_up():
    """A beats B 3 : 1 and B beats C 3 : 1, so A stands 2 ln 3 above C though they never met."""
    found = bradley_terry(games("A", "B", "wwwl") + games("B", "C", "wwwl"), anchor="C", ridge=0)
    assert [r.model for r in found.ratings] == ["A", "B", "C"]
    assert rating(found, "A") == pytest.approx(2 * np.log(3), abs=1e-5)
    assert rating(found, "B") == pytest.approx(np.log(3), abs=1e-5)


def test_ties_alone_rate_equal():
    assert rating(bradley_terry(games("A", "B", "tttt")), "B") == pytest.approx(0)


def test_bradley_terry_finds_the_truth_within_its_intervals():
    rng = np.random.default_rng(3)
    truth = {"a": 0.0, "b": 0.5, "c": 1.0, "d": -0.7}
    played = []
    for first in truth:
        for second in (m for m in truth if m > first):
            chance = 1 / (1 + np.exp(truth[second] - truth[first]))
            played += games(first, second, "".join(rng.choice(["w", "l"], size=300, p=[chance, 1 - chance])))
    found = bradley_terry(played, anchor="a")
    for r in found.ratings:
        assert r.rating.low <= truth[r.model] <= r.rating.high
        assert r.rating.n == 300 and r.games == 900
    assert [r.model for r in found.ratings] == ["c", "b", "a", "d"]
    assert bradley_terry(played, anchor="a") == found


def test_a_model_that_never_loses_is_refused_or_marked():
    played = games("A", "B", "wwww") + games("B", "C", "wtll")
    with pytest.raises(TacosError, match=r"no finite rating for A"):
        bradley_terry(played, ridge=0)
    found = bradley_terry(played, anchor="B")
    assert found.unbounded == ["A"] and found.ratings[0].model == "A"
    assert np.isfinite(found.ratings[0].rating.high)


def test_models_that_never_met_are_refused():
    with pytest.raises(TacosError, match=r"2 groups of models never met.*A, B; C, D"):
        bradley_terry(games("A", "B", "wl") + games("C", "D", "wl"))


def test_the_error_of_a_rating_by_hand():
    """7 of 10: the logit's variance is 1 / (n p (1 - p)), and its sum of squares over questions the same times
    sum (won - p)^2 / (n p (1 - p)) = (6 x .09 + 2 x .04 + 2 x .49) / 2.1 = 1.6 / 2.1, times n / (n - 1)."""
    (found,) = bradley_terry(games("A", "B", "wwwwwwttll"), anchor="B", ridge=0).contrasts
    error = (1.6 / 2.1 / 2.1 * 10 / 9) ** 0.5
    assert found.difference.high - found.difference.mean == pytest.approx(2.262157 * error, rel=1e-5)
    assert (found.first, found.second, found.p_holm) == ("A", "B", found.p_value)


def test_games_of_one_question_count_as_one_in_the_error():
    once = bradley_terry(games("A", "B", "wwwwwwttll")).contrasts[0]
    twice = bradley_terry(games("A", "B", "wwwwwwttll") * 2, ridge=0.02).contrasts[0]
    for end in ("mean", "low", "high"):
        assert getattr(twice.difference, end) == pytest.approx(getattr(once.difference, end), abs=1e-6)


def test_a_model_that_wins_every_game_has_a_wide_interval():
    """10 of 10 with half a game on each side: 10.5 to 0.5, variance 1 / 10.5 + 1 / 0.5."""
    (found,) = bradley_terry(games("A", "B", "w" * 10), anchor="B").contrasts
    half = 1.959964 * (1 / 10.5 + 1 / 0.5) ** 0.5
    assert found.difference.low == pytest.approx(np.log(21) - half, abs=1e-4) and found.p_value < 0.05
    assert bradley_terry(games("A", "B", "w" * 6), anchor="B").contrasts[0].p_value > 0.05


def test_ties_alone_leave_room():
    (found,) = bradley_terry(games("A", "B", "t" * 10), anchor="B").contrasts
    assert found.difference.low < -0.5 and found.difference.high > 0.5 and found.p_value == 1


def test_four_questions_claim_nothing():
    found = bradley_terry(games("A", "B", "wwwl") + games("B", "C", "wtwl"), anchor="C")
    assert all(c.p_value > 0.05 and c.difference.low <= 0 <= c.difference.high for c in found.contrasts)


@pytest.mark.parametrize(
    ("played", "anchor", "complaint"),
    [([], None, "no games"), (games("A", "A", "w"), None, "itself"), (games("A", "B", "w"), "b", "anchor")],
)
def test_games_that_rate_nobody(played, anchor, complaint):
    with pytest.raises(TacosError, match=complaint):
        bradley_terry(played, anchor=anchor)
