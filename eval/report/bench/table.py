"""What a table of a benchmark is: cells that keep their numbers, and how much of it was judged in every row.

    model              average              turn 1  ...  judged  expected  unparsed  missing  duplicate
    m_1                6.08 [5.64, 6.50]    6.50          160       160         0        0          0
    m_2 (incomplete)   5.47 [5.01, 5.93]    5.96          159       160         1        0          0

A kind of score lists its rows as `Entry` and its columns as `Spec`: a heading, and a function from what the
row is about to a cell; `build` puts both together and adds the columns of coverage. A row that lacks anything
says "incomplete" beside its name, so that no figure can be copied without it. A figure that does not exist is a
dash, never 0. The layout (`Table`, `Column`, `Row`, `Cell`) is that of an experiment's report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from eval.report import format as fmt
from eval.report.tables import NOTHING, Cell, Column, Row, Table
from eval.report.text import Verdict
from eval.results import Interval

T = TypeVar("T")
Raw = str | float | int | bool | None
COVERAGE = "coverage"
"""The group of the columns that say how much was judged."""
INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Figure(Cell):
    """A cell that keeps its number. raw: unrounded, None where there is none; more: what stands beside it,
    such as ("low", 5.64)."""

    raw: Raw = None
    more: tuple[tuple[str, Raw], ...] = ()


@dataclass(frozen=True)
class Coverage:
    """How much of a benchmark one row of a table rests on.

    of: the benchmark; name: the model or set; unit: what is counted; expected, missing, duplicate, unknown: None
    where that is not known or not counted; bad: rows of a file that are no answer at all.
    """

    of: str
    name: str
    unit: str
    judged: int
    expected: int | None
    unparsed: int
    missing: int | None
    duplicate: int | None
    unknown: int | None = None
    bad: int = 0

    @property
    def share(self) -> float | None:
        return self.judged / self.expected if self.expected else None

    @property
    def complete(self) -> bool:
        """False, too, where it is not known how many there should be, and where there are too many."""
        return self.judged == self.expected and self.judged > 0

    @property
    def words(self) -> str:
        """MT-Bench, m: 159 of 160 turns judged (1 unparsed)."""
        parts = [("unparsed", self.unparsed), ("missing", self.missing), ("bad rows", self.bad)]
        why = ", ".join(f"{fmt.count(number)} {word}" for word, number in parts if number)
        why = f" ({why})" if why else ""
        if self.expected is None:
            return (
                f"{self.of}, {self.name}: {fmt.count(self.judged)} {self.unit} judged{why}; how many there should"
                " be is not known, so nothing can be said of missing ones"
            )
        counts = f"{fmt.count(self.judged)} of {fmt.count(self.expected)} {self.unit} judged"
        return f"{self.of}, {self.name}: {counts}{why}"


@dataclass(frozen=True)
class BenchTable:
    """name: of its files; note: what a reader has to know; coverage: of each row, or empty."""

    name: str
    title: str
    note: str
    table: Table
    coverage: tuple[Coverage, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """A line for each row that lacks anything; a total only repeats the lines of its parts."""
        rows = zip(self.table.rows, self.coverage, strict=False)
        return [covered.words for row, covered in rows if not covered.complete and not row.marked]


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A row to be. arm: the model whose colour the row has in the plots; marked: it is a total or a baseline."""

    name: str
    item: T
    coverage: Coverage | None = None
    arm: str = ""
    marked: bool = False


