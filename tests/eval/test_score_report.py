"""Reports of benchmark scores: exact tables, honest gaps, files that open, and what Weights & Biases keeps."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from rich.console import Console

from eval.alpaca_eval.score import AlpacaEvalResult, AlpacaEvalScore
from eval.judge_check.check import JudgeReport, Rates
from eval.judge_check.recommend import JudgeCheck
from eval.mt_bench.files import Problem
from eval.mt_bench.pairs import CategoryPairs, ModelPairScore, ModelPairScores
from eval.mt_bench.score import CategoryScore, ModelScore, SingleScores
from eval.pairwise.score import PairwiseScore, PairwiseScores, SetScore
from eval.ratings.bradley_terry import Contrast, Ratings, Strength
from eval.report import format as fmt
from eval.report.comparisons import comparison_tables
from eval.report.coverage import Coverage
from eval.report.layout import escape_latex, escape_markdown, records, to_csv, to_latex, to_markdown
from eval.report.score_page import MOST_PROBLEMS
from eval.report.scores import (
    ScorePaths,
    console_tables,
    figures_of,
    problems_of,
    report_of,
    track_scores,
    write_score_report,
)
from eval.report.style import Plot
from eval.report.table import Cell, Column, Table, TableRow
from eval.stats import ArmComparison
from tacos.tracking.settings import TrackingSettings
from tacos.tracking.tracker import TrackedRun, Tracker
from tests.eval.fixtures import interval
from tests.eval.test_report import Page
from tests.wandb_log import runs

ODD = r"a|b_c%[d]<b>$&#{e}\f"
"""A name that Markdown, LaTeX and HTML would all like to read as something else."""


def rated(average: float | None, judged: int = 4, unparsed: int = 0, **changed: Any) -> ModelScore:
    """Two questions of two turns in three categories' worth of averages."""
    values: dict[str, Any] = {
        "turn_1": average,
        "turn_2": average,
        "average": average,
        "judged": judged,
        "expected": 4,
        "unparsed": unparsed,
        "missing": 4 - judged - unparsed,
        "duplicate": 0,
        "unknown": 0,
        "off_scale": 0,
        "coverage": judged / 4,
        "complete": judged == 4,
        "judge": "gpt-4",
        "ci": average and interval(average, 0.5, 2),
        "categories": {
            name: CategoryScore(turn_1=average, turn_2=average, average=average, judged=judged, expected=4)
            for name in ("writing", "math", "coding")
        },
    }
    return ModelScore(**values | changed)


def single(**models: ModelScore) -> SingleScores:
    problem = Problem(where="j.jsonl line 7", reason="unread: no\n[[rating]]")
    return SingleScores(models=models, read=8, bad_lines=0, problems=(problem,))


def two_models() -> SingleScores:
    """Given worst first."""
    arm = ArmComparison(difference=interval(-0.6, 0.375, 75), p_value=0.0012, p_holm=0.0024, unpaired=5)
    scores = single(m_2=rated(5.474842767295598, judged=3, unparsed=1), m_1=rated(6.0825))
    return scores.model_copy(update={"against": "m_1", "comparisons": {"m_2": arm}})


def pair(name: str = "m_1", **changed: Any) -> ModelPairScore:
    values: dict[str, Any] = {
        "model_1": name,
        "model_2": "base",
        "judge": "gpt-4",
        "win": 48,
        "tie": 83,
        "lose": 29,
        "error": 0,
        "n": 160,
        "win_rate": 0.3,
        "win_rate_adjusted": 0.559375,
        "ci": interval(0.559375, 0.05),
        "expected": 160,
        "missing": 0,
        "duplicate": 0,
        "unknown": 0,
        "coverage": 1.0,
        "complete": True,
        "swap_consistency": interval(0.725, 0.05),
        "first_position_rate": interval(0.505, 0.05),
        "longer_wins": None,
        "categories": {
            "math": CategoryPairs(win=1, tie=2, lose=1),
            "stem": CategoryPairs(win=0, tie=0, lose=0),
        },
    }
    return ModelPairScore(**values | changed)


