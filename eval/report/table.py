"""The tables of every report as plain data; `layout.py`, `console.py` and the HTML templates only lay them out.

    model              average              turn 1  ...  judged  expected  unparsed  missing  duplicate
    m_1                6.08 [5.64, 6.50]    6.50          160       160         0        0          0
    m_2 (incomplete)   5.47 [5.01, 5.93]    5.96          159       160         1        0          0

A table's rows are listed as `Entry` and its columns as `Spec`: a heading, and a function from what the row is
about to a cell. `build` puts both together. A column in which no row has anything to show is left out, so a pool
without ground truth or a run without training makes a narrower table. Where entries say how much was judged,
columns of that follow, and a row that lacks anything says "incomplete" beside its name, so that no figure can be
copied without it. A figure that does not exist is a dash, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from eval.interval import Interval
from eval.report import format as fmt
from eval.report.claims import Claim
from eval.report.coverage import Coverage, coverage_counts

T = TypeVar("T")
Raw = str | float | int | bool | None
SAMPLES = "samples"
COVERAGE = "coverage"
"""The group of the columns that say how much was judged."""
INCOMPLETE = "incomplete"
WORSE: Claim = "worse"


@dataclass(frozen=True)
class Cell:
    """text: the value as read; sub: its interval, or ""; tone: how to colour a claim. raw: the value unrounded, None
    where there is none; more: what stands beside it, such as ("low", 5.64); best: of its column, in bold in Markdown
    and LaTeX."""

    text: str
    sub: str = ""
    tone: Claim | None = None
    raw: Raw = None
    more: tuple[tuple[str, Raw], ...] = ()
    best: bool = False


NOTHING = Cell(fmt.UNKNOWN)


@dataclass(frozen=True)
class Column:
    """group: a heading over several columns; brief: stands in the terminal table too. shows: what of an arm stands
    behind its numbers, SAMPLES, or "answers/SET" of a question set; "" for what no row shows."""

    label: str
    group: str = ""
    numeric: bool = True
    brief: bool = True
    shows: str = ""


@dataclass(frozen=True)
class TableRow:
    """arm: the arm or model this row is about, for its colour, else ""; marked: it is a baseline or a total."""

    cells: tuple[Cell, ...]
    arm: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """name: of its files; note: what a reader has to know; coverage: of each row, or empty."""

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    name: str = ""
    title: str = ""
    note: str = ""
    coverage: tuple[Coverage, ...] = ()

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Neighbouring columns with one heading: (heading, columns)."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            same = bool(found) and found[-1][0] == column.group
            found[-1:] = [(column.group, found[-1][1] + 1)] if same else [*found[-1:], (column.group, 1)]
        return found

    def starts_group(self, index: int) -> bool:
        """Whether a column opens a group, so that a layout can draw a line before it."""
        return index > 0 and self.columns[index].group != self.columns[index - 1].group

    @property
    def warnings(self) -> list[str]:
        """A line for each row that lacks anything; a total only repeats the lines of its parts."""
        rows = zip(self.rows, self.coverage, strict=False)
        return [covered.words for row, covered in rows if not covered.complete and not row.marked]


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A row to be. arm: the arm or model whose colour the row has in the plots; marked: it is a total or a baseline;
    sub: stands beside its name."""

    name: str
    item: T
    coverage: Coverage | None = None
    arm: str = ""
    marked: bool = False
    sub: str = ""


Spec = tuple[Column, Callable[[T], Cell]]


def build(
    name: str, title: str, note: str, first: str, entries: Sequence[Entry[T]], specs: Sequence[Spec[T]]
) -> Table:
    """Columns in which no row has anything to show are left out, those of coverage never.

    first: heading of the column of names.
    """
    columns = [(column, [cell(entry.item) for entry in entries]) for column, cell in specs]
    columns = [(column, cells) for column, cells in columns if any(c != NOTHING for c in cells)]
    columns += _covered(entries)
    rows = []
    for number, entry in enumerate(entries):
        lacks = entry.coverage is not None and not entry.coverage.complete
        sub, tone = (INCOMPLETE, WORSE) if lacks else (entry.sub, None)
        head = Cell(entry.name, sub, tone, raw=entry.name)
        rows.append(TableRow((head, *(cells[number] for _, cells in columns)), entry.arm, entry.marked))
    heads = (Column(first, numeric=False), *(column for column, _ in columns))
    coverage = tuple(entry.coverage for entry in entries if entry.coverage)
    return Table(heads, tuple(rows), name, title, note, coverage)


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
    tone = None if coverage.complete else WORSE
    return Cell(text, tone=tone, raw=value, more=(("complete", coverage.complete),))


def numbers(form: fmt.Format, get: Callable[[T], float | None]) -> Callable[[T], Cell]:
    def cell(item: T) -> Cell:
        value = get(item)
        return Cell(form(value), raw=value) if fmt.known(value) else NOTHING

    return cell


def counts(get: Callable[[T], float | None]) -> Callable[[T], Cell]:
    return numbers(fmt.count, get)


def texts(get: Callable[[T], str | None]) -> Callable[[T], Cell]:
    def cell(item: T) -> Cell:
        return Cell(text, raw=text) if (text := get(item)) else NOTHING

    return cell


def with_interval(
    value: float | None,
    ci: Interval | None,
    form: fmt.Format,
    inside: fmt.Format | None = None,
    tone: Claim | None = None,
) -> Cell:
    """A value and, where there is one, its interval; `inside` writes its ends."""
    if not fmt.known(value):
        return NOTHING
    more = (("low", ci.low), ("high", ci.high)) if ci and ci.n > 1 else ()
    return Cell(form(value), fmt.bracket(ci, inside or form), tone, raw=value, more=more)


def mean(
    ci: Interval | None, form: fmt.Format, inside: fmt.Format | None = None, tone: Claim | None = None
) -> Cell:
    return with_interval(ci.mean, ci, form, inside, tone) if ci else NOTHING


def with_error(value: float | None, error: float | None) -> Cell:
    """A value and, where there is one, its standard error."""
    if not fmt.known(value):
        return NOTHING
    known = fmt.known(error)
    more = (("standard error", error),) if known else ()
    return Cell(fmt.score(value), f"± {fmt.score(error)}" if known else "", raw=value, more=more)


def over_seeds(values: Iterable[float | None], form: fmt.Format) -> Cell:
    """One value per seed: once where all look the same, else from smallest to largest."""
    present = [value for value in values if value is not None and fmt.known(value)]
    if not present:
        return NOTHING
    low, high = min(present), max(present)
    more = (("low", low), ("high", high)) if low < high else ()
    return Cell(fmt.spread(present, form), raw=sum(present) / len(present), more=more)


def pairs_table(labels: tuple[str, str], pairs: Iterable[tuple[str, str]]) -> Table:
    """Two columns: a name and its value."""
    columns = (Column(labels[0], numeric=False), Column(labels[1]))
    return Table(columns, tuple(TableRow((Cell(a), Cell(b))) for a, b in pairs))
