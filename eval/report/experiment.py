"""Writes the report of a run: results.json, report.md, report.html, plots/*.png and tables/*.

    paths = write_report(results, Path("runs/quickstart"))
    rich.print(console_table(results))

The words come from `text.py` and `notices.py`, the tables from `arms.py`, the drawings from `plots.py`;
this module puts them into the templates. The HTML is one file: its style and drawings are inside it,
it runs no script and asks the network for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable

from eval.report import arms as arms
from eval.report import format as fmt
from eval.report import gains as gains
from eval.report import notices as notices
from eval.report import plots as plots
from eval.report.arm_tables import TABLES, write_tables
from eval.report.certainty import certainty_tables
from eval.report.console import rich_table
from eval.report.effects import factorial_tables
from eval.report.page import PAGE_FILE, drawn_parts, environment, page_links
from eval.report.scorers import scorers_tables
from eval.report.style import Plot, arm_colours, save_png
from eval.report.table import pairs_table
from eval.report.text import headline
from eval.report.variation import variation_tables
from eval.results import RESULTS, Results
from tacos.store.files import write_json, write_text
from tacos.types import Record

SECTIONS = {
    "selection": "What was selected",
    "overlap": "Rows that selections share",
    "model": "What the models learned",
    "tags": "Tags",
    "rounds": "Rounds of judging",
    "cost": "What it cost",
}
"""Plot group -> heading; a group without plots gets no heading."""
SMALL = 100_000_000
"""Parameters below which a model is for trying things out."""


class ReportPaths(Record):
    """What `write_report` wrote. tables: Markdown, CSV and LaTeX; plots: name -> PNG."""

    results: Path
    markdown: Path
    html: Path
    tables: list[Path]
    plots: dict[str, Path]


def write_report(results: Results, out: Path, linked: bool = False) -> ReportPaths:
    """Write the report into the run folder `out`; a report that is there already is replaced.

    linked: its numbers lead to the page in `out` / "page", which shows the samples and answers behind them.
    """
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(out / RESULTS, results)
    drawn = list(plots.draw(results))
    pictures = {plot.name: save_png(plot, folder) for plot in drawn}
    words = _words(results, drawn)
    write_text(out / "report.md", environment(html=False).get_template("report.md.j2").render(words))
    template = environment(html=True).get_template("report.html.j2")
    links = [page_links(PAGE_FILE, results.name, results.baseline)] if linked else []
    html = template.render(words, **drawn_parts(drawn, *links), colours=arm_colours(results))
    write_text(out / "report.html", html)
    return ReportPaths(
        results=out / RESULTS,
        markdown=out / "report.md",
        html=out / "report.html",
        tables=write_tables(results, out / TABLES),
        plots=pictures,
    )


def console_table(results: Results) -> RichTable:
    """The main table for a terminal: the columns that matter first, intervals under their values."""
    table = arms.main_table(results)
    shown = [i for i, column in enumerate(table.columns) if column.brief]
    rows = [([row.cells[i] for i in shown], row.marked) for row in table.rows]
    return rich_table(headline(results).verdict, [table.columns[i] for i in shown], rows)


def _words(results: Results, drawn: Sequence[Plot]) -> dict[str, Any]:
    """Everything that both templates show."""
    groups = {plot.group for plot in drawn}
    return {
        "results": results,
        "headline": headline(results),
        "tiles": gains.lead_cells(results),
        "parts_sentence": notices.parts_sentence(results),
        "facts": _facts(results),
        "main": arms.main_table(results),
        "row_warnings": notices.row_warnings(results),
        "protocol": notices.protocol_notes(results),
        "gains": gains.gains_table(results),
        "further": [
            *factorial_tables(results),
            *variation_tables(results),
            *scorers_tables(results),
            *certainty_tables(results),
        ],
        "plots": drawn,
        "sections": [(group, heading) for group, heading in SECTIONS.items() if group in groups],
        "rounds": arms.rounds_table(results),
        "budget": arms.budget_table(results),
        "budget_sentence": _budget_sentence(results),
        "warnings": notices.budget_warnings(results),
        "source": results.pool.get("source"),
        "pool": arms.pool_table(results),
        "versions": pairs_table(("package", "version"), results.versions.items()),
        "trace": arms.trace_table(results),
        "repeat_sentence": _repeat_sentence(results),
        "usage_sentence": _usage_sentence(results),
    }


def _facts(results: Results) -> list[tuple[str, str]]:
    seeds = fmt.spread([len(s.seeds) for s in results.summary], fmt.count)
    facts = [
        ("budget", f"{results.budget:,} of {results.pool_audit.rows:,} rows"),
        ("training", results.training_budget),
        ("model", _small_model(results)),
        ("questions", fmt.count(results.questions) if results.questions else ""),
        ("answers", results.answering),
        ("seeds", seeds),
        ("created", results.created),
    ]
    return [(name, value) for name, value in facts if value]


def _small_model(results: Results) -> str:
    """What the figures of a model that is there to try things out do not tell; "" for a larger one."""
    sizes = [run.trained.parameters for run in results.runs if run.trained and run.trained.parameters]
    if not sizes or max(sizes) >= SMALL:
        return ""
    return f"{max(sizes) / 1e6:.2g} million parameters, too few to say anything of large models"


def _budget_sentence(results: Results) -> str:
    limit = f"{notices.TOLERANCE:.0%}"
    if notices.budget_warnings(results):
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
