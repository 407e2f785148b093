"""A judge in a report: its accuracy on labelled pairs beside the baseline that prefers the longer output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.report import format as fmt
from eval.report.coverage import Coverage
from eval.report.score_report import BIAS_NOTE, Bias, Figures, ScoreReport, bias, with_ends
from eval.report.table import Column, Entry, Spec, Table, build, counts, mean, texts

if TYPE_CHECKING:
    from eval.judge_check.check import JudgeReport, Rates

BASELINE = "longer wins"
ALL, MATCHED = "all", "length-matched"


def judge_table(report: JudgeReport) -> Table:
    """Judge and baseline on all pairs, and on the length-matched ones where there are any."""
    rows = (
        (report.judge, ALL, report.all, report.duplicate, report.bad, False),
        (report.judge, MATCHED, report.length_matched, None, 0, False),
        (BASELINE, ALL, report.longer_baseline, None, 0, True),
        (BASELINE, MATCHED, report.longer_baseline_matched, None, 0, True),
    )
    entries = []
    for name, which, rates, duplicate, bad, marked in rows:
        expected = rates.n + rates.unparsed
        covered = Coverage(
            "Judge check",
            f"{name} on {which} pairs",
            "labelled pairs",
            rates.n,
            expected,
            rates.unparsed,
            0,
            duplicate,
            bad=bad,
        )
        if expected or which == ALL:
            entries.append(Entry(name, (which, rates), covered, marked=marked))
    specs: list[Spec[tuple[str, Rates]]] = [
        (Column("pairs", numeric=False), texts(lambda item: item[0])),
        (Column("accuracy"), lambda item: mean(item[1].accuracy, fmt.percent, fmt.percent_number)),
        (Column("minus longer wins"), lambda item: mean(item[1].gain, fmt.points)),
        (Column("ties", brief=False), counts(lambda item: item[1].ties)),
        *bias(_bias),
    ]
    note = (
        "Accuracy: the labelled output wins over both orders, a tie is one half; 95% interval over"
        " instructions. Minus longer wins: the accuracy less that of taking the longer output, paired."
        f" {BIAS_NOTE} {_labels(report)}"
    )
    return build("judge_check", "Judge on labelled pairs", note, "judge", entries, specs)


def _bias(item: tuple[str, Rates]) -> Bias:
    return item[1].longer_wins, item[1].swap_consistency, item[1].first_position


def _labels(report: JudgeReport) -> str:
    tied = f"; {fmt.count(report.tied_labels)} of {fmt.count(report.pairs)} pairs are labelled a tie"
    named = report.label_longer
    said = f"{fmt.percent(named.mean if named else None)} {fmt.bracket(named, fmt.percent_number)}"
    longer = f"name the longer output in {said.strip()}"
    return f"The labels {longer}{tied if report.tied_labels else ''}."


def problems(report: JudgeReport) -> list[str]:
    told = (
        (report.bad, "row", f"of {report.source} no labelled pair, left out"),
        (report.duplicate, "row", f"of {report.source} repeating a pair, left out"),
    )
    unread = [f"{fmt.plural(n, 'order')} unparsed: {reason}" for reason, n in report.errors.items()]
    return [*(f"{fmt.plural(n, what)} {then}" for n, what, then in told if n), *unread]


def headline(report: JudgeReport) -> str:
    own, base = report.all.accuracy, report.longer_baseline.accuracy
    if own is None:
        return f"No verdict of {report.judge} could be read, so it has no accuracy."
    said = f"{fmt.percent(own.mean)} {fmt.bracket(own, fmt.percent_number)}".strip()
    beside = f"; taking the longer output is right on {fmt.percent(base.mean)}" if base else ""
    return f"{report.judge} is right on {said} of {fmt.count(own.n)} labelled pairs{beside}."


def figures(report: JudgeReport) -> Figures:
    every = report.all
    rates = {
        "accuracy": every.accuracy,
        "gain_over_longer": every.gain,
        "swap_consistency": every.swap_consistency,
        "longer_wins": every.longer_wins,
    }
    found: dict[str, float | None] = {"judge_check/n": every.n, "judge_check/unparsed": every.unparsed}
    for name, interval in rates.items():
        found |= with_ends(f"judge_check/{name}", interval)
    return {report.judge: found}


JUDGE: ScoreReport[JudgeReport] = ScoreReport(
    "judge_check", lambda report: [judge_table(report)], problems, headline, figures
)
