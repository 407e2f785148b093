"""The tables of an experiment for a paper: `tables/` of the run folder, as Markdown, CSV and LaTeX.

    main       every arm by the main measures, with 95% intervals
    sets       the same by question set, where several were asked
    gains      every arm minus the baseline, paired, by every measure that compares
    design     where the arms are an ablation by design: every combination of levels
    effects    what each of its factors brings
    overlap    CSV alone: the rows that two selections share, by seed

The baseline arm stands first, and the best value of a column is bold: the best as written, so that equal figures are
bold together, and never one that is no better than the baseline. Bold claims nothing; the interval does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.arms import Arm, arm_table, ordered_arms
from eval.report.claims import compared
from eval.report.effects import factorial_tables
from eval.report.gains import gain_cell
from eval.report.layout import to_csv, write_table
from eval.report.overlap import overlap_table
from eval.report.table import Cell, Column, Spec, Table, mean
from eval.results import Results
from tacos.store.files import write_text

TABLES = "tables"


def write_tables(results: Results, folder: Path) -> list[Path]:
    """Write every table that the experiment has numbers for; files of these names are replaced, others left alone."""
    pairs = zip(arm_tables(results), arm_tables(results, units=False), strict=True)
    written = [path for table, plain in pairs for path in write_table(folder, table, _flagged(plain))]
    designs = zip(factorial_tables(results), factorial_tables(results, units=False), strict=True)
    written += [path for table, plain in designs for path in write_table(folder, table, plain)]
    if shared := overlap_table(results):
        write_text(folder / "overlap.csv", to_csv(shared))
        written.append(folder / "overlap.csv")
    return written


def arm_tables(results: Results, units: bool = True) -> list[Table]:
    """Those with a number in them. units: whether heads name them; those of numbers that are not scaled do not."""
    whole = [m for m in results.measures if not m.of_set]
    sets = [m for m in results.measures if m.of_set]
    found = [
        measures_table(results, "main", "Arms", whole, units),
        measures_table(results, "sets", "Arms by question set", sets, units),
        paired_table(results, units),
    ]
    return [table for table in found if table.rows and len(table.columns) > 1]


def measures_table(
    results: Results, name: str, title: str, measures: Sequence[Measure], units: bool = True
) -> Table:
    """Arms by measures, the baseline first and then the best first."""
    arms = sorted(ordered_arms(results), key=lambda arm: arm.summary.arm != results.baseline)

    def spec(measure: Measure) -> Spec[Arm]:
        form = fmt.UNITS[measure.unit]
        head = Column(fmt.headed(measure.title, form.axis if units and form.axis != "%" else ""))

        def cell(arm: Arm) -> Cell:
            return mean(arm.summary.interval(measure.name), form.value, form.inside)

        return _bold_best(head, cell, arms, measure, measure.neutral)

    note = f"In brackets: 95% intervals. Bold: the best of a column.{_lower(measures)}"
    return arm_table(results, name, title, note, [spec(m) for m in measures], arms)


def paired_table(results: Results, units: bool = True) -> Table:
    """Arms by what they gain over the baseline."""
    arms = [arm for arm in ordered_arms(results) if arm.summary.arm != results.baseline]
    measures = [m for m in results.measures if m.compared]

    def spec(measure: Measure) -> Spec[Arm]:
        form, neutral = fmt.UNITS[measure.unit], 0.0 if measure.difference else measure.neutral
        unit = form.difference_in if measure.difference else f"{form.plain(neutral)} is a draw"

        def cell(arm: Arm) -> Cell:
            return gain_cell(compared(measure, arm.summary))

        head = Column(fmt.headed(measure.title, unit if units else ""))
        return _bold_best(head, cell, arms, measure, neutral)

    note = (
        f"Differences from {results.baseline}, in brackets their 95% intervals. Bold: the best of a column,"
        f" where it is better than {results.baseline}.{_lower(measures)}"
    )
    title = f"Compared with {results.baseline}"
    return arm_table(results, "gains", title, note, [spec(m) for m in measures], arms)


def _lower(measures: Sequence[Measure]) -> str:
    titles = [m.title for m in measures if m.better == "lower"]
    return f" Lower is better: {fmt.listing(titles)}." if titles else ""


def _bold_best(
    column: Column, get: Callable[[Arm], Cell], arms: Sequence[Arm], measure: Measure, neutral: float | None
) -> Spec[Arm]:
    """neutral: the value that the best one has to beat, where there is one."""
    best = best_text([get(arm) for arm in arms], measure.better == "lower", neutral)

    def cell(arm: Arm) -> Cell:
        found = get(arm)
        return replace(found, best=best is not None and found.text == best)

    return column, cell


def best_text(cells: Sequence[Cell], lower_is_better: bool, neutral: float | None = None) -> str | None:
    """How the best of a column is written; None where there is nothing to be better than.

    >>> best_text([Cell("61.2%", raw=0.612), Cell("48.9%", raw=0.489), Cell("-")], lower_is_better=False)
    '61.2%'
    """
    sign = -1.0 if lower_is_better else 1.0
    known = [(sign * cell.raw, cell.text) for cell in cells if isinstance(cell.raw, int | float)]
    least = [sign * neutral] if neutral is not None else []
    if len(known) + len(least) < 2 or not known:
        return None
    value, text = max(known)
    return text if not least or value > least[0] else None


def _flagged(table: Table) -> Table:
    """With a column that says which row is the baseline's, for programs."""
    first, *others = table.columns
    rows = tuple(
        replace(row, cells=(row.cells[0], Cell(str(row.marked).lower(), raw=row.marked), *row.cells[1:]))
        for row in table.rows
    )
    return replace(table, columns=(first, Column("baseline", numeric=False), *others), rows=rows)