def pairs(*found: ModelPairScore) -> ModelPairScores:
    return ModelPairScores(pairs=found or (pair(),), read=160, bad_lines=0, problems=())


def alpaca(**changed: Any) -> AlpacaEvalScore:
    values: dict[str, Any] = {
        "n": 805,
        "expected": 805,
        "missing": 0,
        "unparsed": 0,
        "duplicate": 0,
        "unknown": 0,
        "reasons": {},
        "empty": 0,
        "no_output": 0,
        "win_rate": 17.1882,
        "standard_error": 1.1748,
        "discrete_win_rate": 16.3,
        "length_controlled_winrate": 28.1552,
        "lc_standard_error": 0.9,
        "regularisation": 2.78,
        "longer_wins": interval(0.832, 0.05),
        "mean_length": 1070.2,
        "baseline": "gpt4",
        "annotator": "judge_x",
    }
    return AlpacaEvalScore(**values | changed)


def reviewed(cls: type[PairwiseScore], win: int, tie: int, lose: int, **changed: Any) -> Any:
    n = win + tie + lose
    values: dict[str, Any] = {
        "win": win,
        "tie": tie,
        "lose": lose,
        "unparsed": 0,
        "n": n,
        "winning_score": interval(1 + (win - lose) / n, 0.1, n) if n else None,
        "swap_consistency": interval(0.8, 0.05),
        "first_position": interval(0.5, 0.05),
        "longer_wins": interval(0.68, 0.05),
        "duplicate": 0,
        "unknown": 0,
        "bad": 0,
        "empty": 0,
        "expected": n,
        "missing": 0,
    }
    return cls(**values | changed)


def reviews() -> PairwiseScores:
    """The pool lacks what its second set lacks."""
    sets = {
        "vicuna": reviewed(SetScore, 44, 15, 21, name="vicuna", model_a="m", judge="gpt-4", notes=[]),
        "koala": reviewed(
            SetScore,
            85,
            36,
            57,
            unparsed=2,
            expected=180,
            name="koala",
            model_a="m",
            judge="gpt-4",
            notes=["2 orders unparsed: refusal"],
        ),
    }
    pooled = reviewed(PairwiseScore, 129, 51, 78, unparsed=2, expected=260)
    return PairwiseScores(rule="lenient", unparsed_as="count", sets=sets, pooled=pooled)


def judged() -> JudgeCheck:
    def rates(n: int, accuracy: float, unparsed: int = 0) -> Rates:
        return Rates(
            n=n,
            accuracy=interval(accuracy, 0.05, n) if n else None,
            gain=None,
            ties=1,
            unparsed=unparsed,
            swap_consistency=interval(0.9, 0.05),
            first_position=interval(0.5, 0.05),
            longer_wins=interval(0.6, 0.05),
        )

    report = JudgeReport(
        judge="scorer",
        source="pairs.jsonl",
        rule="lenient",
        pairs=60,
        tied_labels=3,
        bad=2,
        duplicate=1,
        all=rates(55, 0.78, 2),
        length_matched=rates(0, 0.5),
        longer_baseline=rates(57, 0.6),
        longer_baseline_matched=rates(0, 0.5),
        label_longer=interval(0.61, 0.05),
        errors={"no scores": 2},
    )
    return JudgeCheck(judges=(report,), best="scorer", recommendation=("scorer is right on 78.0%.", "Go on."))


def ratings() -> Ratings:
    strengths = {"b": 0.5, "a": 0.0}
    rows = [
        Strength(model=m, rating=interval(r, 0.2), elo=1000 + 173.7 * r, games=40)
        for m, r in strengths.items()
    ]
    contrast = Contrast(first="b", second="a", difference=interval(0.5, 0.6), p_value=0.1, p_holm=0.1)
    return Ratings(
        anchor="a", ratings=rows, questions=80, games=40, ridge=0.01, unbounded=["b"], contrasts=[contrast]
    )


