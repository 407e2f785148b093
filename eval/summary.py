"""From values to what results.json holds of a measure: per run, and per arm over its seeds.

    measure over    a run                     an arm                                difference from the baseline
    questions       over them                 over questions and seeds              paired by both
      clustered     over clusters             over clusters and seeds               the same, paired by both
    rows            over them                 over distinct rows                    paired by row
    runs            the value alone           over seeds                            none

An arm's questions are those with a value for every seed. How each interval is made: `eval.stats`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import numpy as np

from eval.measures import Measure, Measured, RunValues
from eval.power import Variation, variation
from eval.results import ArmMeasure, ArmSummary, RunMeasure
from eval.stats import (
    Difference,
    against,
    clustered_difference,
    clustered_mean,
    crossed_difference,
    crossed_mean,
    holm,
    mean_interval,
)

Items = Mapping[str, float]


def run_measure(measure: Measure, reading: RunValues) -> RunMeasure | None:
    """None where the run was not examined by this measure."""
    measured = reading.values.get(measure.name)
    if measured is None:
        return None
    if not isinstance(measured, Mapping):
        return RunMeasure(value=measured)
    values = list(measured.values())
    interval = _mean([values], measure, list(measured)).interval if values else None
    return RunMeasure(
        value=interval and interval.mean,
        interval=interval,
        unread=reading.unread.get(measure.name, 0),
        counts={level.name: values.count(level.value) for level in measure.levels},
        beside=dict(reading.beside.get(measure.name, {})),
    )


def arm_measure(
    measure: Measure, own: Sequence[Measured | None], base: Sequence[Measured | None] | None = None
) -> ArmMeasure | None:
    """own: one entry per seed, None for one without; base: the baseline arm's, None for that arm itself.

    Of a measure over runs, seeds that share one run are one entry. None where no seed was examined.
    """
    if all(measured is None for measured in own):
        return None
    if measure.items == "runs":
        values = [value for value in own if isinstance(value, int | float)]
        whole_runs = mean_interval(values) if len(values) == len(own) else None
        return ArmMeasure(interval=whole_runs, seed_sd=_sd(values))
    mine, theirs = _items(own), _items(base or [])
    rows = measure.items == "rows"
    whole, gain = _over_rows(measure, mine, theirs) if rows else _over_questions(measure, mine, theirs)
    claimed = gain if measure.difference else whole if measure.neutral is not None else None
    return ArmMeasure(
        interval=whole.interval if whole else None,
        gain=gain.interval if gain and measure.difference else None,
        p_value=claimed.p_value if claimed else None,
        variation=None if rows else _variation(measure, mine, theirs),
        **({} if rows else _sds(mine)),
    )


def _variation(measure: Measure, own: Sequence[Items], base: Sequence[Items]) -> Variation | None:
    """Of the differences from the baseline, or from the neutral value."""
    if measure.difference:
        both = _shared([*own, *base]) if len(own) == len(base) else []
        return variation(np.subtract(_matrix(own, both), _matrix(base, both))) if both else None
    if measure.neutral is None or not (shared := _shared(own)):
        return None
    return variation(np.subtract(_matrix(own, shared), measure.neutral))


def _sds(own: Sequence[Items]) -> dict[str, float | None]:
    """How far questions and seeds lie apart, over the questions that every seed has."""
    shared = _shared(own)
    columns = [[values[id_] for values in own] for id_ in shared]
    question = _sd([fmean(column) for column in columns]) if shared else None
    return {"question_sd": question, "seed_sd": _sd([fmean(row) for row in zip(*columns, strict=True)])}


def _sd(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def corrected(
    summary: Sequence[ArmSummary], measures: Sequence[Measure], chosen: tuple[str, str] | None
) -> list[ArmSummary]:
    """The same with Holm's p-values over arms and measures. chosen: the arm and measure of the one comparison that was
    named beforehand, which keeps its own p-value."""
    compared = {measure.name for measure in measures if measure.compared}
    family = [
        (arm.arm, name)
        for arm in summary
        for name, found in arm.measures.items()
        if name in compared and found.p_value is not None and (arm.arm, name) != chosen
    ]
    own = {arm.arm: arm.measures for arm in summary}
    values = holm([own[arm][name].p_value or 0.0 for arm, name in family])
    told = dict(zip(family, values, strict=True))
    return [
        arm.model_copy(
            update={
                "measures": {
                    name: found.model_copy(update={"p_holm": told.get((arm.arm, name), found.p_value)})
                    for name, found in arm.measures.items()
                }
            }
        )
        for arm in summary
    ]


def by_category(own: Sequence[Measured | None], categories: Mapping[str, str]) -> dict[str, float]:
    """Category -> the mean over its questions and over seeds, in order of appearance."""
    found: dict[str, list[float]] = {}
    for values in _items(own):
        for id_, value in values.items():
            if category := categories.get(id_):
                found.setdefault(category, []).append(value)
    return {category: fmean(values) for category, values in found.items()}


def _items(measured: Sequence[Measured | None]) -> list[Items]:
    return [values for values in measured if isinstance(values, Mapping)]


def _over_rows(
    measure: Measure, own: Sequence[Items], base: Sequence[Items]
) -> tuple[Difference | None, Difference | None]:
    some, others = ([values for values in side if values] for side in (own, base))
    whole = Difference(interval=clustered_mean(some, measure.ends), p_value=1.0) if some else None
    gain = clustered_difference(some, others, measure.difference_ends) if some and others else None
    return whole, gain


def _over_questions(
    measure: Measure, own: Sequence[Items], base: Sequence[Items]
) -> tuple[Difference | None, Difference | None]:
    shared = _shared(own)
    whole = _mean(_matrix(own, shared), measure, shared) if shared else None
    if len(base) != len(own):  # no baseline, or one that some seeds lack
        return whole, None
    both = _shared([*own, *base])
    if not both:
        return whole, None
    sides = (_matrix(own, both), _matrix(base, both))
    return whole, crossed_difference(*sides, measure.clusters(both), measure.difference_ends)


def _mean(matrix: Sequence[Sequence[float]], measure: Measure, ids: Sequence[str]) -> Difference:
    """With the p-value of its being neutral, for a measure that has such a value."""
    clusters = measure.clusters(ids)
    if measure.neutral is not None:
        return against(matrix, measure.neutral, clusters, measure.ends)
    return Difference(interval=crossed_mean(matrix, clusters, measure.ends), p_value=1.0)


def _shared(values: Sequence[Items]) -> list[str]:
    """Ids with a value everywhere, in the order of the first."""
    return [id_ for id_ in values[0] if all(id_ in other for other in values)]


def _matrix(values: Sequence[Items], ids: Sequence[str]) -> list[list[float]]:
    return [[own[id_] for id_ in ids] for own in values]
