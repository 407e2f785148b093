"""A finished cell of a matrix, and what cells have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eval.measures import Measure
from eval.report.style import ARM_COLOURS, BASELINE_COLOUR
from eval.results import ArmSummary, Results

BUDGETS = ("budgets", "budget")
"""The dimension of sizes: of a matrix, or swept."""


class DoneCell(NamedTuple):
    """where: dimension -> the cell's entry of it, such as {"budgets": "500"}. run: its folder."""

    name: str
    where: Mapping[str, str]
    run: Path
    results: Results

    def arm(self, name: str) -> ArmSummary | None:
        return next((arm for arm in self.results.summary if arm.arm == name), None)

    def value(self, arm: str, measure: str) -> float | None:
        found = self.arm(arm)
        interval = found.interval(measure) if found else None
        return interval.mean if interval else None

    def place(self, dimension: str) -> float | None:
        """Its entry as a number: rows of a budget, or a setting that was swept."""
        if dimension in BUDGETS:
            return float(self.results.budget)
        try:
            return float(self.where[dimension])
        except ValueError:
            return None


def measures_of(done: Sequence[DoneCell], brief: bool = False) -> list[Measure]:
    """In the order of importance. brief: those that stand in a terminal."""
    found: dict[str, Measure] = {}
    for cell in done:
        for measure in cell.results.measures:
            if not measure.of_set and (measure.brief or not brief):
                found.setdefault(measure.name, measure)
    return list(found.values())


def colours_of(done: Sequence[DoneCell]) -> dict[str, str]:
    """Grey for the baseline, then one colour per arm in configured order, as in the reports of the cells."""
    baseline = done[0].results.baseline
    rivals = [arm for arm in arms_of(done) if arm != baseline]
    return {baseline: BASELINE_COLOUR} | {
        arm: ARM_COLOURS[i % len(ARM_COLOURS)] for i, arm in enumerate(rivals)
    }


def main_measure(done: Sequence[DoneCell]) -> Measure | None:
    """The most important one of models that every arm has a value of, the baseline too."""
    own = (m for m in measures_of(done, brief=True) if m.about == "model" and m.neutral is None)
    return next((m for m in own if m.items == "questions"), None)


def arms_of(done: Sequence[DoneCell]) -> list[str]:
    return list(dict.fromkeys(arm.arm for cell in done for arm in cell.results.summary))


def apart(done: Sequence[DoneCell], dimensions: Sequence[str]) -> Iterator[tuple[str, list[DoneCell]]]:
    """Cells that differ in these dimensions alone, under the name of what they share; "" where that is nothing."""
    groups: dict[str, list[DoneCell]] = {}
    for cell in done:
        shared = ", ".join(entry for name, entry in cell.where.items() if name not in dimensions)
        groups.setdefault(shared, []).append(cell)
    yield from groups.items()