def every_kind() -> list[Any]:
    arm = ArmComparison(difference=interval(14.6, 2.25, 805), p_value=0.5, p_holm=0.5, unpaired=0)
    models = {
        "claude": alpaca(),
        "small": alpaca(win_rate=2.5915, length_controlled_winrate=5.8755, n=800, missing=5),
    }
    result = AlpacaEvalResult(models=models, against="small", comparisons={"claude": arm})
    return [two_models(), pairs(), result, reviews(), judged(), ratings()]


def cell(table: Table, row: str, label: str) -> Any:
    place = [c.label for c in table.columns].index(label)
    return next(r for r in table.rows if r.cells[0].text == row).cells[place]


def tables_of(score: Any) -> list[Table]:
    return report_of(score).tables(score)


def plots_of(score: Any) -> list[Plot]:
    return report_of(score).plots(score)


def test_a_score_names_its_own_report() -> None:
    names = [report_of(score).name for score in every_kind()]
    assert names == ["mt_bench", "mt_bench_pairs", "alpaca_eval", "reviews", "judge_check", "ratings"]
    with pytest.raises(TypeError, match="no report of a dict: its class names none under `report`"):
        report_of({})


def test_markdown_as_written_by_hand() -> None:
    main = tables_of(two_models())[0]
    head = (
        "| model | average | turn 1 | turn 2 | judge | judged | expected | unparsed | missing | duplicate |"
    )
    lines = to_markdown(main).splitlines()
    assert lines[0] == head + " unknown | share judged |"
    assert lines[1].startswith("| --- | ---: | ---: | ---: | --- | ---: |")
    assert lines[2] == "| m_1 | 6.08 [5.58, 6.58] | 6.08 | 6.08 | gpt-4 | 4 | 4 | 0 | 0 | 0 | 0 | 100.0% |"
    second = "| m_2 (incomplete) | 5.47 [4.97, 5.97] | 5.47 | 5.47 | gpt-4 | 3 | 4 | 1 | 0 | 0 | 0 | 75.0% |"
    assert lines[3] == second
    assert main.warnings == ["MT-Bench, m_2: 3 of 4 turns judged (1 unparsed)"]


def test_columns_of_one_heading_are_all_written() -> None:
    """A factor of a design may be called like a column that its table has."""
    columns = (Column("arm", numeric=False), Column("arm", numeric=False), Column("n", "a"), Column("n", "a"))
    table = Table(columns, (TableRow(tuple(Cell(text) for text in ("on", "tacos", "1", "2"))),))
    assert to_csv(table) == "arm,arm (2),a: n,a: n (2)\non,tacos,1,2\n"


def test_csv_keeps_every_digit_and_reads_back() -> None:
    table = tables_of(two_models())[0]
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["model"] for row in rows] == ["m_1", "m_2"]
    assert float(rows[1]["average"]) == 5.474842767295598
    assert float(rows[1]["average low"]) == 5.474842767295598 - 0.5
    assert (rows[1]["judged"], rows[1]["expected"], rows[1]["share judged complete"]) == ("3", "4", "False")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-cmd", "@SUM(A1)", "\tx", "\rx"])
def test_a_name_is_no_formula(name: str) -> None:
    """Of a model or an arm, which stands in the first cell; numbers stay numbers."""
    scores = single(**{name: rated(-1.5)})
    (row,) = csv.DictReader(io.StringIO(to_csv(tables_of(scores)[0]), newline=""))
    assert row["model"] == f"'{name}".replace("\r", " ") and float(row["average"]) == -1.5


