"""A benchmark's report as one HTML page and as Markdown, in the look of an experiment's report.

What is incomplete stands on top, under the result in a sentence; then every table with its plots; last what
could not be counted, the first 50 lines of it and how many more there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

from eval.report.page import drawn_parts, environment
from eval.report.style import Plot, model_colours
from eval.report.table import NOTHING, Table

MOST_WARNINGS, MOST_PROBLEMS = 10, 50
"""Lines spelled out; the rest are counted."""


@dataclass(frozen=True)
class Section:
    """What a page shows of one score."""

    headline: str
    tables: Sequence[Table]
    plots: Sequence[Plot]
    problems: Sequence[str]
    given: Mapping[str, str] | None = None
    """Colours of models or arms; None gives one to each, in the order of the main table."""
    advice: Sequence[str] = ()
    """What to do about it, a line each."""

    @property
    def colours(self) -> Mapping[str, str]:
        """Of the models that a plot shows."""
        if self.given is not None:
            return self.given
        rows = chain.from_iterable(table.rows for table in self.tables)
        return model_colours(list(dict.fromkeys(row.arm for row in rows if row.arm)))


def without_constants(table: Table) -> Table:
    """A judge that is the same in every row is named in the note and takes no column."""
    told, keep = [], []
    for i, column in enumerate(table.columns):
        values = {row.cells[i].text for row in table.rows if row.cells[i] != NOTHING}
        if len(values) == 1 and not column.numeric and not column.brief:
            told.append(f" {column.label.capitalize()}: {values.pop()}.")
        else:
            keep.append(i)
    columns = tuple(table.columns[i] for i in keep)
    rows = tuple(replace(row, cells=tuple(row.cells[i] for i in keep)) for row in table.rows)
    return replace(table, columns=columns, rows=rows, note=table.note + "".join(told))


def page(title: str, sections: Sequence[Section], html: bool) -> str:
    """The whole report. The Markdown names its plots as files under plots/, the HTML holds them."""
    made = environment(html)
    words = _words(title, sections)
    if not html:
        return made.get_template("scores.md.j2").render(words)
    drawn = [plot for section in sections for plot in section.plots]
    return made.get_template("scores.html.j2").render(words, **drawn_parts(drawn))


def _words(title: str, sections: Sequence[Section]) -> dict[str, Any]:
    warnings = [line for section in sections for table in section.tables for line in table.warnings]
    # in turn, so that a section with many problems does not push out those of the others
    problems = [line for lines in zip_longest(*(s.problems for s in sections)) for line in lines if line]
    shown = [replace(s, tables=[without_constants(table) for table in s.tables]) for s in sections]
    return {
        "title": title,
        "tone": "worse" if warnings else "unclear",
        "sections": shown,
        "warnings": _first(warnings, MOST_WARNINGS),
        "problems": _first(problems, MOST_PROBLEMS),
    }


def _first(lines: Sequence[str], most: int) -> list[str]:
    left = len(lines) - most
    return [*lines[:most], *([f"and {left:,} more"] if left > 0 else [])]
