"""What each arm is against the baseline, with what may be claimed, and what a comparison of this size can show."""

from __future__ import annotations

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.arms import Arm, arm_table, behind, ordered_arms
from eval.report.claims import Compared, compared
from eval.report.notices import DRAWS
from eval.report.table import NOTHING, Cell, Column, Spec, Table, mean
from eval.report.text import leading_arm
from eval.results import Results
from eval.spread import detectable


def gains_table(results: Results) -> Table:
    """What each arm is against the baseline, by every measure that compares, with what may be claimed."""
    specs: list[Spec[Arm]] = []
    for measure in results.measures:
        specs += _claimed(measure) if measure.compared else []
    rivals = [arm for arm in ordered_arms(results) if arm.summary.arm != results.baseline]
    title = f"Compared with {results.baseline}"
    return arm_table(results, "gains", title, _gains_note(results), specs, rivals)


def _claimed(measure: Measure) -> list[Spec[Arm]]:
    form, neutral = fmt.UNITS[measure.unit], measure.neutral
    unit = form.difference_in if measure.difference else f"{form.plain(neutral)} is a draw"
    group = fmt.headed(measure.title, unit)

    def value(arm: Arm) -> Cell:
        return gain_cell(compared(measure, arm.summary))

    def said(arm: Arm) -> Cell:
        found = compared(measure, arm.summary)
        if found is None:
            return NOTHING
        one = measure.about == "model" and len(arm.summary.seeds) < DRAWS and found.claim != "unclear"
        return Cell(f"{found.word} by this model" if one else found.word, tone=found.claim)

    noun = "difference" if measure.difference else form.noun
    shows = behind(measure)
    return [(Column(noun, group, shows=shows), value), (Column("verdict", group, numeric=False), said)]


def gain_cell(found: Compared | None) -> Cell:
    return mean(found.interval, found.form, tone=found.claim) if found else NOTHING


def _gains_note(results: Results) -> str:
    paired = {"questions": "question and seed", "rows": "row"}
    ways = [
        f"{fmt.listing(titles)} paired by {how}"
        for items, how in paired.items()
        if (
            titles := [
                m.title for m in results.measures if m.difference and m.items == items and not m.of_set
            ]
        )
    ]
    neutral = [
        f"for the {m.title}: {fmt.UNITS[m.unit].plain(m.neutral)}"
        for m in results.measures
        if m.neutral is not None and not m.of_set
    ]
    own = f" ({', '.join(neutral)})" if neutral else ""
    pairs = f", {', '.join(ways)}" if ways else ""
    return (
        f"Differences from {results.baseline} with 95% intervals{pairs}."
        f" An interval that covers zero{own} supports no claim either way, nor does one that Holm's correction for all"
        f" of them takes back.{_power_note(results)}"
    )


def _power_note(results: Results) -> str:
    """What this size can show, by the widest interval of each measure of models."""
    found = []
    for measure in results.measures:
        if measure.about != "model" or not measure.compared or not measure.brief:
            continue
        intervals = [how.interval for arm in results.summary if (how := compared(measure, arm))]
        sizes = [(d, interval.n) for interval in intervals if (d := detectable(interval)) is not None]
        if sizes:
            least, n = max(sizes)
            form = fmt.UNITS[measure.unit]
            size = f"{form.inside(least)} {form.difference_in}".strip()
            found.append(f"{size} ({measure.title}, {fmt.plural(n, 'question')})")
    seeds = fmt.plural(max((len(arm.seeds) for arm in results.summary), default=1), "seed")
    return (
        f" The smallest difference that 80% of repeats with {seeds} would find: {fmt.listing(found)}."
        if found
        else ""
    )


def lead_cells(results: Results) -> list[tuple[str, Cell]]:
    """The leading arm's few numbers that decide: what was measured, and by how much it differs."""
    lead = leading_arm(results)
    if lead is None:
        return []
    shown = [measure for measure in results.measures if measure.brief and not measure.of_set]
    found = [(measure, compared(measure, lead)) for measure in shown]
    return [(_tile(measure, results.baseline), gain_cell(how)) for measure, how in found if how]


def _tile(measure: Measure, baseline: str) -> str:
    form = fmt.UNITS[measure.unit]
    if measure.difference:
        unit = f", {form.difference_in} over {baseline}" if form.difference_in else f" over {baseline}"
        return f"{measure.title}{unit}"
    return f"{measure.title} against {baseline}, {form.plain(measure.neutral)} is a draw"