def test_latex_as_written_by_hand() -> None:
    text = to_latex(tables_of(reviews())[0])
    assert text.startswith("% Two-order reviews, lenient rule\n% From answer 1's side")
    assert r"\begin{tabular}{lrrrrrrrllrrrrrrr}" in text
    assert r" & \multicolumn{3}{c}{questions} &  & \multicolumn{3}{c}{how the judge decided} &" in text
    assert (
        r"vicuna & 44 & 15 & 21 & 1.29 {\scriptsize {[}1.19, 1.39{]}} & 68.0\% {\scriptsize {[}63.0, 73.0{]}} &"
        in text
    )
    assert r"koala {\scriptsize (incomplete)} & 85 & 36 & 57 &" in text
    assert text.index(r"\midrule", text.index("koala")) < text.index("pooled")  # a rule before the total
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")
    body = text[text.index(r"\toprule") :]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    spans = [sum(int(n) - 1 for n in re.findall(r"multicolumn\{(\d+)\}", line)) for line in lines]
    assert {line.count("&") + span for line, span in zip(lines, spans, strict=True)} == {16}


def test_a_difference_of_zero_has_no_sign_and_no_p_value_is_zero() -> None:
    same = ArmComparison(difference=interval(0.0, 0.0, 20), p_value=1.0, p_holm=1.0, unpaired=0)
    apart = ArmComparison(difference=interval(0.5, 0.0, 20), p_value=0.0, p_holm=0.02, unpaired=0)
    (table,) = comparison_tables("x", "x", fmt.fine_difference, "base", {"a": same, "b": apart})
    assert [[cell.text for cell in row.cells[1:4]] for row in table.rows] == [
        ["0.0000", "1.00", "1.00"],
        ["+0.5000", "<0.0001", "0.02"],
    ]
    assert table.rows[1].cells[2].raw == 0.0


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    assert escape_markdown("a|b_c [d](e) _x_ <i>*`~$#") == r"a\|b_c \[d\](e) \_x\_ \<i\>\*\`\~\$\#"
    assert escape_markdown("a&lt;b & Co; R&D") == r"a\&lt;b & Co; R&D"
    assert escape_latex("*m") == "{*}m"  # behind the \\\\ of the row before, a bare star would be lost
    assert escape_latex(r"50%_{x}&#$~^\ a--b---c [1] ±") == (
        r"50\%\_\{x\}\&\#\$\textasciitilde{}\textasciicircum{}\textbackslash{} a-{}-b-{}-{}-c {[}1{]}"
        r" \ensuremath{\pm}"
    )
    scores = single(**{ODD: rated(7.0, judged=3), "plain": rated(5.0)})
    main = tables_of(scores)[0]
    markdown = to_markdown(main)
    assert r"| a\|b_c%\[d\]\<b\>\$&\#{e}\\f (incomplete) | 7.00" in markdown
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines()}
    assert cells == {len(main.columns) + 1}
    assert r"a\textbar{}b\_c\%{[}d{]}\textless{}b\textgreater{}\$\&\#\{e\}\textbackslash{}f" in to_latex(main)
    written = write_score_report(tmp_path, ODD, [scores])
    html = written.html.read_text()
    assert "a|b_c%[d]&lt;b&gt;$&amp;#{e}\\f" in html and "<b>$" not in html
    assert json.loads(written.scores.read_text())["scores"][0]["models"][ODD]["average"] == 7.0
    (record, _) = csv.DictReader(io.StringIO(to_csv(main)))
    assert record["model"] == ODD


def test_nothing_known_is_a_dash_and_never_zero() -> None:
    scores = single(m=rated(None, judged=0, unparsed=4))
    main, categories = tables_of(scores)
    assert [c.label for c in main.columns][:2] == ["model", "judge"]  # no column of dashes
    assert cell(categories, "m", "math").text == "-" and cell(categories, "m", "math").sub == "0 of 4"
    assert records(categories)[0]["math"] is None
    assert plots_of(scores) == []
    both = tables_of(single(m=rated(None, judged=0, unparsed=4), n=rated(8.0)))[0]
    assert [row.cells[0].text for row in both.rows] == ["n", "m"]  # without a value last
    assert cell(both, "m", "average").text == "-" and ",,," in to_csv(both)
    nan = tables_of(single(m=rated(8.0, turn_2=math.nan), n=rated(7.0)))[0]
    assert cell(nan, "m", "turn 2").text == "-" and records(nan)[0]["turn 2"] is None


