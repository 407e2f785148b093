"""Tables for a paper: the baseline first, the best in bold, names that break nothing, the same files twice."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.question_sets import of_set
from eval.report.arm_tables import arm_tables, best_text, write_tables
from eval.report.experiment import write_report
from eval.report.layout import to_latex, to_markdown
from eval.report.table import Cell
from eval.results import ArmMeasure, Effect, Results
from tacos.cli.app import app
from tests.eval.fixtures import ARMS, interval, make_results

SMALL = tuple(arm for arm in ARMS if arm.name in ("tacos", "random", "longest"))


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results(arms=SMALL)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|") or line.endswith(r"\\")]


def test_arms_by_measures(results: Results) -> None:
    main, _ = arm_tables(results)
    assert lines(to_markdown(main)) == [
        "| arm | exact match | held-out loss, nats | winning score | defect rate |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| random (baseline) | 48.9% [44.8, 53.0] | 1.391 [1.341, 1.441] | - | 37.4% [35.3, 39.5] |",
        "| tacos | **61.2%** [57.1, 65.3] | **1.182** [1.132, 1.232] | **1.25** [1.16, 1.34] | **12.0%** [9.9, 14.1] |",
        "| longest | 44.7% [40.6, 48.8] | 1.502 [1.452, 1.552] | 0.92 [0.83, 1.01] | 40.1% [38.0, 42.2] |",
    ]
    assert "Lower is better: held-out loss and defect rate." in main.note


def test_gains_over_the_baseline(results: Results) -> None:
    _, gains = arm_tables(results)
    assert lines(to_latex(gains)) == [
        r"arm & exact match, points & winning score, 1 is a draw & defect rate, points \\",
        r"tacos & \textbf{+12.3} {\scriptsize {[}+8.3, +16.3{]}} & \textbf{1.25} {\scriptsize {[}1.16, 1.34{]}}"
        r" & \textbf{$-$25.4} {\scriptsize {[}$-$28.9, $-$21.9{]}} \\",
        r"longest & $-$4.2 {\scriptsize {[}$-$8.2, $-$0.2{]}} & 0.92 {\scriptsize {[}0.83, 1.01{]}}"
        r" & +2.7 {\scriptsize {[}$-$0.8, +6.2{]}} \\",
    ]


def test_a_csv_of_effects_names_no_unit_that_its_numbers_are_not_in(results: Results, tmp_path: Path) -> None:
    """12.3 points is what is read, and 0.123 the number."""
    gap = interval(0.123, 0.04)
    effects = [Effect(factor="tagging", how="on over off", measure="exact_match", interval=gap)]
    factors = {"tagging": {"on": ["tacos"], "off": ["random"]}}
    write_tables(results.model_copy(update={"factors": factors, "effects": effects}), tmp_path)
    lines = (tmp_path / "effects.csv").read_text().splitlines()
    assert lines[0].startswith("factor,effect,exact match,exact match low") and lines[1].startswith(
        "tagging,on over off,0.123,"
    )
    assert "exact match, points" in (tmp_path / "effects.md").read_text()


def test_latex_is_booktabs_with_rules_around_the_baseline(results: Results) -> None:
    text = to_latex(arm_tables(results)[0])
    assert text.count(r"\midrule") == 2 and text.index("random") < text.rindex(r"\midrule") < text.index(
        "tacos &"
    )
    assert r"random {\scriptsize (baseline)} & 48.9\% {\scriptsize {[}44.8, 53.0{]}}" in text
    assert text.startswith("% Arms\n") and r"\begin{tabular}{lrrrr}" in text and r"\toprule" in text


def cell(text: str, raw: float | None) -> Cell:
    return Cell(text, raw=raw)


@pytest.mark.parametrize(
    ("cells", "lower", "neutral", "best"),
    [
        ([cell("61.2%", 0.612), cell("48.9%", 0.489), cell("-", None)], False, None, "61.2%"),
        ([cell("1.18", 1.18), cell("1.39", 1.39)], True, None, "1.18"),
        ([cell("61.2%", 0.6122), cell("61.2%", 0.6118)], False, None, "61.2%"),  # both are bold
        ([cell("61.2%", 0.612), cell("-", None)], False, None, None),  # better than nothing
        ([cell("0.92", 0.92), cell("0.08", 0.08)], False, 1.0, None),  # the baseline is better than both
        ([cell("-0.1", -0.1)], True, 0.0, "-0.1"),
        ([cell("-", None)], False, 0.0, None),
    ],
)
def test_the_best_of_a_column(
    cells: list[Cell], lower: bool, neutral: float | None, best: str | None
) -> None:
    assert best_text(cells, lower, neutral) == best


def test_names_of_arms_break_no_table(tmp_path: Path) -> None:
    odd = replace(SMALL[0], name=r"a|b_c & 50% {x} \y #1 *z*")
    write_tables(make_results(arms=(odd, *SMALL[1:])), tmp_path)
    assert "| a\\|b_c & 50% {x} \\\\y \\#1 \\*z\\* | **61.2%**" in (tmp_path / "main.md").read_text()
    latex = r"a\textbar{}b\_c \& 50\% \{x\} \textbackslash{}y \#1 {*}z{*} & \textbf{61.2\%}"
    assert latex in (tmp_path / "main.tex").read_text()
    with (tmp_path / "main.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["arm"], row["baseline"]) for row in rows] == [
        ("random", "True"),
        (odd.name, "False"),
        ("longest", "False"),
    ]
    assert (rows[1]["exact match"], rows[1]["winning score"]) == ("0.612", "1.246")
    assert rows[0]["winning score"] == ""


def test_question_sets_have_a_table_of_their_own(results: Results) -> None:
    measure = next(m for m in results.measures if m.name == "winning_score")
    part = of_set(measure, "vicuna")
    lead = results.summary[0]
    found = {part.name: ArmMeasure(interval=interval(1.5, 0.1, 80))}
    summary = [lead.model_copy(update={"measures": lead.measures | found}), *results.summary[1:]]
    tables = arm_tables(
        results.model_copy(update={"measures": [*results.measures, part], "summary": summary})
    )
    assert [t.name for t in tables] == ["main", "sets", "gains"]
    assert [c.label for c in tables[1].columns] == ["arm", "winning score on vicuna"]


def test_tables_come_with_the_report_and_into_any_folder(results: Results, tmp_path: Path) -> None:
    written = write_report(results, tmp_path)
    names = {f"{name}.{end}" for name in ("main", "gains") for end in ("md", "csv", "tex")}
    assert (
        {path.name for path in written.tables} == names == {p.name for p in (tmp_path / "tables").iterdir()}
    )
    paper = tmp_path / "paper"
    for _ in range(2):  # again changes nothing
        done = CliRunner().invoke(app, ["report", str(tmp_path), "--tables", str(paper)])
        assert done.exit_code == 0, done.output
    assert {p.name: p.read_bytes() for p in paper.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "tables").iterdir()
    }


def test_a_run_without_measures_has_no_table(tmp_path: Path) -> None:
    assert write_tables(make_results(truth=False, training=False), tmp_path) == []
