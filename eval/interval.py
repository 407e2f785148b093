"""The one form in which a figure says how far it may be off."""

from __future__ import annotations

from tacos.types import Record


class Interval(Record):
    """A mean with its 95% interval over `n` items (`eval.stats`)."""

    mean: float
    low: float
    high: float
    n: int
