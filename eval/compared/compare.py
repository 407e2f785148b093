"""Two arms, of one run or of two, beside each other: settings, rows, and every measure with its paired difference.

    arm A exact match 0.44, arm B 0.34 over the same 400 questions and 3 seeds: A - B = +0.10 [+0.07, +0.14]

Questions are paired by id and seeds by number, those that both sides have; rows by id. The difference is always A minus
B. P-values are corrected by Holm over the measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from eval.interval import Interval
from eval.measures import Measure, Measured
from eval.stats import holm
from eval.summary import arm_measure
from tacos.types import Record

LENGTHS = (10, 40, 160)
"""Words of a response from which the next class begins."""
MOST_PARTS = 30
"""Groups or sources that are listed, those whose numbers of rows differ most first."""


@dataclass(frozen=True)
class SelectedRow:
    """A selected row."""

    group: str
    source: str
    words: int


@dataclass(frozen=True)
class Side:
    """One arm. settings: path -> value. rows: by id, of the first seed. values: measure -> seed -> its values."""

    name: str
    settings: Mapping[str, Any]
    rows: Mapping[str, SelectedRow]
    measures: Mapping[str, Measure]
    values: Mapping[str, Mapping[int, Measured]] = field(default_factory=dict)


class Changed(Record):
    """A setting that differs; None where one side does not have it."""

    path: str
    a: Any
    b: Any


class Share(Record):
    """Selected rows of one group, source or length."""

    what: str
    """ "group", "source" or "length"."""
    label: str
    a: int
    b: int
    shared: int


class Overlapping(Record):
    """The rows that both took."""

    a: int
    b: int
    shared: int
    jaccard: float
    """Those in both over those in either."""
    parts: list[Share] = Field(default_factory=list)


class Gap(Record):
    """One measure."""

    measure: Measure
    a: Interval | None
    b: Interval | None
    difference: Interval | None
    """A minus B, paired; None where nothing can be paired."""
    p_value: float | None = None
    """Two-sided, of no difference."""
    p_holm: float | None = None


class ArmsCompared(Record):
    """A beside B."""

    report: ClassVar[str] = "eval.compared.report:COMPARED"

    a: str
    b: str
    settings: list[Changed]
    rows: Overlapping | None
    """None where one of them selected nothing."""
    gaps: list[Gap]


def compared(a: Side, b: Side) -> ArmsCompared:
    """The differences between two arms."""
    gaps = [gap for name in a.measures if name in b.measures for gap in [_gap(a, b, a.measures[name])] if gap]
    known = [gap for gap in gaps if gap.p_value is not None]
    corrected = dict(
        zip((g.measure.name for g in known), holm([g.p_value or 0.0 for g in known]), strict=True)
    )
    return ArmsCompared(
        a=a.name,
        b=b.name,
        settings=list(_changes(a.settings, b.settings)),
        rows=_rows(a.rows, b.rows) if a.rows and b.rows else None,
        gaps=[gap.model_copy(update={"p_holm": corrected.get(gap.measure.name)}) for gap in gaps],
    )


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Changed]:
    for path in [*a, *(path for path in b if path not in a)]:
        if a.get(path) != b.get(path):
            yield Changed(path=path, a=a.get(path), b=b.get(path))


def flat(settings: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """Path -> value of nested settings: {"train": {"lr": 1e-5}} -> {"train.lr": 1e-5}; empty ones are left out."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{head}{name}.")
        elif value not in (None, [], ""):
            found[f"{head}{name}"] = value
    return found


def _rows(a: Mapping[str, SelectedRow], b: Mapping[str, SelectedRow]) -> Overlapping:
    shared = a.keys() & b.keys()
    kinds: dict[str, Callable[[SelectedRow], str]] = {
        "group": lambda row: row.group,
        "source": lambda row: row.source,
        "length": lambda row: _length(row.words),
    }
    parts = [part for what, label in kinds.items() for part in _parts(what, label, a, b)]
    return Overlapping(
        a=len(a), b=len(b), shared=len(shared), jaccard=len(shared) / len(a.keys() | b.keys()), parts=parts
    )


def _parts(
    what: str, label: Callable[[SelectedRow], str], a: Mapping[str, SelectedRow], b: Mapping[str, SelectedRow]
) -> list[Share]:
    own, other = (Counter(label(row) for row in side.values()) for side in (a, b))
    both = Counter(label(row) for id_, row in a.items() if id_ in b)
    labels = [name for name in dict.fromkeys([*own, *other]) if name]
    if len(labels) < 2:
        return []
    found = [Share(what=what, label=name, a=own[name], b=other[name], shared=both[name]) for name in labels]
    return sorted(found, key=lambda part: -abs(part.a - part.b))[:MOST_PARTS]


def _length(words: int) -> str:
    """ "10-39 words"."""
    low = max((edge for edge in LENGTHS if edge <= words), default=0)
    high = next((edge for edge in LENGTHS if edge > words), None)
    return f"{low}-{high - 1} words" if high else f"{low}+ words"


def _gap(a: Side, b: Side, measure: Measure) -> Gap | None:
    """None where neither was examined by the measure."""
    mine, theirs = a.values.get(measure.name, {}), b.values.get(measure.name, {})
    if not mine and not theirs:
        return None
    # Whatever the measure compares with elsewhere, here it is the other side.
    paired = measure.model_copy(update={"difference": True, "neutral": None})
    seeds = sorted(mine.keys() & theirs.keys())
    own, other = _summed(paired, list(mine.values())), _summed(paired, list(theirs.values()))
    both = arm_measure(paired, [mine[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None
    gain = both.gain if both else None
    return Gap(
        measure=measure, a=own, b=other, difference=gain, p_value=both.p_value if both and gain else None
    )


def _summed(measure: Measure, values: Sequence[Measured]) -> Interval | None:
    found = arm_measure(measure, values) if values else None
    return found.interval if found else None
