"""The tables of judges on labelled pairs: accuracy beside the longer answer, one order or two, and the annotators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.interval import Interval
from eval.report import format as fmt
from eval.report.coverage import Coverage
from eval.report.score_report import BIAS_NOTE, Bias, bias
from eval.report.table import Cell, Column, Entry, Spec, Table, build, counts, mean, numbers, texts

if TYPE_CHECKING:
    from eval.judge_check.agreement import Agreement
    from eval.judge_check.check import JudgeReport, Rates
    from eval.judge_check.orders import OneOrTwo
    from eval.judge_check.recommend import JudgeCheck

BASELINE = "longer wins"
ALL, MATCHED = "all", "length-matched"
ANNOTATORS = "annotators"
Agreed = tuple[Interval | None, Interval | None, float | None]
"""Share of panels, the same minus that of annotators, kappa."""


def judge_tables(check: JudgeCheck) -> list[Table]:
    """The last two only where there is something to show."""
    more = (_orders_table(check), _agreement_table(check))
    return [_accuracy_table(check), *(table for table in more if table.rows)]


def _accuracy_table(check: JudgeCheck) -> Table:
    """Judges and baseline on all pairs, and on the length-matched ones where there are any."""
    first = check.judges[0]
    entries = [
        *(_entry(report.judge, ALL, report.all, report) for report in check.judges),
        *(_entry(report.judge, MATCHED, report.length_matched) for report in check.judges),
        _entry(BASELINE, ALL, first.longer_baseline, marked=True),
        _entry(BASELINE, MATCHED, first.longer_baseline_matched, marked=True),
    ]
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
        f" {BIAS_NOTE} {_labels(first)}"
    )
    shown = [
        entry for entry in entries if entry.item[0] == ALL or (entry.coverage and entry.coverage.expected)
    ]
    return build("judge_check", "Judge on labelled pairs", note, "judge", shown, specs)


def _entry(
    name: str, which: str, rates: Rates, file: JudgeReport | None = None, marked: bool = False
) -> Entry[tuple[str, Rates]]:
    """file: whose counts of rows left out stand in this row."""
    covered = Coverage(
        "Judge check",
        f"{name} on {which} pairs",
        "labelled pairs",
        rates.n,
        rates.n + rates.unparsed,
        rates.unparsed,
        0,
        file.duplicate if file else None,
        bad=file.bad if file else 0,
    )
    return Entry(name, (which, rates), covered, marked=marked)


def _bias(item: tuple[str, Rates]) -> Bias:
    return item[1].longer_wins, item[1].swap_consistency, item[1].first_position


def _labels(report: JudgeReport) -> str:
    tied = f"; {fmt.count(report.tied_labels)} of {fmt.count(report.pairs)} pairs are labelled a tie"
    tied += f" ({fmt.count(report.no_majority)} without a majority)" if report.no_majority else ""
    named = report.label_longer
    said = f"{fmt.percent(named.mean if named else None)} {fmt.bracket(named, fmt.percent_number)}"
    longer = f"name the longer output in {said.strip()}"
    return f"The labels {longer}{tied if report.tied_labels else ''}."


def _orders_table(check: JudgeCheck) -> Table:
    """What a second order buys; LongerJudge says the same in both."""
    found = [(report.judge, report.orders) for report in check.judges if report.orders]
    entries = [Entry(name, orders) for name, orders in found]
    accuracy = "accuracy"
    needed = "questions needed"
    specs: list[Spec[OneOrTwo]] = [
        (Column("one order", accuracy), lambda item: _percent(item.one.accuracy)),
        (Column("first shown first", accuracy, brief=False), lambda item: _percent(item.order_1)),
        (Column("second shown first", accuracy, brief=False), lambda item: _percent(item.order_2)),
        (Column("two orders", accuracy), lambda item: _percent(item.two.accuracy)),
        (Column("two minus one"), lambda item: mean(item.gain, fmt.points)),
        (Column("ties, one order", brief=False), numbers(fmt.percent, lambda item: item.one.ties)),
        (Column("ties, two orders", brief=False), numbers(fmt.percent, lambda item: item.two.ties)),
        (Column("questions, one order", needed), counts(lambda item: item.one.questions)),
        (
            Column("to be safe, one order", needed, brief=False),
            counts(lambda item: item.one.questions_at_low),
        ),
        (Column("questions, two orders", needed), counts(lambda item: item.two.questions)),
        (
            Column("to be safe, two orders", needed, brief=False),
            counts(lambda item: item.two.questions_at_low),
        ),
    ]
    wanted = fmt.percent(0.5 + found[0][1].difference) if found else ""
    note = (
        "Accuracy on the pairs that could be read in both orders, a tie one half; one order is the mean of"
        f" both. Questions needed: to find a win rate of {wanted} in 80% of repeats with this judge, one order"
        " drawn for each question (a call each) or both (two calls each). To be safe: the same at the low end"
        " of the accuracy's interval; a dash where a million questions do not find it."
    )
    return build("judge_orders", "One order or two", note, "judge", entries, specs)


def _agreement_table(check: JudgeCheck) -> Table:
    found = [(report.judge, report.agreement) for report in check.judges if report.agreement]
    entries = [Entry[Agreed](name, (one.judge, one.gain, one.kappa_judge)) for name, one in found]
    said = ""
    if found:
        first = found[0][1]
        entries.append(Entry(ANNOTATORS, (first.annotators, None, first.kappa_annotators), marked=True))
        each = enumerate(first.each, start=1)
        entries += [Entry(f"annotator {n}", (rate, None, None), marked=True) for n, rate in each]
        said = _panels(first)
    specs: list[Spec[Agreed]] = [
        (Column("agreement"), lambda item: _percent(item[0])),
        (Column("minus annotators"), lambda item: mean(item[1], fmt.points)),
        (Column("Cohen's kappa"), numbers(fmt.score, lambda item: item[2])),
        (Column("labels", brief=False), counts(lambda item: item[0].n if item[0] else None)),
    ]
    note = (
        "Agreement: the share of labels of which the majority of the other annotators say the same, a tie being"
        " a label like the others; the judge, over both orders, is held against the same majorities. 95% intervals"
        f" over instructions. {said}"
    )
    return build("judge_agreement", "Judge and annotators", note, "judge", entries, specs)


def _panels(found: Agreement) -> str:
    two = found.pairwise
    said = f"{fmt.percent(two.mean if two else None)} {fmt.bracket(two, fmt.percent_number)}".strip()
    return (
        f"Two annotators of a pair say the same in {said}. {fmt.plural(found.pairs, 'pair')} with several"
        f" annotators; {fmt.plural(found.no_majority, 'label')} left out, since the others have no majority."
    )


def _percent(interval: Interval | None) -> Cell:
    return mean(interval, fmt.percent, fmt.percent_number)
