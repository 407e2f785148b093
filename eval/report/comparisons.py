"""Several models against one of them, as a table: `eval.stats.compare_arms` put in words.

    model   difference               p       p (Holm)  verdict
    m_2     -0.61 [-0.98, -0.23]     0.001   0.001     worse

A verdict rests on the p-value after Holm's correction: below 0.05 it names the direction, else no difference
can be claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from eval.report import format as fmt
from eval.report.claims import WORDS, Claim, claim
from eval.report.table import Cell, Column, Entry, Spec, Table, build, counts, mean, numbers
from eval.spread import ALPHA

if TYPE_CHECKING:
    from eval.stats import ArmComparison, Lead


def comparison_tables(
    name: str, measure: str, form: fmt.Format, baseline: str | None, arms: Mapping[str, ArmComparison]
) -> list[Table]:
    """One table with each arm's difference from the baseline, or none where nothing is compared.

    name: opens the names of its files; measure: what is subtracted, with its unit; form: writes a difference.
    """
    if baseline is None or not arms:
        return []
    specs: list[Spec[ArmComparison]] = [
        (Column("difference"), lambda a: mean(a.difference, form)),
        (Column("p", brief=False), lambda a: p_cell(a.p_value)),
        (Column("p (Holm)"), lambda a: p_cell(a.p_holm)),
        (Column("verdict", numeric=False), _verdict),
        (Column("questions"), counts(lambda a: a.difference.n)),
        (Column("unpaired"), counts(lambda a: a.unpaired)),
    ]
    entries = [Entry(arm, comparison) for arm, comparison in arms.items()]
    note = (
        f"{measure}, each model minus {baseline} on the questions both have, with 95% intervals;"
        f" p-values also corrected for {fmt.plural(len(arms), 'comparison')} by Holm. Unpaired: questions that"
        " only one has."
    )
    return [build(f"{name}_against", f"Compared with {baseline}", note, "model", entries, specs)]


def led(lead: Lead | None, form: fmt.Format, of: str) -> str:
    """ " It leads the second, m_2, by +0.61 [+0.23, +0.98]", or that no leader can be named; "" without a second.

    of: the unit.
    """
    if lead is None:
        return ""
    gap = f"{form(lead.gap.mean)} {fmt.bracket(lead.gap, form)}".strip()
    if claim(lead.gap) == "better":
        return f" It leads the second, {lead.second}, by {gap} {of}."
    return f" No leader can be named: the second, {lead.second}, is {gap} {of} behind."


def p_cell(value: float | None) -> Cell:
    return numbers(p_text, lambda p: p)(value)


def p_text(value: float | None) -> str:
    """Two digits, and never 0: a p-value that is too small to be told apart from it is below 0.0001."""
    if value is None:
        return fmt.UNKNOWN
    return "<0.0001" if value < 1e-4 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def _verdict(arm: ArmComparison) -> Cell:
    gain = arm.difference.mean
    found: Claim = "unclear" if arm.p_holm > ALPHA or not gain else "better" if gain > 0 else "worse"
    return Cell(WORDS[found], tone=found, raw=WORDS[found])