def test_coverage_in_words_and_completeness() -> None:
    def covered(judged: int, expected: int | None, **more: int) -> Coverage:
        return Coverage(
            "B", "m", "turns", judged, expected, more.get("unparsed", 0), 0, 0, bad=more.get("bad", 0)
        )

    assert covered(4, 4).complete
    assert not any(covered(n, e).complete for n, e in ((3, 4), (0, 0), (4, None), (5, 4)))
    assert covered(3, 4, unparsed=1, bad=2).words == "B, m: 3 of 4 turns judged (1 unparsed, 2 bad rows)"
    assert "how many there should be is not known" in covered(3, None).words
    almost = tables_of(single(m=rated(7.0, judged=2999, expected=3000)))[0]
    assert cell(almost, "m", "share judged").text == "<100%"


def test_a_pool_repeats_no_warning_of_its_sets() -> None:
    (table,) = tables_of(reviews())
    assert table.warnings == ["Two-order reviews, koala: 178 of 180 questions judged (2 unparsed)"]
    assert cell(table, "pooled", "answer 1").text == "-" and cell(table, "koala", "answer 1").text == "m"
    unknown = reviews()
    sets = {"own": unknown.sets["vicuna"].model_copy(update={"expected": None, "missing": None})}
    (table,) = tables_of(unknown.model_copy(update={"sets": sets}))
    assert cell(table, "own", "expected").text == "-" and cell(table, "own", "missing").text == "-"


def test_arms_say_what_their_p_values_allow() -> None:
    arms = tables_of(two_models())[2]
    assert arms.title == "Compared with m_1"
    assert cell(arms, "m_2", "difference").text == "-0.60" and cell(arms, "m_2", "p (Holm)").text == "0.0024"
    assert (cell(arms, "m_2", "verdict").text, cell(arms, "m_2", "verdict").tone) == ("worse", "worse")
    unclear = tables_of(every_kind()[2])[1]
    assert cell(unclear, "claude", "verdict").text == "no difference can be claimed"
    assert cell(unclear, "claude", "difference").sub == "[+12.3, +16.9]"  # 12.35 is stored a little below


def test_pairs_are_told_apart_by_judge_and_categories_have_no_invented_rate() -> None:
    table, categories = tables_of(pairs(pair(), pair(judge="other")))
    assert [row.cells[0].text for row in table.rows] == ["m_1 vs base [gpt-4]", "m_1 vs base [other]"]
    assert cell(categories, "math", "win rate").text == "50.0%"
    assert cell(categories, "stem", "win rate").text == "-"
    assert "longer wins" not in [c.label for c in table.columns]  # no lengths are known


