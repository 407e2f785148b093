"""What each factor of a design brings: main effects and interactions, in place of a flat list of arms.

    factors:
      tagging:    {on: [tacos, no-comparison], off: [no-tags, neither]}
      comparison: {on: [tacos, no-tags],       off: [no-comparison, neither]}

    main effect of tagging      mean of (tacos, no-comparison) - mean of (no-tags, neither)
    interaction                 (tacos - no-tags) - (no-comparison - neither): what tagging brings with comparison, less
                                what it brings without

The last level of a factor is what the others are compared with. A design is a full factorial: one arm for every
combination of levels, so that each effect is a contrast of arm means with the other factors balanced (Montgomery,
"Design and Analysis of Experiments", chapter 6). Values are paired by question and seed, as
differences between arms are. Measures over rows have none: selections share no rows to pair by.

Worked example, the four arms answer 8, 6, 5 and 4 of 10 questions: tagging +1.5, comparison +2.5, interaction +1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise, product
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from eval.interval import Interval
from eval.measures import Measure, Measured
from eval.results import Effect
from eval.stats import against, mean_interval

Levels = Mapping[str, Sequence[str]]
"""Level -> the arms at it."""
SWITCH = {True: "on", False: "off"}
"""What YAML makes of two common levels."""


def _named(said: Any) -> Any:
    """Levels by name: YAML reads on and off as truth values, and sizes as numbers."""
    if not isinstance(said, Mapping):
        return said
    return {
        str(factor): {
            SWITCH.get(level, str(level)) if isinstance(level, bool) else str(level): arms
            for level, arms in levels.items()
        }
        if isinstance(levels, Mapping)
        else levels
        for factor, levels in said.items()
    }


def _whole(factors: dict[str, dict[str, tuple[str, ...]]]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Raises: ValueError where the design is no full factorial."""
    listed = {
        factor: sorted(arm for arms in levels.values() for arm in arms) for factor, levels in factors.items()
    }
    for factor, levels in factors.items():
        if len(levels) < 2:
            raise ValueError(f"{factor} has {len(levels)} level: give at least two, each with its arms")
        if twice := [arm for arm, other in pairwise(listed[factor]) if arm == other]:
            raise ValueError(f"{factor} has {twice[0]} twice: an arm has one level of each factor")
        if odd := sorted(set().union(*listed.values()).symmetric_difference(listed[factor])):
            raise ValueError(
                f"{factor} has no level of {odd[0]}: every arm of the design has one of each factor"
            )
    if not factors:
        return factors
    for place in product(*(levels for levels in factors.values())):
        arms = _at(factors, place)
        if len(arms) != 1:
            where = ", ".join(f"{f}={level}" for f, level in zip(factors, place, strict=True))
            found = " and ".join(sorted(arms)) or "no arm"
            raise ValueError(f"{where} has {found}: a design has one arm for every combination of levels")
    return factors


Factors = Annotated[dict[str, dict[str, tuple[str, ...]]], BeforeValidator(_named), AfterValidator(_whole)]
"""Factor -> level -> arms; a full factorial."""


def _at(factors: Mapping[str, Levels], place: Sequence[str]) -> set[str]:
    chosen = [set(levels[level]) for levels, level in zip(factors.values(), place, strict=True)]
    return set.intersection(*chosen) if chosen else set()


def arms_of(factors: Mapping[str, Levels]) -> list[str]:
    """Those of the design, in the order of the first factor's levels."""
    return list(dict.fromkeys(arm for levels in factors.values() for arms in levels.values() for arm in arms))


def contrasts(factors: Mapping[str, Levels]) -> Iterator[tuple[str, str, dict[str, float]]]:
    """(what, how, arm -> weight), main effects first, then interactions of two factors with two levels each."""
    for factor, levels in factors.items():
        *others, last = levels
        for level in others:
            yield factor, f"{level} over {last}", _weights(levels[level], levels[last])
    for (one, first), (two, second) in combinations(factors.items(), 2):
        if len(first) == len(second) == 2:
            sides = [_weights(*levels.values()) for levels in (first, second)]
            n = len(sides[0])
            weights = {arm: sides[0][arm] * sides[1][arm] * n for arm in sides[0]}
            yield f"{one} x {two}", "interaction", weights


def _weights(plus: Sequence[str], minus: Sequence[str]) -> dict[str, float]:
    return {**{arm: 1 / len(plus) for arm in plus}, **{arm: -1 / len(minus) for arm in minus}}


def effects(
    factors: Mapping[str, Levels], measure: Measure, values: Mapping[str, Sequence[Measured | None]]
) -> list[Effect]:
    """Of one measure. values: arm -> one entry per seed; an effect without one of its arms has no interval."""
    return [
        Effect(factor=what, how=how, measure=measure.name, interval=_contrast(weights, measure, values))
        for what, how, weights in contrasts(factors)
    ]


def _contrast(
    weights: Mapping[str, float], measure: Measure, values: Mapping[str, Sequence[Measured | None]]
) -> Interval | None:
    arms = [values.get(arm, ()) for arm in weights]
    seeds = {len(own) for own in arms}
    if (
        measure.items == "rows"
        or len(seeds) != 1
        or any(v is None for own in arms for v in own)
        or not arms[0]
    ):
        return None
    if measure.items == "runs":
        per_seed = [
            sum(w * float(v) for w, v in zip(weights.values(), row, strict=True))
            for row in zip(*arms, strict=True)
        ]
        return mean_interval(per_seed)
    tables = [[v for v in own if isinstance(v, Mapping)] for own in arms]
    ids = [i for i in tables[0][0] if all(i in v for own in tables for v in own)]
    if not ids:
        return None
    matrix = [
        [sum(w * v[i] for w, v in zip(weights.values(), row, strict=True)) for i in ids]
        for row in zip(*tables, strict=True)
    ]
    return against(matrix, 0.0, measure.clusters(ids)).interval