Spec = tuple[Column, Callable[[T], Cell]]


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a report says of one kind of score.

    name: opens the names of its figures, "mt_bench/m_1/average"; problems: what could not be counted, and why;
    headline: the result in one sentence; figures: the numbers worth following over runs, None where not known.
    """

    name: str
    tables: Callable[[T], list[BenchTable]]
    problems: Callable[[T], list[str]]
    headline: Callable[[T], str]
    figures: Callable[[T], Mapping[str, float | None]]


def numbers(form: fmt.Format, get: Callable[[T], float | None]) -> Callable[[T], Cell]:
    def cell(item: T) -> Cell:
        value = get(item)
        return Figure(form(value), raw=value) if fmt.known(value) else NOTHING

    return cell


def counts(get: Callable[[T], float | None]) -> Callable[[T], Cell]:
    return numbers(fmt.count, get)


def texts(get: Callable[[T], str | None]) -> Callable[[T], Cell]:
    def cell(item: T) -> Cell:
        return Figure(text, raw=text) if (text := get(item)) else NOTHING

    return cell


def with_interval(
    value: float | None, ci: Interval | None, form: fmt.Format, inside: fmt.Format | None = None
) -> Cell:
    """A value and, where there is one, its interval; `inside` writes its ends."""
    if not fmt.known(value):
        return NOTHING
    more = (("low", ci.low), ("high", ci.high)) if ci and ci.n > 1 else ()
    return Figure(form(value), fmt.bracket(ci, inside or form), raw=value, more=more)


def mean(ci: Interval | None, form: fmt.Format, inside: fmt.Format | None = None) -> Cell:
    return with_interval(ci.mean, ci, form, inside) if ci else NOTHING


def with_error(value: float | None, error: float | None) -> Cell:
    """A value and, where there is one, its standard error."""
    if not fmt.known(value):
        return NOTHING
    known = fmt.known(error)
    more = (("standard error", error),) if known else ()
    return Figure(fmt.score(value), f"± {fmt.score(error)}" if known else "", raw=value, more=more)


def best_first(entries: Sequence[Entry[T]], value: Callable[[T], float | None]) -> list[Entry[T]]:
    """Those without a value last; equal ones in the order given."""

    def key(entry: Entry[T]) -> tuple[bool, float]:
        number = value(entry.item)
        return number is None, -(number or 0.0)

    return sorted(entries, key=key)


def build(
    name: str, title: str, note: str, first: str, entries: Sequence[Entry[T]], specs: Sequence[Spec[T]]
) -> BenchTable:
    """Columns in which no row has anything to show are left out, those of coverage never.

    first: heading of the column of names.
    """
    columns = [(column, [cell(entry.item) for entry in entries]) for column, cell in specs]
    columns = [(column, cells) for column, cells in columns if any(c != NOTHING for c in cells)]
    columns += _covered(entries)
    rows = []
    for number, entry in enumerate(entries):
        lacks = entry.coverage is not None and not entry.coverage.complete
        head = Figure(entry.name, INCOMPLETE if lacks else "", "worse" if lacks else None, raw=entry.name)
        rows.append(Row((head, *(cells[number] for _, cells in columns)), entry.arm, entry.marked))
    heads = (Column(first, numeric=False), *(column for column, _ in columns))
    coverage = tuple(entry.coverage for entry in entries if entry.coverage)
    return BenchTable(name, title, note, Table(heads, tuple(rows)), coverage)


def coverage_counts(
    found: Sequence[Coverage],
) -> list[tuple[str, Callable[[Coverage], float | None]]]:
    """Headings and counts of what was not judged; the last two only where the kind of score has them."""
    gets: list[tuple[str, Callable[[Coverage], float | None]]] = [
        ("unparsed", lambda c: c.unparsed),
        ("missing", lambda c: c.missing),
        ("duplicate", lambda c: c.duplicate),
    ]
    if any(c.unknown is not None for c in found):
        gets.append(("unknown", lambda c: c.unknown))
    if any(c.bad for c in found):
        gets.append(("bad rows", lambda c: c.bad))
    return gets


def _covered(entries: Sequence[Entry[T]]) -> list[tuple[Column, list[Cell]]]:
    found = [entry.coverage for entry in entries if entry.coverage]
    if len(found) < len(entries):
        return []
    gets: list[tuple[str, Callable[[Coverage], float | None]]] = [
        ("judged", lambda c: c.judged),
        ("expected", lambda c: c.expected),
        *coverage_counts(found),
    ]
    columns = [(Column(label, COVERAGE), [counts(get)(c) for c in found]) for label, get in gets]
    return [*columns, (Column("share judged", COVERAGE), [_share(c) for c in found])]


def _share(coverage: Coverage) -> Cell:
    value = coverage.share
    text = fmt.percent(value)
    if not coverage.complete and text == "100.0%":
        text = "<100%"  # 2,999 of 3,000 are not all
    tone: Verdict | None = None if coverage.complete else "worse"
    return Figure(text, tone=tone, raw=value, more=(("complete", coverage.complete),))


Bias = tuple[float | None, float | None, float | None]
"""How often the longer answer won, both orders agreed, and the first position won; shares."""
BIAS_NOTE = (
    "Longer wins: share of decided comparisons that went to the longer answer. Swap consistency: share in which"
    " both orders say the same. First position wins: 50% is no bias."
)


def bias(get: Callable[[T], Bias]) -> list[Spec[T]]:
    """Columns of what may explain a win rate, always beside it."""
    labels = ("longer wins", "swap consistency", "first position wins")

    def column(number: int) -> Spec[T]:
        head = Column(labels[number], "how the judge decided", brief=not number)
        return head, numbers(fmt.percent, lambda item: get(item)[number])

    return [column(number) for number in range(len(labels))]
