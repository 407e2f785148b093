"""Writes the report of a run: results.json, report.md, report.html and plots/*.png.

    paths = write_report(results, Path("runs/quickstart"))
    rich.print(console_table(results))

The words come from `text.py`, the tables from `tables.py`, the drawings from `plots.py`;
this module puts them into the templates. The HTML is one file: its style and drawings are inside it,
it runs no script and asks the network for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.table import Table as RichTable

from eval.report import format as fmt
from eval.report import plots as plots
from eval.report import tables as tables
from eval.report import text as report_text
from eval.report.console import rich_table
from eval.report.style import Plot, arm_colours, save_png, svg
from eval.results import Results
from tacos.store.files import read_json, write_json, write_text
from tacos.types import Record

SECTIONS = {
    "selection": "What was selected",
    "model": "What the models learned",
    "tags": "Tags",
    "cost": "What it cost",
}
"""Plot group -> heading; a group without plots gets no heading."""


class ReportPaths(Record):
    """What `write_report` wrote. plots: name -> PNG."""

    results: Path
    markdown: Path
    html: Path
    plots: dict[str, Path]


def load_results(path: Path) -> Results:
    """A results.json as it was written."""
    return Results.model_validate(read_json(path))


def write_report(results: Results, out: Path) -> ReportPaths:
    """Write the report into the run folder `out`; a report that is there already is replaced."""
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", results)
    drawn = list(plots.draw(results))
    pictures = {plot.name: save_png(plot, folder) for plot in drawn}
    words = _words(results, drawn)
    write_text(out / "report.md", environment(html=False).get_template("report.md.j2").render(words))
    page = environment(html=True).get_template("report.html.j2")
    html = page.render(words, **drawn_parts(drawn), colours=arm_colours(results))
    write_text(out / "report.html", html)
    return ReportPaths(
        results=out / "results.json", markdown=out / "report.md", html=out / "report.html", plots=pictures
    )


def console_table(results: Results) -> RichTable:
    """The main table for a terminal: the columns that matter first, intervals under their values."""
    table = tables.main_table(results)
    shown = [i for i, column in enumerate(table.columns) if column.brief]
    rows = [([row.cells[i] for i in shown], row.marked) for row in table.rows]
    return rich_table(report_text.headline(results).verdict, [table.columns[i] for i in shown], rows)


def environment(html: bool) -> Environment:
    """The templates beside this package; a name that a template misses is an error."""
    loader = PackageLoader("eval.report", "templates")
    made = Environment(loader=loader, autoescape=html, undefined=StrictUndefined, keep_trailing_newline=True)
    made.filters["pipes"] = markdown_table
    made.filters["glued"] = glued
    return made


def drawn_parts(drawn: Sequence[Plot]) -> dict[str, Any]:
    """What the HTML templates need to show plots: the style, each drawing, and how they stand in columns."""
    css = resources.files("eval.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    drawings = {plot.name: Markup(svg(plot)) for plot in drawn}
    return {"css": Markup(css), "drawings": drawings, "columns": two_columns, "plots": drawn}


def glued(text: str) -> str:
    """No line break inside 228 / 60 / 72, and in 36,111 to 36,378 only before the "to"."""
    return text.replace(" / ", "\u00a0/\u00a0").replace(" to ", " to\u00a0")


def markdown_table(table: tables.Table) -> str:
    """A pipe table; the interval stands behind its value, a group's name before its column's."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    repeated = {c.label for c in table.columns if [o.label for o in table.columns].count(c.label) > 1}
    heads = [f"{c.group}: {c.label}" if c.label in repeated else c.label for c in table.columns]
    rule = ["---:" if c.numeric else "---" for c in table.columns]
    rows = [[_markdown_cell(cell) for cell in row.cells] for row in table.rows]
    return "\n".join(line(cells) for cells in (heads, rule, *rows))


def _markdown_cell(cell: tables.Cell) -> str:
    sub = cell.sub if not cell.sub or cell.sub.startswith("[") else f"({cell.sub})"
    return f"{cell.text} {sub}".strip()


def two_columns(found: Sequence[Plot]) -> list[list[Plot]]:
    """The plots of a section in one or two columns of about the same height, in reading order."""
    columns: list[list[Plot]] = [[], []]
    heights = [0.0, 0.0]
    for plot in found:
        side = 0 if heights[0] <= heights[1] else 1
        columns[side].append(plot)
        heights[side] += float(plot.figure.get_figheight()) + 1.2  # the heading and the caption
    return [column for column in columns if column]


