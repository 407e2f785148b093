"""What a report says of one kind of benchmark score; each benchmark has its own beside it.

A class of scores names its report, `report: ClassVar[str] = "eval.mt_bench.report:SINGLE"`, as text, so that
computing a score imports nothing that shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from eval.interval import Interval
from eval.report import format as fmt
from eval.report.table import Column, Entry, Spec, Table, mean

if TYPE_CHECKING:
    from eval.report.style import Plot

T = TypeVar("T")


Figures = Mapping[str, Mapping[str, float | None]]


def with_ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    """A figure with the ends of its interval: "mt_bench/average", "mt_bench/average_low", "mt_bench/average_high"."""
    ends = (interval.mean, interval.low, interval.high) if interval else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def no_plots(score: object) -> list[Plot]:
    return []


def no_advice(score: object) -> list[str]:
    return []


@dataclass(frozen=True)
class ScoreReport(Generic[T]):
    """tables: the main one first; problems: what could not be counted, or not as usual, and why; headline: the result
    in one sentence; figures: model, pair or judge -> the numbers worth following over runs, "mt_bench/average", under
    the names that experiments use too (`Measure.metric`), None where not known; plots: all that the score has data
    for; advice: what to do about it, a line each, after the headline.
    """

    name: str
    tables: Callable[[T], list[Table]]
    problems: Callable[[T], list[str]]
    headline: Callable[[T], str]
    figures: Callable[[T], Figures]
    plots: Callable[[T], list[Plot]] = no_plots
    advice: Callable[[T], list[str]] = no_advice


def best_first(entries: Sequence[Entry[T]], value: Callable[[T], float | None]) -> list[Entry[T]]:
    """Those without a value last; equal ones in the order given."""

    def key(entry: Entry[T]) -> tuple[bool, float]:
        number = value(entry.item)
        return number is None, -(number or 0.0)

    return sorted(entries, key=key)


Bias = tuple[Interval | None, Interval | None, Interval | None]
"""How often the longer answer won, both orders agreed, and the first position won; shares."""
BIAS_NOTE = (
    "Longer wins: share of decided comparisons that went to the longer answer. Swap consistency: share in which"
    " both orders say the same. First position wins: 50% means no bias."
)


def bias(get: Callable[[T], Bias]) -> list[Spec[T]]:
    """Columns of what may explain a win rate, always beside it."""
    labels = ("longer wins", "swap consistency", "first position wins")

    def column(number: int) -> Spec[T]:
        head = Column(labels[number], "how the judge decided", brief=not number)
        return head, lambda item: mean(get(item)[number], fmt.percent, fmt.percent_number)

    return [column(number) for number in range(len(labels))]
