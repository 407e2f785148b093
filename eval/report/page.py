"""What every report page is made of: the templates, the style, the drawings and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eval.report.layout import escape_markdown, to_markdown
from eval.report.style import Plot, svg
from eval.report.table import SAMPLES, Column, TableRow


def environment(html: bool) -> Environment:
    """The templates beside this package; a name that a template misses is an error."""
    loader = PackageLoader("eval.report", "templates")
    made = Environment(loader=loader, autoescape=html, undefined=StrictUndefined, keep_trailing_newline=True)
    made.filters |= {"escaped": escape_markdown, "rows": to_markdown, "glued": glued}
    return made


PAGE = "page"
"""The folder in a run's that holds the page of its samples and answers, which numbers link to."""
PAGE_FILE = f"{PAGE}/index.html"
Link = Callable[[TableRow, Column], str]
"""Where a number leads, "" for nowhere."""


def page_links(page: str, run: str, baseline: str) -> Link:
    """Into the page of `tacos view` at `page`: an arm's rows, or its answers beside the baseline's."""

    def link(row: TableRow, column: Column) -> str:
        kind, _, asked = column.shows.partition("/")
        if not kind or not row.arm:
            return ""
        other = baseline if row.arm != baseline else ""
        query = {"filter": "selected"} if kind == SAMPLES else {"of": asked, "other": other}
        known = {name: value for name, value in {"arm": row.arm, **query}.items() if value}
        return f"{page}#/run/{quote(run)}/{kind}?{urlencode(known)}"

    return link


def drawn_parts(drawn: Sequence[Plot], link: Link = lambda row, column: "") -> dict[str, Any]:
    """What the HTML templates need to show plots: the style, each drawing, and how they stand in columns; and where
    numbers lead."""
    css = resources.files("eval.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    drawings = {plot.name: Markup(svg(plot)) for plot in drawn}
    return {"css": Markup(css), "drawings": drawings, "columns": two_columns, "plots": drawn, "link": link}


def glued(text: str) -> str:
    """No line break inside 228 / 60 / 72, and in 36,111 to 36,378 only before the "to"."""
    return text.replace(" / ", "\u00a0/\u00a0").replace(" to ", " to\u00a0")


def two_columns(found: Sequence[Plot]) -> list[list[Plot]]:
    """The plots of a section in one or two columns of about the same height, in reading order."""
    columns: list[list[Plot]] = [[], []]
    heights = [0.0, 0.0]
    for plot in found:
        side = 0 if heights[0] <= heights[1] else 1
        columns[side].append(plot)
        heights[side] += float(plot.figure.get_figheight()) + 1.2  # the heading and the caption
    return [column for column in columns if column]
