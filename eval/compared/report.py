"""Two arms side by side as tables: measures, rows in common, settings that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.report import format as fmt
from eval.report.claims import Claim
from eval.report.comparisons import p_cell
from eval.report.score_report import Figures, ScoreReport, with_ends
from eval.report.table import Cell, Column, Entry, Spec, Table, build, counts, mean, texts
from eval.spread import ALPHA

if TYPE_CHECKING:
    from eval.compared.compare import ArmsCompared, Changed, Gap, Share


def tables(found: ArmsCompared) -> list[Table]:
    """Those that have a row."""
    made = [_measures(found), _rows(found), _settings(found)]
    return [table for table in made if table.rows]


def _measures(found: ArmsCompared) -> Table:
    entries = [Entry(gap.measure.title, gap) for gap in found.gaps]
    specs: list[Spec[Gap]] = [
        (Column(found.a), lambda gap: _value(gap, "a")),
        (Column(found.b), lambda gap: _value(gap, "b")),
        (Column("difference"), _difference),
        (Column("p"), lambda gap: p_cell(gap.p_value)),
        (Column("p, Holm"), lambda gap: p_cell(gap.p_holm)),
    ]
    note = (
        f"{found.a} minus {found.b}, paired by question or row and by seed, with 95% intervals; p of no difference, and"
        " corrected by Holm over the measures."
    )
    return build("compared", f"{found.a} beside {found.b}", note, "measure", entries, specs)


def _value(gap: Gap, side: str) -> Cell:
    form = fmt.UNITS[gap.measure.unit]
    return mean(getattr(gap, side), form.value, form.inside)


def _difference(gap: Gap) -> Cell:
    if gap.difference is None:
        return Cell(fmt.UNKNOWN)
    cell = mean(gap.difference, fmt.UNITS[gap.measure.unit].difference)
    return Cell(cell.text, cell.sub, _claim(gap), cell.raw, cell.more)


def _claim(gap: Gap) -> Claim | None:
    """Whether A is better or worse than B beyond noise."""
    if gap.difference is None or gap.p_holm is None or gap.p_holm > ALPHA:
        return None
    return "better" if (gap.difference.mean > 0) == (gap.measure.better == "higher") else "worse"


def _rows(found: ArmsCompared) -> Table:
    parts = found.rows.parts if found.rows else []
    entries = [Entry(part.label, part) for part in parts]
    specs: list[Spec[Share]] = [
        (Column("by", numeric=False), texts(lambda part: part.what)),
        (Column(found.a), counts(lambda part: part.a)),
        (Column(found.b), counts(lambda part: part.b)),
        (Column("in both"), counts(lambda part: part.shared)),
    ]
    note = f"{_shared(found)} Of the first seed; groups are those of the first arm that has any."
    return build("rows_compared", "Rows by group, source and length", note, "rows of", entries, specs)


def _shared(found: ArmsCompared) -> str:
    if found.rows is None:
        return ""
    rows = found.rows
    return (
        f"{fmt.count(rows.shared)} rows are in both, of {fmt.count(rows.a)} and {fmt.count(rows.b)} (Jaccard index"
        f" {rows.jaccard:.2f})."
    )


def _settings(found: ArmsCompared) -> Table:
    entries = [Entry(change.path, change) for change in found.settings]
    specs: list[Spec[Changed]] = [
        (Column(found.a, numeric=False), texts(lambda change: _shown(change.a))),
        (Column(found.b, numeric=False), texts(lambda change: _shown(change.b))),
    ]
    return build("settings_compared", "Settings that differ", "A dash: not set.", "setting", entries, specs)


def _shown(value: object) -> str:
    return fmt.UNKNOWN if value is None else str(value)


def problems(found: ArmsCompared) -> list[str]:
    lost = [gap.measure.title for gap in found.gaps if gap.difference is None]
    return (
        [
            f"no difference of {fmt.listing(lost)}: that takes at least 2 questions, rows or seeds which both have"
        ]
        if lost
        else []
    )


def headline(found: ArmsCompared) -> str:
    claims = [(gap, _claim(gap)) for gap in found.gaps]
    words = [f"{gap.measure.title} {_difference(gap).text} ({claim})" for gap, claim in claims if claim]
    told = f"{found.a} against {found.b}: {fmt.listing(words)}." if words else ""
    none = f"{found.a} beside {found.b}."
    if found.gaps:
        known = fmt.plural(len(found.gaps), "measure")
        none = f"No difference between {found.a} and {found.b} can be claimed by any of {known}."
    return " ".join(part for part in (told or none, _shared(found)) if part)


def figures(found: ArmsCompared) -> Figures:
    values: dict[str, float | None] = {}
    for gap in found.gaps:
        values |= with_ends(f"difference/{gap.measure.name}", gap.difference)
    return {f"{found.a} - {found.b}": values}


COMPARED: ScoreReport[ArmsCompared] = ScoreReport("compared", tables, problems, headline, figures)
