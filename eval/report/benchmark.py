"""Reports of benchmark scores, of whatever kind: for a terminal, as files, and to Weights & Biases.

    scores = score_single([Path("judgments.jsonl")])
    for table in console_tables(scores):
        rich.print(table)
    written = write_bench_report(Path("runs/mt-bench-m"), "MT-Bench", [scores])
    to_tracker(tracker, [scores], written)

    runs/mt-bench-m/scores.json, report.md, report.html
    runs/mt-bench-m/tables/mt_bench.{md,csv,tex}
    runs/mt-bench-m/plots/mt_bench_radar.png

What a kind of score shows stands in `eval/report/bench/`, a module for each. Nothing that draws is imported
before a report is written, so that printing a score costs no more than computing it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from eval.report import format as fmt
from eval.report.bench.alpaca_eval import ALPACA_EVAL
from eval.report.bench.judges import JUDGE
from eval.report.bench.layout import escape_markdown, records, to_csv, to_latex, to_markdown
from eval.report.bench.mt_bench import SINGLE
from eval.report.bench.mt_bench_pairs import PAIRS
from eval.report.bench.ratings import RATINGS
from eval.report.bench.reviews import REVIEWS
from eval.report.bench.table import COVERAGE, BenchTable, Coverage, Kind, coverage_counts
from eval.report.tables import Cell, Column
from tacos.store.files import write_json, write_text
from tacos.types import Record

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from eval.alpaca_eval.score import AlpacaEvalResult
    from eval.bradley_terry import Ratings
    from eval.judge_check import JudgeReport
    from eval.mt_bench.pairs import PairScores
    from eval.mt_bench.score import SingleScores
    from eval.pairwise.score import PairwiseScores
    from eval.report.style import Plot
    from tacos.tracking import Tracker

    Score = SingleScores | PairScores | AlpacaEvalResult | PairwiseScores | JudgeReport | Ratings

KINDS: Mapping[str, Kind[Any]] = {
    "SingleScores": SINGLE,
    "PairScores": PAIRS,
    "AlpacaEvalResult": ALPACA_EVAL,
    "PairwiseScores": REVIEWS,
    "JudgeReport": JUDGE,
    "Ratings": RATINGS,
}
"""By the name of the score's class: importing all six classes would take longer than to show one score."""
N = TypeVar("N", "BenchTable", "Plot")


class BenchPaths(Record):
    """What `write_bench_report` wrote. tables: name -> Markdown, CSV, LaTeX; plots: name -> PNG."""

    scores: Path
    markdown: Path
    html: Path
    tables: dict[str, tuple[Path, ...]]
    plots: dict[str, Path]


def kind_of(score: Score) -> Kind[Any]:
    """Raises: TypeError for what is no score of a benchmark."""
    kind = KINDS.get(type(score).__name__)
    if kind is None:
        raise TypeError(f"no report of a {type(score).__name__}; there are those of {', '.join(KINDS)}")
    return kind


def tables_of(score: Score) -> list[BenchTable]:
    """The main table first."""
    return kind_of(score).tables(score)


def plots_of(score: Score) -> list[Plot]:
    """Every plot that the score has data for; each is of the group named like the score's main table."""
    from eval.report.bench.plots import draw

    return draw(score)


def problems_of(score: Score) -> list[str]:
    """What could not be counted, or not as usual, and why: a line each."""
    return [" ".join(line.split()) for line in kind_of(score).problems(score)]


def console_tables(score: Score) -> list[RichTable]:
    """For a terminal: the brief columns, and always how much was judged and why not all."""
    return [_console_table(bench) for bench in tables_of(score)]


def _console_table(bench: BenchTable) -> RichTable:
    """Counts that are 0 in every row stand below the table, where they take no column."""
    from eval.report.console import rich_table

    table, covered = bench.table, bench.coverage
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
    return rich_table(bench.title, columns, rows, f"0 in every row: {', '.join(none)}" if none else "")


def _judged(coverage: Coverage) -> Cell:
    expected = "?" if coverage.expected is None else fmt.count(coverage.expected)
    return Cell(f"{fmt.count(coverage.judged)}/{expected}")


def write_bench_report(out: Path, title: str, scores: Sequence[Score]) -> BenchPaths:
    """Write the report of `scores` into the folder `out`; one that is there already is overwritten.

    Raises: TacosError when the folder cannot be written; TypeError for what is no score.
    """
    from eval.report.bench.page import Section, page
    from eval.report.style import save_png

    write_json(out / "scores.json", {"title": title, "scores": [_as_json(score) for score in scores]})
    tables = _distinct([tables_of(score) for score in scores])
    plots = _distinct([plots_of(score) for score in scores])
    written = {bench.name: _write_table(out / "tables", bench) for own in tables for bench in own}
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {plot.name: save_png(plot, folder) for own in plots for plot in own}
    sections = [
        Section(kind_of(score).headline(score), benches, drawn, problems_of(score))
        for score, benches, drawn in zip(scores, tables, plots, strict=True)
    ]
    paths = BenchPaths(
        scores=out / "scores.json",
        markdown=out / "report.md",
        html=out / "report.html",
        tables=written,
        plots=pictures,
    )
    write_text(paths.markdown, page(title, sections, html=False))
    write_text(paths.html, page(title, sections, html=True))
    return paths


def _as_json(score: Score) -> dict[str, Any]:
    """As the command line prints it, behind its kind."""
    as_json = getattr(score, "as_json", None)
    return {"kind": kind_of(score).name} | (as_json() if as_json else score.model_dump())


def _write_table(folder: Path, bench: BenchTable) -> tuple[Path, ...]:
    title, note = escape_markdown(bench.title), escape_markdown(bench.note)
    texts = {
        "md": f"# {title}\n\n{note}\n\n{to_markdown(bench.table)}\n",
        "csv": to_csv(bench.table),
        "tex": to_latex(bench),
    }
    for ending, text in texts.items():
        write_text(folder / f"{bench.name}.{ending}", text)
    return tuple(folder / f"{bench.name}.{ending}" for ending in texts)


def _distinct(groups: Sequence[Sequence[N]]) -> list[list[N]]:
    """The same with distinct names: of two scores of one kind, the second's are numbered."""
    seen: Counter[str] = Counter()
    found = []
    for group in groups:
        seen.update(item.name for item in group)
        found.append([replace(i, name=f"{i.name}_{seen[i.name]}") if seen[i.name] > 1 else i for i in group])
    return found


def to_tracker(tracker: Tracker, scores: Sequence[Score], written: BenchPaths) -> None:
    """Every table as a W&B table, every plot as an image, the main figures as a summary.

    mt_bench/m_1/average -> 6.0825; mt_bench/problems -> 1; tables/mt_bench; plots/mt_bench_radar
    """
    for bench in chain(*_distinct([tables_of(score) for score in scores])):
        tracker.table(f"tables/{bench.name}", records(bench.table))
    for name, path in written.plots.items():
        tracker.image(f"plots/{name}", path)
    for score in scores:
        kind = kind_of(score)
        figures = {f"{kind.name}/{name}": value for name, value in kind.figures(score).items()}
        known = {name: value for name, value in figures.items() if value is not None}
        tracker.summary(known | {f"{kind.name}/problems": len(problems_of(score))})