def _words(results: Results, drawn: Sequence[Plot]) -> dict[str, Any]:
    """Everything that both templates show."""
    groups = {plot.group for plot in drawn}
    return {
        "results": results,
        "headline": report_text.headline(results),
        "tiles": tables.lead_cells(results),
        "parts_sentence": report_text.parts_sentence(results),
        "facts": _facts(results),
        "main": tables.main_table(results),
        "main_note": _main_note(results),
        "row_warnings": report_text.row_warnings(results),
        "gains": tables.gains_table(results),
        "gains_note": _gains_note(results),
        "plots": drawn,
        "sections": [(group, heading) for group, heading in SECTIONS.items() if group in groups],
        "budget": tables.budget_table(results),
        "budget_sentence": _budget_sentence(results),
        "warnings": report_text.budget_warnings(results),
        "source": results.pool.get("source"),
        "pool": tables.pool_table(results),
        "versions": tables.pairs_table(("package", "version"), results.versions.items()),
        "trace": tables.trace_table(results),
        "repeat_sentence": _repeat_sentence(results),
        "usage_sentence": _usage_sentence(results),
    }


def _facts(results: Results) -> list[tuple[str, str]]:
    seeds = fmt.spread([len(s.seeds) for s in results.summary], fmt.count)
    facts = [
        ("budget", f"{results.budget:,} of {results.pool_audit.rows:,} rows"),
        ("training", results.training_budget),
        ("questions", fmt.count(results.questions) if results.questions else ""),
        ("seeds", seeds),
        ("created", results.created),
    ]
    return [(name, value) for name, value in facts if value]


def _main_note(results: Results) -> str:
    seeds = max((len(s.seeds) for s in results.summary), default=0)
    over = "questions and seeds" if seeds > 1 else "questions; there is one seed"
    losses = [s for s in results.summary if s.heldout_loss and s.heldout_loss.n <= len(s.seeds)]
    other = ["defect rate: over distinct rows"] if any(s.defect_rate for s in results.summary) else []
    other += ["held-out loss: over seeds only"] if seeds > 1 and losses else []
    over += f" ({', '.join(other)})" if other else ""
    ranges = " Where seeds differ, the smallest and largest are given." if seeds > 1 else ""
    intervals = f"In brackets: 95% bootstrap intervals over {over}."
    unpriced = any(run.selection_usage.unpriced_calls for run in results.runs)
    price = " Price unknown, or + unpriced: calls to an LLM without prices in the config." if unpriced else ""
    return f"Best first. {intervals}{ranges} A dash means not known or not done.{price}"


def _gains_note(results: Results) -> str:
    return (
        f"Differences from {results.baseline} with 95% intervals, exact match paired by question and seed,"
        " defect rate by row."
        " An interval that covers zero (for the winning score: one) supports no claim either way."
    )


def _budget_sentence(results: Results) -> str:
    limit = f"{report_text.TOLERANCE:.0%}"
    if report_text.budget_warnings(results):
        return (
            f"The arms did not all train on the same budget (more than {limit} apart, or on other templates)."
        )
    return (
        f"Every trained arm had the same loss tokens and steps to within {limit}: {results.training_budget}."
    )


def _repeat_sentence(results: Results) -> str:
    return (
        f"To repeat this run, check out commit {results.commit}, install the versions below and give the"
        " config.yaml beside this report to tacos run. Finished stages are taken from the artifact store, so"
        " with it nothing is computed or paid twice. The folders below stand under the artifact root."
    )


def _usage_sentence(results: Results) -> str:
    used = results.total_usage
    tokens = fmt.count(used.prompt_tokens + used.completion_tokens)
    calls = f"{fmt.count(used.calls)} paid LLM calls ({fmt.count(used.failed_calls)} failed), {tokens} tokens"
    money = fmt.paid([used.cost_usd], used.unpriced_calls, "money that is not known (price unknown)")
    return (
        f"This invocation took {fmt.duration(used.seconds)}, {calls} and {money};"
        f" {fmt.count(used.cached_calls)} calls were answered from the cache."
    )
