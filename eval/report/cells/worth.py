"""What a selection is worth in random rows: how many of them reach the same value, and whether finding it pays.

    value of an arm at a budget  ->  the size at which random draws reach it, on the line between measured sizes (in the
                                     logarithm of the size)

Worked example, random 40% at 500 rows and 50% at 1,000: an arm with 45% at 500 rows is worth 500 * 2 ** 0.5 = 707
random rows, 1.41 times as many. Selecting costs calls, money and FLOPs; what it saves is the training on the further
random rows, where training grows with the rows (arXiv 2410.16208). Money and FLOPs are not added up: a price for a FLOP
is the reader's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.cells.cell import BUDGETS, DoneCell, apart, arms_of, main_measure
from eval.report.table import NOTHING, Cell, Column, Table, TableRow
from eval.results import ArmRun
from tacos.usage import Usage

ALIKE = 0.02
"""Trainings whose supervised tokens differ by less than this share cost the same."""


class Worth(NamedTuple):
    """rows: random rows for the same value; None where it lies outside of what was measured, `beyond` says on which
    side: "more" or "fewer" than every measured size."""

    rows: float | None
    beyond: str = ""


def worth(
    sizes: Sequence[float], values: Sequence[float], value: float, lower_is_better: bool = False
) -> Worth:
    """sizes: ascending, at least one; values: of random draws of these sizes. The first size that reaches `value`."""
    sign = -1.0 if lower_is_better else 1.0
    reached, wanted = [sign * v for v in values], sign * value
    if wanted <= reached[0]:
        return Worth(float(sizes[0])) if wanted == reached[0] else Worth(None, "fewer")
    for i in range(1, len(sizes)):
        if reached[i] >= wanted:
            share = (wanted - reached[i - 1]) / (reached[i] - reached[i - 1])
            return Worth(float(np.exp(np.interp(share, [0, 1], np.log([sizes[i - 1], sizes[i]])))))
    return Worth(None, "more")


def worth_tables(done: Sequence[DoneCell]) -> list[Table]:
    """One for each group of cells that differ in their budget alone, by the most important measure; none where the
    baseline is no random draw."""
    measure = main_measure(done)
    if measure is None or not all(_baseline_is_random(cell) for cell in done):
        return []
    groups = [(name, cells) for name, cells in apart(done, BUDGETS) if len(cells) > 1]
    return [_table(name, cells, measure, number) for number, (name, cells) in enumerate(groups, start=1)]


def _baseline_is_random(cell: DoneCell) -> bool:
    baseline = cell.arm(cell.results.baseline)
    return baseline is not None and baseline.method == "random"


def _table(name: str, cells: Sequence[DoneCell], measure: Measure, number: int) -> Table:
    ordered = sorted(cells, key=lambda cell: cell.results.budget)
    baseline = ordered[0].results.baseline
    drawn = [(cell, value) for cell in ordered if (value := cell.value(baseline, measure.name)) is not None]
    sizes, values = [float(cell.results.budget) for cell, _ in drawn], [value for _, value in drawn]
    alike = _trains_alike([cell for cell, _ in drawn], baseline)
    columns = [
        Column("arm", numeric=False),
        Column("rows"),
        Column(measure.title),
        Column("random rows for it"),
    ]
    columns += [Column("times"), Column("LLM calls"), Column("money"), Column("FLOPs of selecting")]
    columns += [] if alike else [Column("training FLOPs saved")]
    rows = []
    for arm in arms_of(ordered):
        for cell in ordered:
            value, runs = cell.value(arm, measure.name), _runs(cell, arm)
            if arm != baseline and value is not None and sizes and _selects(runs, cell):
                found = worth(sizes, values, value, measure.better == "lower")
                told = _cells(cell, value, found, measure, runs, alike)
                rows.append(TableRow((Cell(arm, raw=arm), *told)[: len(columns)], arm))
    title = f"What a selection is worth in random rows{f' ({name})' if name else ''}"
    return Table(tuple(columns), tuple(rows), f"worth_{number}", title, _note(measure, baseline, alike))


def _note(measure: Measure, baseline: str, alike: bool) -> str:
    saved = (
        "Every size trains on as many tokens, so more random rows would cost no more training."
        if alike
        else "Saved is what training on that many random rows would take beyond the arm's own."
    )
    return (
        f"How many random rows reach the same {measure.said}, on the line between the measured sizes of {baseline}."
        f" {saved} One figure for each, without an interval: read it beside the curves."
    )


def _cells(
    cell: DoneCell, value: float, found: Worth, measure: Measure, runs: Sequence[ArmRun], alike: bool
) -> list[Cell]:
    budget = cell.results.budget
    largest = {"more": "more than measured", "fewer": "fewer than measured"}.get(
        found.beyond, fmt.count(found.rows)
    )
    times = found.rows / budget if found.rows is not None else None
    usage = sum((run.selection_usage for run in runs), Usage())
    n = len(runs)
    cells = [
        Cell(fmt.count(budget), raw=budget),
        Cell(fmt.UNITS[measure.unit].value(value), raw=value),
        Cell(largest, raw=found.rows),
        Cell(fmt.score(times), raw=times),
        Cell(fmt.count(usage.calls / n), raw=usage.calls / n),
        _money(usage, n),
        Cell(fmt.flops(usage.flops / n), raw=usage.flops / n),
    ]
    trained = [run.trained.flops for run in runs if run.trained and run.trained.flops]
    saved = (times - 1) * sum(trained) / len(trained) if times is not None and trained else None
    return [*cells, NOTHING if saved is None or alike else Cell(_signed(saved), raw=saved)]


def _money(usage: Usage, n: int) -> Cell:
    """A number only where every call has a price; otherwise what is read, or nothing."""
    each = usage.cost_usd / n
    return Cell(fmt.paid([each], usage.unpriced_calls), raw=None if usage.unpriced_calls else each)


def _signed(value: float) -> str:
    return f"-{fmt.flops(-value)}" if value < 0 else fmt.flops(value)


def _runs(cell: DoneCell, arm: str) -> list[ArmRun]:
    return [run for run in cell.results.runs if run.arm == arm]


def _selects(runs: Sequence[ArmRun], cell: DoneCell) -> bool:
    """Whether it takes as many rows as the budget says: the full pool and given sets do not."""
    return bool(runs) and all(run.audit.rows == cell.results.budget for run in runs)


def _trains_alike(cells: Sequence[DoneCell], arm: str) -> bool:
    """Whether another size trains on as many supervised tokens."""
    tokens = [run.trained.loss_tokens for cell in cells for run in _runs(cell, arm) if run.trained]
    return bool(tokens) and max(tokens) - min(tokens) <= ALIKE * max(tokens)
