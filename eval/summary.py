"""From values to what results.json holds of a measure: per run, and per arm over its seeds.

    measure over    a run                     an arm                                difference from the baseline
    questions       bootstrap over them       crossed: questions and seeds          crossed, paired by both
      clustered     over clusters             crossed: clusters and seeds           the same, paired by both
    rows            bootstrap over them       clustered: distinct rows              clustered, paired by row
    runs            the value alone           bootstrap over seeds                  none

An arm's questions are those with a value for every seed. How each interval is made: `eval.stats`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from eval.measures import Measure, Measured, RunValues
from eval.results import ArmMeasure, Interval, RunMeasure
from eval.stats import (
    bootstrap_mean,
    clustered_difference,
    clustered_mean,
    crossed_difference,
    crossed_mean,
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
    interval = crossed_mean([values], clusters=measure.clusters(measured)) if values else None
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
        return ArmMeasure(interval=bootstrap_mean(values) if len(values) == len(own) else None)
    mine, theirs = _items(own), _items(base or [])
    rows = measure.items == "rows"
    whole, gain = _over_rows(mine, theirs) if rows else _over_questions(measure, mine, theirs)
    return ArmMeasure(interval=whole, gain=gain if measure.difference else None)


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


def _over_rows(own: Sequence[Items], base: Sequence[Items]) -> tuple[Interval | None, Interval | None]:
    some, others = ([values for values in side if values] for side in (own, base))
    whole = clustered_mean(some) if some else None
    return whole, clustered_difference(some, others) if some and others else None


def _over_questions(
    measure: Measure, own: Sequence[Items], base: Sequence[Items]
) -> tuple[Interval | None, Interval | None]:
    shared = _shared(own)
    whole = crossed_mean(_matrix(own, shared), clusters=measure.clusters(shared)) if shared else None
    if len(base) != len(own):  # no baseline, or one that some seeds lack
        return whole, None
    both = _shared([*own, *base])
    if not both:
        return whole, None
    gain = crossed_difference(_matrix(own, both), _matrix(base, both), clusters=measure.clusters(both))
    return whole, gain.interval


def _shared(values: Sequence[Items]) -> list[str]:
    """Ids with a value everywhere, in the order of the first: resampling draws by place."""
    return [id_ for id_ in values[0] if all(id_ in other for other in values)]


def _matrix(values: Sequence[Items], ids: Sequence[str]) -> list[list[float]]:
    return [[own[id_] for id_ in ids] for own in values]
