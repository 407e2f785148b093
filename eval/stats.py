"""Bootstrap intervals and tests, seeded and vectorised.

All intervals are 95% percentile intervals (Efron & Tibshirani 1993, chapter 13). Values are resampled
over questions, or over seeds and questions together:

    crossed bootstrap (Owen, "The pigeonhole bootstrap", 2007): draw seeds with replacement, draw
    questions with replacement, and average the cells where they cross.

With the usual three seeds its interval sees about two thirds of the variance between seeds, so
read it as a floor; with one seed it is the bootstrap over questions.

Selections of different seeds share rows, so their rows are no independent items:

    clustered bootstrap (Davison & Hinkley, "Bootstrap Methods", 1997, section 3.8): draw distinct rows
    with replacement, each with all its copies, and divide the sum of their values by their number.

    Seeds A = {x: 1, y: 0} and B = {x: 1}: x weighs 2, y weighs 1, so the mean is 2 / 3 over n = 2 rows,
    and resamples xx, xy, yx, yy give 1, 2/3, 2/3, 0.

Questions of a group of tasks belong to subtasks, which are a sample too: with `clusters`, a crossed bootstrap draws
subtasks with all their questions in place of questions. Seeds A = {s/1: 1, s/2: 0, t/1: 1}: resamples ss, st, ts, tt of
the subtasks s and t give 1/2, 2/3, 2/3, 1.

Many arms against one baseline are `compare_arms`: each arm paired with the baseline by question, its
p-value corrected for their number by Holm. Ratings over many models are in `eval.ratings.bradley_terry`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from eval.resampling import Clusters, chunks, resampled_means
from eval.results import Interval
from tacos.errors import TacosError
from tacos.types import Record

RESAMPLES = 2000
LEVEL = 95.0


class Difference(Record):
    """A mean difference with its interval, and the two-sided p-value of "no difference"."""

    interval: Interval
    p_value: float
    """From the resampled means shifted to 0; at least 1 / (resamples + 1)."""


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


def bootstrap_mean(values: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of `values` (n,) and its interval. Raises: ValueError for none, or for a NaN."""
    items = _checked(values, 1)
    return _interval(items.mean(), resampled_means(items[None, :], seed, resamples), items.size)


def crossed_mean(
    matrix: ArrayLike, seed: int = 0, resamples: int = RESAMPLES, clusters: Clusters = None
) -> Interval:
    """The mean of `matrix` (seeds, items), resampling both; `n` is the number of items."""
    cells = _checked(matrix, 2)
    return _interval(cells.mean(), resampled_means(cells, seed, resamples, clusters), cells.shape[1])


def crossed_difference(
    a: ArrayLike | Sequence[ArrayLike],
    b: ArrayLike | Sequence[ArrayLike],
    seed: int = 0,
    resamples: int = RESAMPLES,
    clusters: Clusters = None,
) -> Difference:
    """The mean of a - b, both (seeds, items), paired by seed and item, resampling both."""
    first, second = _checked(a, 2), _checked(b, 2)
    if first.shape != second.shape:
        raise ValueError(f"cannot pair {first.shape} with {second.shape}: not the same seeds and items")
    gap = first - second
    means = resampled_means(gap, seed, resamples, clusters)
    interval = _interval(gap.mean(), means, gap.shape[1])
    return Difference(interval=interval, p_value=_p_value(gap.mean(), means))


