"""What every report page is made of: the templates, the style, the drawings and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eval.report.layout import escape_markdown, to_markdown
from eval.report.style import Plot, svg


def environment(html: bool) -> Environment:
    """The templates beside this package; a name that a template misses is an error."""
    loader = PackageLoader("eval.report", "templates")
    made = Environment(loader=loader, autoescape=html, undefined=StrictUndefined, keep_trailing_newline=True)
    made.filters |= {"escaped": escape_markdown, "rows": to_markdown, "glued": glued}
    return made


def drawn_parts(drawn: Sequence[Plot]) -> dict[str, Any]:
    """What the HTML templates need to show plots: the style, each drawing, and how they stand in columns."""
    css = resources.files("eval.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    drawings = {plot.name: Markup(svg(plot)) for plot in drawn}
    return {"css": Markup(css), "drawings": drawings, "columns": two_columns, "plots": drawn}


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
