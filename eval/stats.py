"""Intervals and tests in closed form: a 95% interval and the p-value of "no difference" come from one formula.

Means over questions, of one seed or several:

    V = var(question means) / I + var(seed means) / S,  t with Satterthwaite's df = V^2 / (sum of part^2 / (its df))

    two crossed samples, questions and seeds of training, each with its own variance (Satterthwaite 1946; Owen's
    "pigeonhole" variance, 2007). With one seed the second part is not known, so the interval is that of these models
    and not of a method. Worked example, seeds (1, 2, 3) and (3, 4, 5): question means 2, 3, 4 vary by 1, seed means 2
    and 4 by 2, so V = 1 / 3 + 2 / 2 = 4 / 3 and df = (16 / 9) / (1 / 9 / 2 + 1 / 1) = 1.68.

Questions of a group of tasks belong to subtasks: `clusters` are the items then, with the sums of their residuals (a
cluster-robust variance, Cameron & Miller 2015, with K / (K - 1) and K - 1 degrees of freedom).

Where that formula has no say:

    0 and 1, one seed       Wilson's interval (1927) on a scale from 0 to 1: right for few questions and near the ends
    nothing varied          Clopper and Pearson's (1934): of n equal values, the share of that value is above
                            0.025 ** (1 / n); the rest could lie at the other end of the scale
    at most 15 items        a difference is claimed only where the exact sign-flip test says so, too: 6 questions that
      that differ           all go one way are the fewest that can (p = 2 / 64)

Selections of different seeds share rows: a row is one item with the weight of its copies, and a mean over rows is a
ratio of sums, with the linearised variance of a ratio (Cochran 1977, chapter 6). Seeds A = {x: 1, y: 0} and B = {x: 1}:
x weighs 2, y weighs 1, so the mean is 2 / 3 over n = 2 rows. Such intervals are of the rows of these selections.

Many arms against one baseline are `compare_arms`: each arm paired with the baseline by question, its p-value corrected
for their number by Holm. Ratings over many models are in `eval.ratings.bradley_terry`. What each interval covers was
simulated: `tests/eval/test_coverage.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from eval.interval import Interval
from eval.spread import (
    ALPHA,
    EXACT,
    OPEN,
    SAME,
    Clusters,
    Scale,
    groups_of,
    interval_of,
    p_value_of,
    sign_flip,
    spread_of,
    spread_over,
    sums_of,
    wilson,
)
from tacos.errors import TacosError
from tacos.types import Record


class Difference(Record):
    """A mean, or a mean difference, with its interval, and the two-sided p-value of the null value."""

    interval: Interval
    p_value: float


class ArmComparison(Record):
    """One arm minus the baseline on the questions that both have."""

    difference: Interval
    p_value: float
    p_holm: float
    """Corrected for the number of arms compared."""
    unpaired: int
    """Questions that only one of the two has; they are in no figure."""


QuestionValues = Mapping[str, float | Sequence[float]]
"""Question id -> its value, or one value per seed."""
ClusterOf = Callable[[str], str]
"""Question id -> its cluster."""


def mean_interval(values: ArrayLike, scale: Scale = OPEN) -> Interval:
    """The mean of independent `values` (n,) and its interval. Raises: ValueError for none, or for a NaN."""
    return crossed_mean(_checked(values, 1)[None, :], scale=scale)


def crossed_mean(matrix: ArrayLike, clusters: Clusters = None, scale: Scale = OPEN) -> Interval:
    """The mean of `matrix` (seeds, items) with the interval of both; `n` is the number of items."""
    cells = _checked(matrix, 2)
    alone = len(cells) == 1 and groups_of(clusters, cells.shape[1]) is None
    if alone and _shares(cells, scale):
        return wilson(float(cells.sum()), cells.size)
    return interval_of(spread_over(cells, clusters), scale)


def crossed_difference(
    a: ArrayLike | Sequence[ArrayLike],
    b: ArrayLike | Sequence[ArrayLike],
    clusters: Clusters = None,
    scale: Scale = OPEN,
) -> Difference:
    """The mean of a - b, both (seeds, items), paired by seed and item. scale: of a difference."""
    first, second = _checked(a, 2), _checked(b, 2)
    if first.shape != second.shape:
        raise ValueError(f"cannot pair {first.shape} with {second.shape}: not the same seeds and items")
    return against(first - second, 0.0, clusters, scale)


def against(matrix: ArrayLike, null: float, clusters: Clusters = None, scale: Scale = OPEN) -> Difference:
    """The mean of `matrix` (seeds, items) with the p-value of its being `null`."""
    cells = _checked(matrix, 2)
    spread = spread_over(cells, clusters)
    interval, p_value = interval_of(spread, scale), p_value_of(spread, null)
    sums = sums_of(cells.mean(axis=0) - null, groups_of(clusters, cells.shape[1]))
    differ = sums[np.abs(sums) > SAME]
    if len(differ) <= EXACT:
        exact = sign_flip(differ)
        # with several seeds the sign test has no seeds in it: it may forbid a claim, and never makes one
        p_value = exact if len(cells) == 1 else max(exact, p_value)
    if p_value > ALPHA and not interval.low <= null <= interval.high:
        ends = {"low": min(interval.low, null), "high": max(interval.high, null)}
        interval = interval.model_copy(update=ends)
    return Difference(interval=interval, p_value=p_value)


def clustered_mean(values_by_seed: Sequence[Mapping[str, float]], scale: Scale = OPEN) -> Interval:
    """The mean of all values, distinct ids being the items: those that seeds share are one.

    values_by_seed: per seed, id -> value. `n` is the number of distinct ids.
    Raises: ValueError for none, or for a NaN.
    """
    table = _table(values_by_seed, _distinct(values_by_seed))
    if (table[:, 1] == table[0, 1]).all() and _shares(table[:, 0] / table[:, 1], scale):
        return wilson(float(table[:, 0].sum() / table[0, 1]), len(table))
    return interval_of(spread_of(_influence(table), _ratio(table)), scale)


def clustered_difference(
    a: Sequence[Mapping[str, float]], b: Sequence[Mapping[str, float]], scale: Scale = OPEN
) -> Difference:
    """The mean of `a` minus the mean of `b`, the distinct ids of both together being the items.

    An id that stands in both counts for both, so what they share cancels. `n` is the number of distinct ids in either.
    Raises: ValueError where one side is empty, or for a NaN.
    """
    ids = _distinct([*a, *b])
    tables = [_table(side, ids) for side in (a, b)]
    if not all(table[:, 1].any() for table in tables):
        raise ValueError("at least one value is needed on each side")
    gap = _ratio(tables[0]) - _ratio(tables[1])
    spread = spread_of(_influence(tables[0]) - _influence(tables[1]), gap)
    return Difference(interval=interval_of(spread, scale), p_value=p_value_of(spread, 0.0))


def compare_arms(
    arms: Mapping[str, QuestionValues],
    baseline: str,
    cluster: ClusterOf | None = None,
    scale: Scale = OPEN,
) -> dict[str, ArmComparison]:
    """Every other arm minus the baseline, paired by question, in the order given. cluster: of what belongs together;
    scale: of a difference.

    Raises: ValueError for an unknown baseline, an arm that shares no question with it, unlike numbers of
    seeds, or a NaN.
    """
    if baseline not in arms:
        raise ValueError(f"no baseline {baseline!r} among the arms {', '.join(arms)}")
    others = [name for name in arms if name != baseline]
    pairs = {name: _paired(name, arms[name], arms[baseline]) for name in others}
    drawn = {name: _drawn_with(arms[name], arms[baseline], cluster) for name in others}
    found = {name: crossed_difference(a, b, drawn[name], scale) for name, (a, b) in pairs.items()}
    corrected = holm([difference.p_value for difference in found.values()])
    return {
        name: ArmComparison(
            difference=found[name].interval,
            p_value=found[name].p_value,
            p_holm=p_holm,
            unpaired=len(arms[name].keys() ^ arms[baseline].keys()),
        )
        for name, p_holm in zip(others, corrected, strict=True)
    }


def compare_models(
    values: Mapping[str, Mapping[str, float]],
    against: str | None,
    cluster: ClusterOf | None = None,
    scale: Scale = OPEN,
) -> dict[str, ArmComparison]:
    """`compare_arms` for models of files; nothing where `against` is None.

    values: model -> question id -> value. scale: of a difference. Raises: TacosError for an unknown model, or one
    without a shared question.
    """
    if against is None:
        return {}
    try:
        return compare_arms(values, against, cluster, scale)
    except ValueError as error:
        raise TacosError(f"no comparison with {against!r}: {error}") from error


class Lead(Record):
    """The two models with the highest means, and what lies between them."""

    first: str
    second: str
    gap: Interval


def lead(values: Mapping[str, Mapping[str, float]]) -> Lead | None:
    """values: model -> question id -> value. None for fewer than two models that share questions."""
    means = {name: sum(own.values()) / len(own) for name, own in values.items() if own}
    if len(means) < 2:
        return None
    first, second = sorted(means, key=lambda name: -means[name])[:2]
    if not values[first].keys() & values[second].keys():
        return None
    gap = compare_arms({first: values[first], second: values[second]}, second)[first].difference
    return Lead(first=first, second=second, gap=gap)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction for testing several arms, in the order given (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(p) else steps
    return corrected.tolist()


def _paired(name: str, arm: QuestionValues, base: QuestionValues) -> tuple[np.ndarray, np.ndarray]:
    """(seeds, questions) of both arms, over the questions they share, sorted so that order decides nothing."""
    shared = sorted(arm.keys() & base.keys())
    if not shared:
        raise ValueError(f"arm {name!r} shares no question with the baseline")
    first, second = (np.array([values[id_] for id_ in shared], dtype=np.float64) for values in (arm, base))
    return np.atleast_2d(first.T), np.atleast_2d(second.T)


def _drawn_with(arm: QuestionValues, base: QuestionValues, cluster: ClusterOf | None) -> Clusters:
    """The clusters of the questions that both have, in the order of `_paired`."""
    return [cluster(id_) for id_ in sorted(arm.keys() & base.keys())] if cluster else None


def _shares(values: np.ndarray, scale: Scale) -> bool:
    """Whether they say yes or no. On another scale 1 is a number like others, such as the lowest rating."""
    return tuple(scale) == (0.0, 1.0) and bool(np.isin(values, (0.0, 1.0)).all())


def _checked(values: ArrayLike | Sequence[ArrayLike], dimensions: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or not array.size:
        raise ValueError(f"expected {dimensions}-d values, at least one; found shape {array.shape}")
    if np.isnan(array).any():
        raise ValueError(f"{int(np.isnan(array).sum())} of {array.size} values are missing; leave them out")
    return array


def _distinct(values_by_seed: Sequence[Mapping[str, float]]) -> dict[str, int]:
    """id -> its place, in the order of first appearance."""
    seen = dict.fromkeys(id_ for values in values_by_seed for id_ in values)
    return {id_: place for place, id_ in enumerate(seen)}


def _table(values_by_seed: Sequence[Mapping[str, float]], ids: Mapping[str, int]) -> np.ndarray:
    """(ids, 2): the sum of an id's values over the seeds, and how many seeds hold it."""
    table = np.zeros((len(ids), 2))
    places = [ids[id_] for values in values_by_seed for id_ in values]
    values = _checked([value for values in values_by_seed for value in values.values()], 1)
    np.add.at(table, places, np.column_stack([values, np.ones_like(values)]))
    return table


def _ratio(table: np.ndarray) -> float:
    return float(table[:, 0].sum() / table[:, 1].sum())


def _influence(table: np.ndarray) -> np.ndarray:
    """(ids,): what each adds to the error of the ratio of sums."""
    return np.asarray((table[:, 0] - _ratio(table) * table[:, 1]) / table[:, 1].sum())