def test_a_judge_without_length_matched_pairs_has_no_row_of_them() -> None:
    (table,) = tables_of(judged())
    assert [row.cells[0].text for row in table.rows] == ["scorer", "longer wins"]
    assert "3 of 60 pairs are labelled a tie" in table.note
    assert cell(table, "scorer", "bad rows").text == "2"


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (two_models(), "m_1 has the highest MT-Bench average of 2 models, 6.08 [5.58, 6.58]."),
        (single(m=rated(7.0)), "m scores 7.00 [6.50, 7.50] of 10 on MT-Bench."),
        (single(m=rated(None, 0, 4)), "No rating could be read, so there is no MT-Bench average."),
        (pairs(), "The judge prefers m_1 to base on MT-Bench (win rate 55.9% [50.9, 60.9], ties one half)."),
        (
            pairs(pair(win_rate_adjusted=0.4, ci=interval(0.4, 0.05))),
            "The judge prefers base to m_1 on MT-Bench (m_1's win rate 40.0% [35.0, 45.0], ties one half).",
        ),
        (
            pairs(pair(win_rate_adjusted=0.52, ci=interval(0.52, 0.05))),
            "No preference between m_1 and base can be claimed on MT-Bench"
            " (win rate 52.0% [47.0, 57.0], ties one half).",
        ),
        (
            pairs(pair(win_rate_adjusted=None, ci=None)),
            "No pair of games could be read, so there is no win rate.",
        ),
        (
            AlpacaEvalResult(models={"m": alpaca()}),
            "m has a length-controlled win rate of 28.2% against gpt4 on AlpacaEval 2.",
        ),
        (
            AlpacaEvalResult(models={"m": alpaca(length_controlled_winrate=None)}),
            "m has a raw win rate of 17.2% against gpt4 on AlpacaEval 2.",
        ),
        (
            reviews(),
            "The judge prefers m to answer 2 over vicuna and koala (m's winning score 1.20 [1.10, 1.30]).",
        ),
        (
            judged(),
            "scorer is right on 78.0%.",
        ),
        (
            ratings(),
            "b is rated highest of 2 models, Elo 1,087 with a at 1,000. No leader can be named: the second, a, is"
            " +0.50 [-0.10, +1.10] log-odds behind.",
        ),
    ],
)
def test_headlines_claim_what_the_intervals_allow(score: Any, said: str) -> None:
    assert report_of(score).headline(score) == said


def test_a_set_that_ties_or_cannot_be_read_is_no_preference() -> None:
    headline = report_of(reviews()).headline
    pool = reviewed(PairwiseScore, 50, 10, 49)
    assert headline(reviews().model_copy(update={"pooled": pool})).startswith("No preference between m and")
    pool = reviewed(PairwiseScore, 0, 0, 0, unparsed=9)
    assert headline(reviews().model_copy(update={"pooled": pool})).startswith("No review could be read")


def test_problems_are_one_line_each_and_name_everything() -> None:
    assert problems_of(two_models()) == ["j.jsonl line 7: unread: no [[rating]]"]
    assert problems_of(single(m=rated(7.0, judged=2, unparsed=1, off_scale=1)))[:2] == [
        "m: 1 turn without a judgment",
        "m: 1 rating outside 1-10, counted as in the file",
    ]
    poor = alpaca(
        reasons={"NaN": 3},
        unparsed=3,
        missing=2,
        duplicate=1,
        unknown=4,
        empty=1,
        no_output=5,
        notes=("odd",),
    )
    said = problems_of(AlpacaEvalResult(models={"m": poor}, problems=("a.json: cut off",)))
    assert said[:4] == [
        "a.json: cut off",
        "m: odd",
        "m: 3 rows unparsed: NaN",
        "m: 2 questions without a row",
    ]
    assert len(said) == 8 and all("\n" not in line for line in said)
    assert problems_of(reviews()) == ["koala: 2 orders unparsed: refusal"]
    assert problems_of(judged())[-1] == "2 orders unparsed: no scores"
    assert len(problems_of(ratings())) == 1
    assert problems_of(pairs(pair(missing=2))) == ["m_1 vs base: 2 turns without a judgment"]


def shown(score: Any, width: int = 80) -> str:
    stream = io.StringIO()
    for table in console_tables(score):
        Console(file=stream, width=width).print(table)
    return stream.getvalue()


def test_the_terminal_always_shows_how_much_was_judged() -> None:
    text = shown(two_models())
    assert re.search(r"m_2 +5\.47 5\.47 5\.47 +3/4 +1", text) and "incomplete" in text
    assert "0 in every row: missing, duplicate, unknown" in text
    for score in every_kind():
        assert "…" not in shown(score)
        if tables_of(score)[0].coverage:
            assert re.search(r"\d+/\d+", shown(score))