def clustered_mean(
    values_by_seed: Sequence[Mapping[str, float]], seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """The mean of all values, resampling distinct ids: those that seeds share are drawn together.

    values_by_seed: per seed, id -> value. `n` is the number of distinct ids.
    Raises: ValueError for none, or for a NaN.
    """
    table = _clusters(values_by_seed, _distinct(values_by_seed))
    sums = _cluster_sums(table, seed, resamples)
    return _interval(float(_ratio(table.sum(axis=0))), _ratio(sums), len(table))


def clustered_difference(
    a: Sequence[Mapping[str, float]],
    b: Sequence[Mapping[str, float]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean of `a` minus the mean of `b`, resampling the distinct ids of both together.

    An id that stands in both is drawn for both, so what they share cancels. A resample without an id of
    `a`, or of `b`, has no difference and is left out. `n` is the number of distinct ids in either.
    Raises: ValueError where one side is empty, or for a NaN.
    """
    ids = _distinct([*a, *b])
    table = np.hstack([_clusters(a, ids), _clusters(b, ids)])
    sums = _cluster_sums(table, seed, resamples)
    sums = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)]
    total = table.sum(axis=0)
    mean = float(_ratio(total[:2]) - _ratio(total[2:]))
    return _interval(mean, _ratio(sums[:, :2]) - _ratio(sums[:, 2:]), len(ids))


def compare_arms(
    arms: Mapping[str, QuestionValues],
    baseline: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
    cluster: ClusterOf | None = None,
) -> dict[str, ArmComparison]:
    """Every other arm minus the baseline, paired by question, in the order given. cluster: of what is drawn together.

    A p-value is at least 1 / (resamples + 1), and Holm multiplies the smallest by the number of arms: with
    the usual 2,000 resamples a hundred arms can still fall to 0.05, more need more resamples.
    Raises: ValueError for an unknown baseline, an arm that shares no question with it, unlike numbers of
    seeds, or a NaN.
    """
    if baseline not in arms:
        raise ValueError(f"no baseline {baseline!r} among the arms {', '.join(arms)}")
    others = [name for name in arms if name != baseline]
    pairs = {name: _paired(name, arms[name], arms[baseline]) for name in others}
    drawn = {name: _drawn_with(arms[name], arms[baseline], cluster) for name in others}
    found = {name: crossed_difference(a, b, seed, resamples, drawn[name]) for name, (a, b) in pairs.items()}
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
    seed: int = 0,
    cluster: ClusterOf | None = None,
) -> dict[str, ArmComparison]:
    """`compare_arms` for models of files; nothing where `against` is None.

    values: model -> question id -> value. Raises: TacosError for an unknown model, or one without a shared question.
    """
    if against is None:
        return {}
    try:
        return compare_arms(values, against, seed, cluster=cluster)
    except ValueError as error:
        raise TacosError(f"no comparison with {against!r}: {error}") from error


def share(values: Sequence[bool]) -> float | None:
    """How many of `values` are true, 0-1; None where there are none."""
    return sum(values) / len(values) if values else None


def longer_wins(decided: Iterable[tuple[bool, float, float]]) -> float | None:
    """Share of decided comparisons that the longer answer won; None where no lengths differ.

    decided: (the first won, its length, the other's length); ties are no part of it.
    """
    return share([(first > second) == won for won, first, second in decided if first != second])


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


def _clusters(values_by_seed: Sequence[Mapping[str, float]], ids: Mapping[str, int]) -> np.ndarray:
    """(ids, 2): the sum of an id's values over the seeds, and how many seeds hold it."""
    table = np.zeros((len(ids), 2))
    places = [ids[id_] for values in values_by_seed for id_ in values]
    values = _checked([value for values in values_by_seed for value in values.values()], 1)
    np.add.at(table, places, np.column_stack([values, np.ones_like(values)]))
    return table


def _cluster_sums(table: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """(resamples, columns) sums of as many rows of `table` as it has, drawn with replacement.

    Equal rows are drawn as one kind: of 0/1 values over three seeds there are at most nine, whatever
    the size of the pool.
    """
    kinds, counts = np.unique(table, axis=0, return_counts=True)
    rng, chance = np.random.default_rng(seed), counts / counts.sum()
    draws = (rng.multinomial(len(table), chance, size=n) @ kinds for n in chunks(resamples, len(kinds)))
    return np.concatenate(list(draws))


def _ratio(sums: np.ndarray) -> np.ndarray:
    """Sum of values over number of values, the two last entries of `sums`."""
    return sums[..., 0] / sums[..., 1]


def _interval(mean: float, means: np.ndarray, n: int) -> Interval:
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(mean=float(mean), low=float(low), high=float(high), n=n)


def _p_value(mean: float, means: np.ndarray) -> float:
    """How often the resampled mean strays from `mean` at least as far as `mean` stands from 0."""
    extreme = np.abs(means - mean) >= abs(mean) * (1 - 1e-12)
    return float((1 + extreme.sum()) / (1 + len(means)))
