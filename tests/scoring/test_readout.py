"""Read-outs against hand-worked numbers, dense algebra, and judges whose noise is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tacos.scoring.calls import ACROSS, Calls, CallScores, Given, given
from tacos.scoring.designs import Design
from tacos.scoring.readout.bradley_terry import consistency, fit_bradley_terry, outcomes
from tacos.scoring.readout.calibration import calibration
from tacos.scoring.readout.mixed import FREE, Fitted, Variances, fit_mixed, moments
from tacos.scoring.readout.prior import foretold
from tacos.scoring.readout.readout import Readout
from tacos.scoring.readout.uncertainty import sample_variance
from tacos.selection import Groups, Scores

NO_HOMES = np.full(10_000, -1)


def judged(
    calls: Calls,
    quality: np.ndarray,
    seed: int = 0,
    drift: float = 0.6,
    noise: float = 0.9,
    place: float = 0.3,
) -> CallScores:
    """What a judge of known noise says; the first place is worth `place` more."""
    rng = np.random.default_rng(seed)
    scores = (
        quality[calls.rows] + rng.normal(0, drift, (len(calls), 1)) + rng.normal(0, noise, calls.rows.shape)
    )
    scores[:, 0] += place
    return CallScores(np.where(calls.present, scores, np.nan))


def groups_of(labels: np.ndarray) -> Groups:
    numbers = np.unique(labels)
    return Groups(tuple(map(str, numbers)), tuple(np.flatnonzero(labels == g) for g in numbers))


def dense(found: Given, v: Variances) -> tuple[np.ndarray, np.ndarray]:
    """Best linear unbiased predictions and standard errors by whole matrices, given the fixed effects."""
    rows, row = np.unique(found.row, return_inverse=True)
    _, call = np.unique(found.call, return_inverse=True)
    z, u = np.eye(len(rows))[row], np.eye(call.max() + 1)[call]
    fixed = np.stack([np.ones(len(row)), found.place - found.place.mean()], axis=1)
    whole = np.linalg.inv(v.sample * z @ z.T + v.drift * u @ u.T + v.noise * np.eye(len(row)))
    ridge = np.diag([FREE / v.noise, 1 / v.total])
    beta = np.linalg.solve(fixed.T @ whole @ fixed + ridge, fixed.T @ whole @ found.value)
    q = beta[0] + v.sample * z.T @ whole @ (found.value - fixed @ beta)
    left = v.sample - v.sample**2 * np.einsum("ij,ik,kj->j", z, whole, z)
    return q, np.sqrt(left)


@pytest.mark.parametrize("drift", [0.0, 40.0])
@pytest.mark.parametrize("rounds", [1, 3])
def test_the_mixed_model_is_that_of_whole_matrices(rounds: int, drift: float) -> None:
    quality = np.random.default_rng(1).normal(50, 10, 60)
    calls = Design(rounds=rounds).plan(Groups.one(60), 0)
    found = given(calls, judged(calls, quality, drift=6, noise=9, place=3))
    known = Variances(100.0, drift, 80.0, told_apart=True)
    fitted = fit_mixed(found, NO_HOMES, variances=known)
    expected, left = dense(found, known)
    assert fitted.quality == pytest.approx(expected, abs=1e-3)
    tolerance = 1e-6 if rounds == 1 else 0.02  # calls of one round hold no loop
    assert fitted.std_error == pytest.approx(left, rel=tolerance)


def test_scores_by_hand() -> None:
    """Two calls of two, as in the module: level 50, halved where the drift is 0."""
    calls = Calls.of([[0, 1], [2, 3]])
    found = given(calls, CallScores(np.array([[70.0, 60.0], [30.0, 40.0]])))
    fitted = fit_mixed(found, NO_HOMES, variances=Variances(100.0, 0.0, 100.0, told_apart=True))
    assert fitted.places.tolist() == pytest.approx([0, 0], abs=1e-3)
    assert fitted.quality == pytest.approx([60, 55, 40, 45], abs=0.01)
    assert fitted.std_error == pytest.approx(np.sqrt([50.0] * 4))
    drifted = fit_mixed(found, NO_HOMES, variances=Variances(100.0, 1e4, 100.0, told_apart=True))
    assert drifted.quality == pytest.approx(
        [52.5, 47.5, 47.5, 52.5], abs=0.2
    )  # the calls differ by their drift
    assert drifted.std_error == pytest.approx(np.sqrt([75.0] * 4), rel=0.01)


def test_what_is_left_unknown_by_hand() -> None:
    alone = sample_variance(np.array([0]), np.array([0]), 1.0, 1.0, 0.0)
    assert alone == pytest.approx([0.5])
    only_differences = sample_variance(np.array([0, 1]), np.array([0, 0]), 1.0, 1.0, np.inf)
    assert only_differences == pytest.approx([0.75, 0.75])


@pytest.mark.parametrize(("size", "rounds", "within"), [(200, 2, 0.01), (8, 3, 0.1)])
def test_the_variance_is_near_the_exact_one_where_calls_make_loops(
    size: int, rounds: int, within: float
) -> None:
    calls = Design(rounds=rounds).plan(Groups.one(size), 0)
    found = given(calls, judged(calls, np.zeros(size)))
    for drift in (0.36, 100.0):
        known = Variances(1.0, drift, 0.8, told_apart=True)
        exact = dense(found, known)[1] ** 2
        near = fit_mixed(found, NO_HOMES, variances=known).std_error ** 2
        assert near == pytest.approx(exact, rel=within) and (near <= exact * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    "design", [Design(rounds=2, bridges=0), Design(rounds=2, size=4), Design(rounds=3), Design(late=0.5)]
)
def test_variances_and_standard_errors_are_those_of_the_judge(design: Design) -> None:
    n = 6000
    quality = np.random.default_rng(2).normal(0, 1, n)
    labels = np.arange(n) % 6
    calls, answers = played(design, groups_of(labels), quality)
    fitted = fit_mixed(given(calls, answers), labels)
    v = fitted.variances
    assert v.told_apart
    assert fitted.places[0] - fitted.places[1] == pytest.approx(0.3, abs=0.1)
    assert [v.sample, v.drift, v.noise] == pytest.approx([1.0, 0.36, 0.81], abs=0.12)
    z = (fitted.quality - quality[fitted.rows]) / fitted.std_error
    assert z.std() == pytest.approx(1.0, abs=0.06)


def played(design: Design, groups: Groups, quality: np.ndarray, seed: int = 0) -> tuple[Calls, CallScores]:
    """A design played to its end, late calls and all."""
    calls = design.plan(groups, seed)
    answers = judged(calls, quality, seed)
    if design.late:
        first = Readout(prior=False).read(groups, len(quality), calls, answers).scores
        late = design.late_plan(groups, first, len(quality) // 5, seed)
        return Calls.join([calls, late]), answers.then(judged(late, quality, seed + 1))
    return calls, answers


def test_one_score_a_sample_leaves_the_noise_unknown_and_says_so() -> None:
    calls = Design().plan(Groups.one(1000), 0)
    found = given(calls, judged(calls, np.random.default_rng(0).normal(0, 1, 1000)))
    fitted = fit_mixed(found, NO_HOMES)
    assert not fitted.variances.told_apart
    assert fitted.variances.sample == pytest.approx(fitted.variances.noise)
    nothing = Given(*(column[:0] for column in vars(found).values()))
    with pytest.raises(Exception, match="no call gave a score"):
        fit_mixed(nothing, NO_HOMES)


def test_equal_scores_are_no_division_by_zero() -> None:
    calls = Design(rounds=2).plan(Groups.one(30), 0)
    fitted = fit_mixed(given(calls, CallScores(np.full(calls.rows.shape, 50.0))), NO_HOMES)
    assert fitted.quality == pytest.approx(np.full(30, 50.0)) and (fitted.std_error >= 0).all()


def test_moments_of_two_samples_by_hand() -> None:
    rest, row, call = np.array([3.0, 1.0, 2.0, -2.0]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    found = moments(rest, row, call, np.zeros(4, dtype=bool))
    assert found.drift == 0.0  # mean product inside calls: (3 x 1 + 2 x -2) / 2 = -0.5
    # (3 x 2 + 1 x -2) / 2 = 2 in 2 pairs, against the guess of half the mean square of 4.5, which weighs 200
    assert found.sample == pytest.approx((2 * 2 + 200 * 2.25) / 202)


def test_bridges_make_a_cut_over_groups_fair() -> None:
    """A judge who is 1.5 harsher inside every second group, and only there."""
    n, labels = 16_000, np.arange(16_000) % 8
    quality = np.random.default_rng(3).normal(0, 1, n) + 0.3 * (labels - 3.5)
    harsh = 1.5 * (labels % 2)

    def bias(design: Design) -> float:
        calls = design.plan(groups_of(labels), 0)
        answers = judged(calls, quality)
        inside = calls.group != ACROSS
        harshness = np.where(inside, harsh[calls.rows[:, 0]], 0.0)
        fitted = fit_mixed(given(calls, CallScores(answers.scores - harshness[:, None])), labels)
        gap = fitted.quality - quality[fitted.rows]
        at = labels[fitted.rows] % 2
        return float(gap[at == 0].mean() - gap[at == 1].mean())

    assert bias(Design(bridges=0)) > 0.4  # a harsh group's samples sink, less by what shrinks
    assert abs(bias(Design(bridges=0.2))) < 0.15


def kinder(calls: Calls, answers: CallScores, by: float) -> CallScores:
    """The same judge, so much kinder inside groups."""
    return CallScores(answers.scores + np.where(calls.group == ACROSS, 0.0, by)[:, None])


def test_late_calls_of_a_judge_who_is_kinder_inside_groups() -> None:
    n, labels, design = 6000, np.arange(6000) % 6, Design(late=0.5)
    quality, groups = np.random.default_rng(2).normal(0, 1, 6000), groups_of(np.arange(6000) % 6)
    calls, answers = played(design, groups, quality)
    fitted = fit_mixed(given(calls, kinder(calls, answers, 1.0)), labels)
    assert fitted.variances.sample == pytest.approx(1.0, abs=0.15)
    z = (fitted.quality - quality[fitted.rows]) / fitted.std_error
    assert z.std() == pytest.approx(1.0, abs=0.1) and n == len(quality)


@pytest.mark.parametrize("size", [4, 8, 20])
def test_drift_in_small_groups_is_no_level(size: int) -> None:
    n, labels = 6000, np.arange(6000) // size
    calls = Design().plan(groups_of(labels), 0)
    fitted = fit_mixed(given(calls, judged(calls, np.random.default_rng(5).normal(size=n))), labels)
    assert fitted.variances.drift == pytest.approx(0.36, abs=0.12)


def test_a_call_of_a_tiny_pool_is_not_all_place() -> None:
    found = given(Calls.of([[0, 1]]), CallScores(np.array([[90.0, 30.0]])))
    fitted = fit_mixed(found, NO_HOMES)
    assert fitted.quality[0] > fitted.quality[1] + 5 and (fitted.std_error > 5).all()


def test_errors_that_are_right_are_said_to_be_right_and_wrong_ones_wrong() -> None:
    labels = np.arange(6000) % 20
    calls = Design(rounds=3).plan(groups_of(labels), 0)
    quality = np.random.default_rng(4).normal(size=6000)
    scale = np.random.default_rng(5).normal(0, 1.0, 20)
    answers = judged(calls, quality, place=1.0)
    scaled = CallScores(answers.scores + np.where(calls.group == ACROSS, 0, scale[calls.group])[:, None])
    for said in (answers, scaled):
        found = calibration(given(calls, said), labels, None, 0)
        assert found is not None and found.z_sd == pytest.approx(1.0, abs=0.05)
        assert found.coverage["0.9"] == pytest.approx(0.9, abs=0.02)
    # A prior that foretells too much leaves too little to the scores.
    wrong = calibration(given(calls, answers), labels, 3 * np.random.default_rng(6).normal(size=6000), 0)
    assert wrong is not None and wrong.z_sd > 0.9
    few = Design(rounds=2, size=5).plan(groups_of(np.append(np.arange(600) // 2, [300] * 5)), 0)
    odd = judged(few, np.random.default_rng(1).normal(size=605))
    for seed in range(10):  # the half that is held out may lack the last places
        calibration(given(few, odd), np.full(605, -1), None, seed)


def test_what_a_group_has_in_common_is_no_drift() -> None:
    """Partners of one group are alike where groups differ, and a call must not be blamed for it."""
    n, labels = 8000, np.arange(8000) % 40
    common = np.random.default_rng(6).normal(0, 1, 40)
    quality = common[labels] + np.random.default_rng(7).normal(0, 1, n)
    calls = Design(rounds=2, bridges=0).plan(groups_of(labels), 0)
    found = given(calls, judged(calls, quality, drift=0.3))
    fitted = fit_mixed(found, labels)
    assert fitted.variances.drift == pytest.approx(0.09, abs=0.08)
    assert np.corrcoef(fitted.quality, quality[fitted.rows])[0, 1] > 0.85
    blind = fit_mixed(replace(found, group=np.zeros_like(found.group)), NO_HOMES)
    assert blind.variances.drift > 0.8
    assert np.corrcoef(blind.quality, quality[blind.rows])[0, 1] < 0.8


def test_a_prior_is_foretold_by_others_and_moves_with_the_score() -> None:
    rng = np.random.default_rng(4)
    columns = rng.normal(size=(3000, 30))
    quality = columns[:, 0] * np.sqrt(0.5) + rng.normal(0, np.sqrt(0.5), 3000)
    calls = Design().plan(Groups.one(3000), 0)
    found = given(calls, judged(calls, quality))
    prior = foretold(columns, found, np.zeros(len(found.row)), 0)
    assert prior is not None and np.corrcoef(prior, quality)[0, 1] ** 2 == pytest.approx(0.5, abs=0.06)
    top = set(np.argsort(-quality)[:600])

    def precision(fitted: Fitted) -> float:
        return len(top & set(fitted.rows[np.argsort(-fitted.quality)[:600]].tolist())) / 600

    without, informed = fit_mixed(found, NO_HOMES), fit_mixed(found, NO_HOMES, prior)
    assert precision(informed) > precision(without) + 0.05
    # A row's own score cannot reach its prior: of noise, many columns would otherwise learn each value by heart.
    drawn = Given(**{**vars(found), "value": rng.normal(size=len(found.row))})
    wide = rng.normal(size=(3000, 600))
    nothing = foretold(wide, drawn, np.zeros(len(drawn.row)), 0)
    assert nothing is not None and abs(np.corrcoef(nothing[drawn.row], drawn.value)[0, 1]) < 0.08
    few = found.where(found.row < 20)
    assert foretold(columns, few, np.zeros(len(few.row)), 0) is None
    assert foretold(np.ones((3000, 4)), found, np.zeros(len(found.row)), 0) is None


def test_a_prior_does_not_learn_the_scale_of_groups() -> None:
    """Embeddings tell the group; where a judge is harsher inside some, that is in no prior."""
    n, labels = 6000, np.arange(6000) % 12
    rng = np.random.default_rng(8)
    columns = np.hstack([np.eye(12)[labels] + 0.1 * rng.normal(size=(n, 12)), rng.normal(size=(n, 5))])
    quality = np.sqrt(0.5) * columns[:, 12] + rng.normal(0, np.sqrt(0.5), n)
    groups, calls = groups_of(labels), Design(rounds=2).plan(groups_of(labels), 0)
    answers = judged(calls, quality)
    scale = rng.normal(0, 1.5, 12)
    answers = CallScores(answers.scores + np.where(calls.group == ACROSS, 0, scale[calls.group])[:, None])
    scores = Readout().read(groups, n, calls, answers, columns).scores
    level = np.array([np.mean((scores.values - quality)[members]) for members in groups.members])
    assert abs(np.corrcoef(level, scale)[0, 1]) < 0.6 and level.std() < 0.25 * scale.std()


def test_who_won_by_hand() -> None:
    """a beats b once from each place, variance 1: the wins pull with 2 (1 - sigmoid(gap)), each ability holds by 1."""
    fitted = fit_bradley_terry(
        Calls.of([[0, 1], [1, 0]]), CallScores(np.array([[9.0, 3.0], [1.0, 8.0]])), 1.0
    )
    gap = fitted.quality[0] - fitted.quality[1]
    assert fitted.places[1] == pytest.approx(0.0, abs=1e-6)  # once first, once second
    assert gap == pytest.approx(4 / (1 + np.exp(gap)), abs=1e-4) and gap / 2 == pytest.approx(0.52, abs=0.01)
    results = outcomes(Calls.of([[0, 1, 2]]), CallScores(np.array([[5.0, 5.0, 9.0]])))
    assert results.won.tolist() == [0.5, 0, 0] and results.weight == pytest.approx([2 / 3] * 3)


@pytest.mark.parametrize("place", [1.0, 3.0])
def test_who_won_sees_through_the_first_place(place: float) -> None:
    n, rng = 3000, np.random.default_rng(9)
    quality = rng.normal(0, 1.0, n)
    calls = Design(rounds=4).plan(Groups.one(n), 0)
    loud = quality[calls.rows] + rng.gumbel(size=calls.rows.shape)
    loud[:, 0] += place
    fitted = fit_bradley_terry(calls, CallScores(loud))
    assert fitted.places[1] == pytest.approx(-place, rel=0.25)
    assert np.sqrt(fitted.variances.sample) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("said", ["ties", "first", "coin"])
def test_who_won_of_a_judge_who_says_nothing(said: str) -> None:
    calls = Design(rounds=4).plan(Groups.one(2000), 0)
    scores = {
        "ties": np.full(calls.rows.shape, 5.0),
        "first": np.tile([9.0, 1.0], (len(calls), 1)),
        "coin": np.random.default_rng(0).random(calls.rows.shape),
    }[said]
    fitted = fit_bradley_terry(calls, CallScores(scores))
    assert np.abs(fitted.quality).max() < 0.5 and fitted.variances.sample < 0.2


@pytest.mark.parametrize("design", [Design(rounds=4), Design(rounds=3, size=4)])
def test_who_won_ranks_and_knows_how_well(design: Design) -> None:
    n, rng = 3000, np.random.default_rng(5)
    quality = rng.normal(0, 1.3, n)
    calls = design.plan(Groups.one(n), 0)
    loud = quality[calls.rows] + rng.gumbel(size=calls.rows.shape)  # the logistic's own noise
    fitted = fit_bradley_terry(calls, CallScores(np.where(calls.present, loud, np.nan)))
    assert np.sqrt(fitted.variances.sample) == pytest.approx(1.3, abs=0.15)
    z = (fitted.quality - quality[fitted.rows] + quality.mean()) / fitted.std_error
    assert z.std() == pytest.approx(1.0, abs=0.1)
    assert consistency(1.0) == pytest.approx(0.133, abs=0.001)


def test_a_sample_without_a_score_has_none_whatever_its_prior() -> None:
    calls = Design().plan(Groups.one(200), 0)
    answers = judged(calls, np.random.default_rng(0).normal(size=200))
    answers.scores[0] = np.nan
    unread = CallScores(answers.scores, {0: "unreadable"})
    read = Readout().read(Groups.one(200), 201, calls, unread, np.random.default_rng(1).normal(size=(201, 5)))
    missing = [*calls.shown(0), 200]
    assert np.isnan(read.scores.values[missing]).all() and read.scores.scored == 198
    assert read.scores.errors[missing[0]] == "unreadable" and "in none" in read.scores.errors[200]
    assert read.scores.std_errors is not None and np.isnan(read.scores.std_errors[missing]).all()
    assert 0 <= float(str(read.summary["prior_r2"])) < 0.2


def test_means_carry_no_error() -> None:
    calls = Design(order="stored").plan(Groups.one(4), 0)
    answers = CallScores(np.array([[1.0, 2.0], [3.0, 4.0]]))
    scores: Scores = Readout(by="mean").read(Groups.one(4), 4, calls, answers).scores
    assert scores.values.tolist() == [1, 2, 3, 4] and scores.std_errors is None
