"""Reports of benchmark scores, of whatever kind: for a terminal, as files, and to Weights & Biases.

    scores = score_single([Path("judgments.jsonl")])
    for table in console_tables(scores):
        rich.print(table)
    written = write_score_report(Path("runs/mt-bench-m"), "MT-Bench", [scores])
    track_scores(tracker, [scores], written)

    runs/mt-bench-m/scores.json, report.md, report.html
    runs/mt-bench-m/tables/mt_bench.{md,csv,tex}
    runs/mt-bench-m/plots/mt_bench_radar.png

What a kind of score shows stands beside its benchmark, as a `ScoreReport`. Nothing that draws is imported before
a report is written, so that printing a score costs no more than computing it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from eval.report import format as fmt
from eval.report.coverage import Coverage, coverage_counts
from eval.report.layout import records, write_table
from eval.report.score_report import ScoreReport
from eval.report.table import COVERAGE, Cell, Column, Table
from tacos.store.files import write_json, write_text
from tacos.types import Record

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from eval.report.style import Plot
    from tacos.tracking.tracker import Tracker

N = TypeVar("N", "Table", "Plot")


class ScorePaths(Record):
    """What `write_score_report` wrote. tables: name -> Markdown, CSV, LaTeX; plots: name -> PNG."""

    scores: Path
    markdown: Path
    html: Path
    tables: dict[str, tuple[Path, ...]]
    plots: dict[str, Path]


def report_of(score: Any) -> ScoreReport[Any]:
    """The report that a score's class names. Raises: TypeError for a class that names none."""
    named = getattr(type(score), "report", None)
    if named is None:
        raise TypeError(f"no report of a {type(score).__name__}: its class names none under `report`")
    module, name = named.split(":")
    return getattr(import_module(module), name)


def problems_of(score: Any) -> list[str]:
    """What could not be counted, or not as usual, and why: a line each."""
    return [" ".join(line.split()) for line in report_of(score).problems(score)]


def advice_of(score: Any) -> list[str]:
    """What to do about a score, after its headline: a line each, none for most kinds."""
    report = report_of(score)
    advice = report.advice(score)
    return [report.headline(score), *advice] if advice else []


def console_tables(score: Any) -> list[RichTable]:
    """For a terminal: the brief columns, and always how much was judged and why not all."""
    return [_console_table(table) for table in report_of(score).tables(score)]


def _console_table(table: Table) -> RichTable:
    """Counts that are 0 in every row stand below the table, where they take no column."""
    from eval.report.console import rich_table

    covered = table.coverage
    shown = [i for i, column in enumerate(table.columns) if column.brief and column.group != COVERAGE]
    lacks = [(label, [get(c) for c in covered]) for label, get in coverage_counts(covered)]
    some = [(label, values) for label, values in lacks if any(value != 0 for value in values)]
    columns = [table.columns[i] for i in shown]
    columns += [Column(label) for label in ("judged", *(label for label, _ in some)) if covered]
    rows = []
    for number, row in enumerate(table.rows):
        cells = [row.cells[i] for i in shown]
        if covered:
            cells += [_judged(covered[number]), *(Cell(fmt.count(values[number])) for _, values in some)]
        rows.append((cells, row.marked))
    none = [label for label, values in lacks if covered and not any(value != 0 for value in values)]
    return rich_table(table.title, columns, rows, f"0 in every row: {', '.join(none)}" if none else "")


def _judged(coverage: Coverage) -> Cell:
    expected = "?" if coverage.expected is None else fmt.count(coverage.expected)
    return Cell(f"{fmt.count(coverage.judged)}/{expected}")


def write_score_report(out: Path, title: str, scores: Sequence[Any]) -> ScorePaths:
    """Write the report of `scores` into the folder `out`; one that is there already is overwritten.

    Raises: TacosError when the folder cannot be written; TypeError for what is no score.
    """
    from eval.report.score_page import Section, page
    from eval.report.style import save_png

    write_json(out / "scores.json", {"title": title, "scores": [_as_json(score) for score in scores]})
    tables = _distinct([report_of(score).tables(score) for score in scores])
    plots = _distinct([report_of(score).plots(score) for score in scores])
    written = {table.name: write_table(out / "tables", table) for own in tables for table in own}
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {plot.name: save_png(plot, folder) for own in plots for plot in own}
    sections = [
        Section(
            report_of(score).headline(score),
            own,
            drawn,
            problems_of(score),
            advice=report_of(score).advice(score),
        )
        for score, own, drawn in zip(scores, tables, plots, strict=True)
    ]
    paths = ScorePaths(
        scores=out / "scores.json",
        markdown=out / "report.md",
        html=out / "report.html",
        tables=written,
        plots=pictures,
    )
    write_text(paths.markdown, page(title, sections, html=False))
    write_text(paths.html, page(title, sections, html=True))
    return paths


def _as_json(score: Any) -> dict[str, Any]:
    """As the command line prints it, behind its kind."""
    as_json = getattr(score, "as_json", None)
    return {"kind": report_of(score).name} | (as_json() if as_json else score.model_dump())


def _distinct(groups: Sequence[Sequence[N]]) -> list[list[N]]:
    """The same with distinct names: of two scores of one kind, the second's are numbered."""
    seen: Counter[str] = Counter()
    found = []
    for group in groups:
        seen.update(item.name for item in group)
        found.append([replace(i, name=f"{i.name}_{seen[i.name]}") if seen[i.name] > 1 else i for i in group])
    return found


def track_scores(tracker: Tracker, scores: Sequence[Any], written: ScorePaths | None) -> None:
    """Every table as a W&B table; of a report its plots as images and the page; of a single model its figures, and
    how much could not be counted.

    mt_bench/average -> 6.0825; problems -> 1; tables/mt_bench; plots/mt_bench_radar; report
    """
    for table in chain(*_distinct([report_of(score).tables(score) for score in scores])):
        tracker.table(f"tables/{table.name}", records(table))
    tracker.summary({"problems": sum(len(problems_of(score)) for score in scores)})
    figures = figures_of(scores)
    if len(figures) == 1:
        tracker.summary(next(iter(figures.values())))
    if written:
        for name, path in written.plots.items():
            tracker.image(f"plots/{name}", path)
        tracker.page("report", written.html)


def figures_of(scores: Sequence[Any]) -> dict[str, dict[str, float | None]]:
    """Model, pair or judge -> all its figures, under their names in W&B."""
    found: dict[str, dict[str, float | None]] = {}
    for score in scores:
        for name, figures in report_of(score).figures(score).items():
            found.setdefault(name, {}).update(figures)
    return found
