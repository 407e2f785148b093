"""Whether the order of the arms survives another recipe of training.

    robustness: {epochs: [3, 15], lr: [1.0e-5, 2.0e-5]}

Rankings of selections flip with epochs and learning rate (arXiv 2503.04807), and a recipe that was tuned on the method
that is proposed has tuned the comparison. So the recipe is chosen by the baseline alone, the one under which it is
best, and every other recipe's order of arms is compared with that one's by Kendall's tau: 1 is the same order, 0 no
agreement, -1 reversed.
"""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import kendalltau

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.cells.cell import DoneCell, apart, arms_of, main_measure
from eval.report.table import Cell, Column, Table, TableRow

FIRM = 0.8
"""From this tau on the order of arms is said to survive."""


def recipe_dimensions(done: Sequence[DoneCell]) -> list[str]:
    named = dict.fromkeys(name for cell in done for name in cell.where)
    return [name for name in named if name == "trains" or name.startswith("train.")]


def recipe_tables(done: Sequence[DoneCell]) -> list[Table]:
    """One for each group of cells that differ in their recipe alone, where the baseline has a value to choose by."""
    dimensions = recipe_dimensions(done)
    measure = main_measure(done)
    if not dimensions or measure is None:
        return []
    groups = [
        (name, cells, chosen)
        for name, cells in apart(done, dimensions)
        if len(cells) > 1 and (chosen := tuned(cells, measure))
    ]
    return [_table(*group, measure, number) for number, group in enumerate(groups, start=1)]


def tuned(cells: Sequence[DoneCell], measure: Measure) -> DoneCell | None:
    """The cell under whose recipe the baseline is best; None where the baseline has no value in any."""
    sign = -1.0 if measure.better == "lower" else 1.0
    values = [(cell.value(cell.results.baseline, measure.name), cell) for cell in cells]
    known = [(sign * value, cell) for value, cell in values if value is not None]
    return max(known, key=lambda found: found[0])[1] if known else None


def agreement(one: DoneCell, other: DoneCell, measure: Measure) -> float | None:
    """Kendall's tau-b between the values of the arms that both have; None for fewer than three."""
    arms = [arm for arm in arms_of([one]) if _known(one, arm, measure) and _known(other, arm, measure)]
    if len(arms) < 3:
        return None
    first, second = ([cell.value(arm, measure.name) for arm in arms] for cell in (one, other))
    tau = float(kendalltau(first, second).statistic)
    return tau if tau == tau else None  # NaN where all are equal


def _known(cell: DoneCell, arm: str, measure: Measure) -> bool:
    found = cell.arm(arm)
    return (
        found is not None
        and found.method not in ("zero-shot", "model")
        and found.interval(measure.name) is not None
    )


def _table(name: str, cells: Sequence[DoneCell], chosen: DoneCell, measure: Measure, number: int) -> Table:
    baseline = chosen.results.baseline
    taus = {cell.name: agreement(chosen, cell, measure) for cell in cells if cell is not chosen}
    rows = []
    for cell in cells:
        tau = taus.get(cell.name)
        value = cell.value(baseline, measure.name)
        told = Cell("chosen by it") if cell is chosen else Cell(fmt.score(tau), raw=tau)
        order = ", ".join(_order(cell, measure))
        own = fmt.UNITS[measure.unit].value(value)
        rows.append(
            TableRow(
                (Cell(cell.name, raw=cell.name), Cell(own, raw=value), told, Cell(order)),
                marked=cell is chosen,
            )
        )
    columns = (
        Column("recipe", numeric=False),
        Column(f"{baseline}: {measure.title}"),
        Column("Kendall's tau"),
        Column("arms, best first", numeric=False),
    )
    where = f" ({name})" if name else ""
    note = f"{_said(taus)} The recipe is chosen by {baseline} alone, the others are compared with it by {measure.said}."
    return Table(
        columns, tuple(rows), f"recipes_{number}", f"Does the order of arms survive the recipe?{where}", note
    )


def _said(taus: dict[str, float | None]) -> str:
    known = {name: tau for name, tau in taus.items() if tau is not None}
    if not known:
        return "There are too few arms to compare their order."
    worst = min(known, key=known.__getitem__)
    if known[worst] >= FIRM:
        return f"The order of arms survives: tau is at least {fmt.score(known[worst])}."
    return f"The order of arms depends on the recipe: tau is {fmt.score(known[worst])} for {worst}."


def _order(cell: DoneCell, measure: Measure) -> list[str]:
    sign = 1.0 if measure.better == "lower" else -1.0
    arms = [arm for arm in arms_of([cell]) if _known(cell, arm, measure)]
    return sorted(arms, key=lambda arm: sign * (cell.value(arm, measure.name) or 0.0))
