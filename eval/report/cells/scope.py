"""For which cells an arm is better than the baseline: a claim for a method names the pools, budgets and recipes that it
holds for, and one cell alone is no claim for a method."""

from __future__ import annotations

from collections.abc import Sequence

from eval.report import format as fmt
from eval.report.cells.cell import DoneCell, measures_of
from eval.report.claims import compared
from eval.report.notices import DRAWS
from eval.results import ArmSummary, Results


def scope(done: Sequence[DoneCell]) -> str:
    """Of the arm that the experiment is about, by the most important measure that compares."""
    arm = _focus(done)
    measure = next((m for m in measures_of(done) if m.about == "model" and m.compared), None)
    if arm is None or measure is None:
        return f"{len(done)} cells; no arm is compared with the baseline."
    claims: dict[str, list[str]] = {}
    for cell in done:
        found = compared(measure, summary) if (summary := cell.arm(arm)) else None
        claims.setdefault(found.claim if found else "missing", []).append(cell.name)
    baseline = done[0].results.baseline
    told = [
        f"{word} {baseline} in {_cells(claims[claim], len(done))}"
        for claim, word in (("better", "better than"), ("worse", "worse than"))
        if claim in claims
    ]
    if not told and "unclear" not in claims:
        return f"By {measure.said}, {arm} is compared with {baseline} in no cell."
    unclear, missing = claims.get("unclear", []), claims.get("missing", [])
    nowhere = f"any of {len(done)} cells" if len(unclear) == len(done) > 1 else fmt.listing(unclear)
    rest = f"; nothing is compared in {fmt.listing(missing)}" if missing else ""
    if not told:
        return f"No difference of {arm} from {baseline} by {measure.said} can be claimed in {nowhere}{rest}."
    said = f"By {measure.said}, {arm} is {fmt.listing(told)}"
    said += f"; no difference can be claimed in {nowhere}" if unclear else ""
    seeds = min((len(cell.arm(arm).seeds) for cell in done if cell.arm(arm)), default=0)  # type: ignore[union-attr]
    if 0 < seeds < DRAWS:
        models = f" These are models of {fmt.plural(seeds, 'seed')}: nothing follows for the methods."
        return f"{said}{rest}.{models}"
    lonely = " One cell is no claim for the method." if len(claims.get("better", [])) == 1 else ""
    return f"{said}{rest}.{lonely}"


def _focus(done: Sequence[DoneCell]) -> str | None:
    results = done[0].results
    return results.focus or next((arm.arm for arm in results.summary if _rival(arm, results)), None)


def _rival(arm: ArmSummary, results: Results) -> bool:
    return arm.arm != results.baseline and arm.method != "zero-shot"


def _cells(names: Sequence[str], of: int) -> str:
    return f"all {of} cells" if len(names) == of > 1 else fmt.listing(names)
