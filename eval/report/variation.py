"""Where the spread of a comparison comes from: questions, chance, seeds; and of seeds, training and selection.

An arm whose selection is the same for every seed (the longest rows, the full pool) differs between seeds by training
alone; one that selects anew differs by both.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from eval.measures import Measure
from eval.power import pooled
from eval.report import format as fmt
from eval.report.table import Column, Entry, Spec, Table, build, numbers
from eval.results import Results
from eval.spread import SAME


def variation_tables(results: Results) -> list[Table]:
    """One with a row per measure that compares models, or none for one seed, which shows none of it."""
    measures = [
        m
        for m in results.measures
        if m.about == "model" and m.compared and m.brief and m.items == "questions"
    ]
    entries = [
        Entry(fmt.headed(measure.title, fmt.UNITS[measure.unit].difference_in), _sds(results, measure))
        for measure in measures
    ]
    entries = [entry for entry in entries if entry.item.get("seeds") is not None]
    if not entries:
        return []
    columns = {
        "questions": "of differences",
        "chance": "of differences",
        "seeds": "of differences",
        "training alone": "of seeds' means",
        "selection and training": "of seeds' means",
    }

    def spec(name: str, group: str) -> Spec[dict[str, float | None]]:
        return Column(name, group), numbers(_written, lambda sds: sds.get(name))

    note = (
        "Standard deviations, over all arms. Of differences from the baseline: between questions whatever the seed, by"
        " chance on one question, between whole seeds. Of seeds' means: of arms whose selection is the same for every"
        " seed, and of those that select anew."
    )
    specs = [spec(name, group) for name, group in columns.items()]
    return [build("variation", "Where the spread comes from", note, "measure", entries, specs)]


def _written(sd: float | None) -> str:
    """Three digits, or all of a whole number: 0.0213, 30.1, 1,234."""
    return fmt.UNKNOWN if sd is None else f"{sd:,.0f}" if sd >= 100 else f"{sd:.3g}"


def _sds(results: Results, measure: Measure) -> dict[str, float | None]:
    factor = fmt.UNITS[measure.unit].factor
    found = [arm.measures[measure.name] for arm in results.summary if measure.name in arm.measures]
    whole = pooled([one.variation for one in found if one.variation])
    if whole is None or whole.seed is None:
        return {}
    same = _selected_once(results)
    seeds = {
        arm.arm: arm.measures[measure.name].seed_sd for arm in results.summary if measure.name in arm.measures
    }
    return {
        "questions": factor * whole.question,
        "chance": factor * whole.chance,
        "seeds": factor * whole.seed,
        "training alone": _together(factor, (sd for arm, sd in seeds.items() if arm in same)),
        "selection and training": _together(
            factor, (sd for arm, sd in seeds.items() if arm in _selects(results) - same)
        ),
    }


def _selects(results: Results) -> set[str]:
    return set(results.overlap.arms) if results.overlap else set()


def _selected_once(results: Results) -> set[str]:
    """Arms with one selection for all seeds."""
    if results.overlap is None:
        return set()
    pairs = zip(results.overlap.arms, results.overlap.across_seeds, strict=True)
    return {arm for arm, shared in pairs if shared is not None and shared > 1 - SAME}


def _together(factor: float, sds: Iterable[float | None]) -> float | None:
    known = [sd for sd in sds if sd is not None]
    return factor * float(np.mean(np.square(known)) ** 0.5) if known else None
