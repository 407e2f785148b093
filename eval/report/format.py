"""How a report writes numbers: one spelling for each unit, and "-" for what is not known (never 0).

percent(0.6123)                     61.2%
points(-0.254)                      -25.4         percentage points, always signed
bracket(Interval(...), percent)     [58.1%, 64.3%]
flops(6.84e13)                      6.8e13
money(0.004213)                     $0.0042
paid([1.17, 1.2], unpriced=3)       $1.17 to $1.20 + unpriced       calls whose price is not known
spread([60, 60, 60], count)         60            the same for every seed
spread([58, 60, 61], count)         58 to 61      from the smallest to the largest seed
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from eval.interval import Interval
from eval.measures import Unit
from tacos import amounts
from tacos.amounts import plural as plural  # part of what a report writes with

UNKNOWN = "-"
Format = Callable[[float | None], str]


def known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _signless_zero(text: str) -> str:
    """-0.0 and +0.0 say that a direction was seen; a rounded zero has none."""
    return text[1:] if text[:1] in "+-" and not text.strip("+-0.%") else text


def _written(value: float | None, spec: str, factor: float = 1.0, unit: str = "") -> str:
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return _signless_zero(f"{value * factor:{spec}}{unit}")


def count(value: float | None) -> str:
    """Whole things, with thousands separators."""
    return _written(value, ",.0f")


def percent(value: float | None) -> str:
    """A share in [0, 1] as a percentage."""
    return _written(value, ".1f", 100, "%")


def percent_number(value: float | None) -> str:
    """A share in [0, 1] as a percentage without its sign, for use inside brackets."""
    return _written(value, ".1f", 100)


def points(value: float | None) -> str:
    """A difference of shares, in percentage points."""
    return _written(value, "+.1f", 100)


def out_of_100(value: float | None) -> str:
    """A percentage that is stored as one."""
    return _written(value, ".1f", 1, "%")


def plain_out_of_100(value: float | None) -> str:
    """The same without its sign, for use inside brackets."""
    return _written(value, ".1f")


def points_of_100(value: float | None) -> str:
    """A difference of such percentages, in percentage points."""
    return _written(value, "+.1f")


def score(value: float | None) -> str:
    """A grade or a score on a scale of its own."""
    return _written(value, ".2f")


def score_difference(value: float | None) -> str:
    return _written(value, "+.2f")


def loss(value: float | None) -> str:
    """Nats per token."""
    return _written(value, ".3f")


def loss_difference(value: float | None) -> str:
    return _written(value, "+.3f")


def fine_difference(value: float | None) -> str:
    """Of values on any scale, such as the metrics of many tasks in one table."""
    return _written(value, "+.4f")


def mean_count(value: float | None) -> str:
    return _written(value, ",.1f")


def count_difference(value: float | None) -> str:
    return _written(value, "+,.1f")


def epochs(value: float | None) -> str:
    return _written(value, ".2f")


def seconds(value: float | None) -> str:
    """Seconds without the unit; short times keep two digits."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if 0 < abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def flops(value: float | None) -> str:
    """Floating-point operations, as powers of ten: 6.8e13."""
    if not value:
        return count(value)
    return f"{value:.1e}".replace("e+", "e").replace("e0", "e") if math.isfinite(value) else UNKNOWN


def money(value: float | None) -> str:
    """US dollars, with two digits that mean something however small the sum."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return amounts.money(value)


def paid(costs: Iterable[float | None], unpriced: int, unknown: str = UNKNOWN) -> str:
    """Money spent, one sum per seed, beside `unpriced` calls that no sum holds: $0 only where all is priced."""
    sums = list(costs)
    if unpriced and not any(sums):
        return unknown
    return spread(sums, money) + (" + unpriced" if unpriced else "")


def duration(value: float | None) -> str:
    """Seconds for a sentence: 0.012 s, 41.8 s, 31 min 13 s, 2 h 5 min."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value < 99.95:
        return f"{seconds(value)} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def bracket(interval: Interval | None, form: Format) -> str:
    """The interval alone, [low, high]; empty when there is none, as over a single item."""
    if interval is None or interval.n < 2 or not (known(interval.low) and known(interval.high)):
        return ""
    return f"[{form(interval.low)}, {form(interval.high)}]"


def spread(values: Iterable[float | None], form: Format) -> str:
    """One value per seed: written once when all look the same, else from smallest to largest."""
    present = sorted(v for v in values if v is not None and math.isfinite(v))
    if not present:
        return UNKNOWN
    low, high = form(present[0]), form(present[-1])
    return low if low == high else f"{low} to {high}"


def listing(names: Iterable[str]) -> str:
    """a; a and b; a, b and c."""
    items = list(names)
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def headed(title: str, unit: str) -> str:
    """held-out loss, nats; the title alone where there is no unit."""
    return f"{title}, {unit}" if unit else title


@dataclass(frozen=True)
class Form:
    """How a measure of one unit is written.

    value: alone; inside: within brackets; difference: signed. noun: heads a column of values. difference_in: the unit
    of a difference in words, or "". factor, axis, difference_axis: what a plot multiplies by, and the units it shows.
    """

    value: Format
    inside: Format
    difference: Format
    noun: str
    difference_in: str = ""
    factor: float = 1.0
    axis: str = ""
    difference_axis: str = ""

    def plain(self, value: float | None) -> str:
        """A round number of this unit without its trailing zeros: 1 for a score of 1.00, 50% for a share."""
        return re.sub(r"\.0+(?=\D*$)", "", self.value(value))


UNITS: Mapping[Unit, Form] = {
    "share": Form(percent, percent_number, points, "share", "points", 100.0, "%", "percentage points"),
    "percent": Form(
        out_of_100, plain_out_of_100, points_of_100, "share", "points", 1.0, "%", "percentage points"
    ),
    "score": Form(score, score, score_difference, "score"),
    "nats": Form(loss, loss, loss_difference, "loss", "nats", 1.0, "nats", "nats"),
    "count": Form(mean_count, mean_count, count_difference, "count"),
}
