"""Judges in a report: tables (`tables.py`), what could not be counted, the recommendation, figures for W&B."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.judge_check.tables import judge_tables
from eval.report import format as fmt
from eval.report.score_report import Figures, ScoreReport, with_ends

if TYPE_CHECKING:
    from eval.judge_check.check import JudgeReport
    from eval.judge_check.recommend import JudgeCheck


def problems(check: JudgeCheck) -> list[str]:
    first = check.judges[0]
    told = (
        (first.bad, "row", f"of {first.source} no labelled pair, left out"),
        (first.duplicate, "row", f"of {first.source} repeating a pair, left out"),
    )
    unread = [
        f"{f'{report.judge}: ' if len(check.judges) > 1 else ''}{fmt.plural(n, 'order')} unparsed: {reason}"
        for report in check.judges
        for reason, n in report.errors.items()
    ]
    return [*(f"{fmt.plural(n, what)} {then}" for n, what, then in told if n), *unread]


def headline(check: JudgeCheck) -> str:
    return check.recommendation[0] if check.recommendation else ""


def advice(check: JudgeCheck) -> list[str]:
    return list(check.recommendation[1:])


def figures(check: JudgeCheck) -> Figures:
    return {report.judge: _figures(report) for report in check.judges}


def _figures(report: JudgeReport) -> dict[str, float | None]:
    """Every name for every judge, so that runs of several stand in one table."""
    every, orders, agreed = report.all, report.orders, report.agreement
    rates = {
        "accuracy": every.accuracy,
        "gain_over_longer": every.gain,
        "swap_consistency": every.swap_consistency,
        "first_position": every.first_position,
        "longer_wins": every.longer_wins,
        "accuracy_one_order": orders.one.accuracy if orders else None,
        "gain_of_two_orders": orders.gain if orders else None,
        "agreement": agreed.judge if agreed else None,
        "agreement_of_annotators": agreed.annotators if agreed else None,
    }
    found: dict[str, float | None] = {"n": every.n, "unparsed": every.unparsed}
    found["questions_one_order"] = orders.one.questions if orders else None
    found["questions_two_orders"] = orders.two.questions if orders else None
    for name, interval in rates.items():
        found |= with_ends(name, interval)
    return {f"judge_check/{name}": value for name, value in found.items()}


JUDGES: ScoreReport[JudgeCheck] = ScoreReport(
    "judge_check", judge_tables, problems, headline, figures, advice=advice
)