def test_long_names_fold_and_numbers_do_not() -> None:
    text = shown(single(**{"run-" * 20: rated(6.0, judged=3, duplicate=11), "[red]x[/red]": rated(5.0)}))
    assert "[5.50, 6.50]" in text and "[red]x[/red]" in text and "11" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_terminal_needs_nothing_that_draws() -> None:
    code = (
        "import sys, eval.report.scores;"
        "heavy = ('matplotlib', 'pandas', 'sklearn', 'scipy', 'wandb', 'jinja2', 'rich', 'eval.judge_check');"
        "print([m for m in heavy if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ScorePaths:
    return write_score_report(tmp_path_factory.mktemp("scores"), "All of them", every_kind())


def test_every_kind_of_score_is_written(written: ScorePaths) -> None:
    names = {
        "mt_bench",
        "mt_bench_categories",
        "mt_bench_against",
        "mt_bench_pairs",
        "mt_bench_pairs_categories",
        "alpaca_eval",
        "alpaca_eval_against",
        "reviews",
        "judge_check",
        "ratings",
        "ratings_contrasts",
    }
    assert set(written.tables) == names
    for paths in written.tables.values():
        assert [path.suffix for path in paths] == [".md", ".csv", ".tex"]
        assert all(path.read_text(encoding="utf-8").strip() for path in paths)
    kinds = [score["kind"] for score in json.loads(written.scores.read_text())["scores"]]
    assert kinds == ["mt_bench", "mt_bench_pairs", "alpaca_eval", "reviews", "judge_check", "ratings"]


def test_pictures_show_something(written: ScorePaths) -> None:
    assert set(written.plots) == {"mt_bench_radar", "mt_bench_pairs", "alpaca_eval", "review_votes"}
    for path in written.plots.values():
        pixels = matplotlib.image.imread(path)[..., :3]
        assert pixels.shape[0] > 150 and pixels.shape[1] > 800
        assert pixels.std() > 0.02
        assert (pixels.min(axis=2) < 0.9).mean() > 0.005


def test_the_page_stands_alone(written: ScorePaths) -> None:
    html = written.html.read_text()
    page = Page(html)
    assert "script" not in page.tags and "img" not in page.tags and "link" not in page.tags
    assert all(link.startswith("#") for link in page.links if link) and "http" not in html
    assert len(page.ids) == len(set(page.ids)) and html.count("<svg") == 4
    assert page.headings[:3] == ["MT-Bench", "MT-Bench by category", "Compared with m_1"]
    assert page.headings[-1] == "Not counted, or not as usual"
    warned = html.index("MT-Bench, m_2: 3 of 4 turns judged (1 unparsed)")
    assert html.index("m_1 has the highest MT-Bench average") < warned < html.index("<h2>")


def test_the_markdown_shows_tables_plots_and_problems(written: ScorePaths) -> None:
    text = written.markdown.read_text()
    for name in written.plots:
        assert f"](plots/{name}.png)" in text
    assert "**m_1 has the highest MT-Bench average of 2 models, 6.08 \\[5.58, 6.58\\].**" in text
    assert "- MT-Bench, m_2: 3 of 4 turns judged (1 unparsed)" in text
    assert "\nscorer is right on 78.0%.\n\nGo on.\n" in text
    assert "rating is in no mean. Judge: gpt-4." in text and "| judge |" not in text.split("## ")[1]
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "\n\n\n" not in text


def test_many_problems_are_counted(tmp_path: Path) -> None:
    problems = tuple(Problem(where=f"f line {i}", reason=f"bad {i}") for i in range(MOST_PROBLEMS + 7))
    scores = two_models().model_copy(update={"problems": problems})
    text = write_score_report(tmp_path, "Many", [scores]).html.read_text()
    assert f"f line {MOST_PROBLEMS - 1}: bad" in text and f"f line {MOST_PROBLEMS}: bad" not in text
    assert "<li>and 7 more</li>" in text


def test_two_scores_of_one_kind_keep_their_own_files(tmp_path: Path) -> None:
    written = write_score_report(tmp_path, "Twice", [single(a=rated(7.0)), single(b=rated(5.0))])
    assert set(written.tables) == {"mt_bench", "mt_bench_categories", "mt_bench_2", "mt_bench_categories_2"}
    assert set(written.plots) == {"mt_bench_radar", "mt_bench_radar_2"}
    assert "b,5.0" in (tmp_path / "tables" / "mt_bench_2.csv").read_text()
    page = Page(written.html.read_text())
    assert len(page.ids) == len(set(page.ids))


def test_more_models_than_colours_still_make_a_page(tmp_path: Path) -> None:
    scores = single(**{f"model-{i}": rated(1 + i / 2) for i in range(12)})
    (radar,) = plots_of(scores)
    assert "The 8 best of 12 models are drawn." in radar.caption
    html = write_score_report(tmp_path, "Twelve", [scores]).html.read_text()
    assert html.count('class="chip"') == 16  # in two tables


@pytest.mark.usefixtures("offline")
def test_tables_pictures_and_figures_reach_the_tracker(tmp_path: Path, written: ScorePaths) -> None:
    shown = TrackedRun(id="eval-1", name="scores", group="g", job="eval")
    tracker = Tracker(TrackingSettings(), tmp_path, shown, {})
    track_scores(tracker, every_kind(), written)
    tracker.finish()
    (run,) = runs(tmp_path)
    logged: dict[str, Any] = {}
    for row in run["history"]:
        logged |= row
    kinds = {key.removesuffix("/_type"): value for key, value in logged.items() if key.endswith("/_type")}
    assert kinds == {"report": "html-file"} | {f"tables/{name}": "table-file" for name in written.tables} | {
        f"plots/{name}": "image-file" for name in written.plots
    }
    assert (logged["tables/mt_bench/nrows"], logged["tables/mt_bench/ncols"]) == (2, 15)
    assert run["summary"]["problems"] == sum(len(problems_of(score)) for score in every_kind())
    assert not any("average" in name for name in run["summary"])  # of several models none is the run's


def test_figures_have_the_same_names_for_every_model() -> None:
    found = figures_of(every_kind())
    assert found["m_1"]["mt_bench/average"] == 6.0825 and found["m_1"]["mt_bench/average_low"] == 5.5825
    assert set(found["m_1"]) == set(found["m_2"])
    assert found["claude"]["alpaca_eval/lc"] == 28.1552
    assert next(one["winning_score/win"] for one in found.values() if "winning_score/win" in one) == 129
    assert found["scorer"]["judge_check/accuracy"] == 0.78
    assert (
        found["m_1 vs base"]["mt_bench_pairs/win_rate"] == 0.559375 and found["b"]["ratings/log_odds"] == 0.5
    )


@pytest.mark.usefixtures("offline")
def test_a_single_models_figures_are_those_of_the_run(tmp_path: Path) -> None:
    with Tracker(
        TrackingSettings(), tmp_path, TrackedRun(id="eval-2", name="s", group="g", job="eval"), {}
    ) as tracker:
        track_scores(tracker, [single(m=rated(6.0))], None)
    (run,) = runs(tmp_path)
    assert run["summary"]["mt_bench/average"] == 6.0 and run["exit"] == 0


def test_published_judgments_make_a_report(shared: Path, tmp_path: Path) -> None:
    from eval.mt_bench.pairs import score_pairs
    from eval.mt_bench.score import score_single

    folder = shared / "assets" / "judgments"
    scores = score_single(sorted(folder.glob("mt_bench_single_*.jsonl")))
    both = score_pairs(sorted(folder.glob("mt_bench_pair_*.jsonl")))
    main = tables_of(scores)[0]
    assert [round(float(row["average"]), 6) for row in records(main)] == [6.0825, 5.474843]  # type: ignore[arg-type]
    assert len(main.warnings) == 1 and "159 of 160 turns judged (1 unparsed)" in main.warnings[0]
    (row,) = records(tables_of(both)[0])
    assert (row["win"], row["tie"], row["lose"], row["win rate"]) == (48, 83, 29, 0.559375)
    written = write_score_report(tmp_path, "Published", [scores, both])
    assert set(written.plots) == {"mt_bench_radar", "mt_bench_pairs"}
