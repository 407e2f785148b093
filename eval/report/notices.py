"""What a report must say beside its numbers: what ran without an LLM, what has no result, what is not equal."""

from __future__ import annotations

import re

from eval.measures import Measure
from eval.report import format as fmt
from eval.results import ArmRun, Results

DRAWS = 3
"""Seeds from which on something follows for a method."""
TOLERANCE = 0.02
"""Arms may differ by this share in loss tokens or steps and still count as equally trained."""


def runs_of(results: Results, arm: str) -> list[ArmRun]:
    return [run for run in results.runs if run.arm == arm]


def is_untrained(results: Results, arm: str) -> bool:
    """An arm that selects nothing, such as "zero-shot": the base model as it is."""
    runs = runs_of(results, arm)
    return bool(runs) and all(run.audit.rows == 0 for run in runs)


def part_kind(role: str, what: str) -> str:
    """What played a part: an LLM, something embedded or no model at all, or a given model."""
    if re.search(r"(?<!no )\bllms?\b", what, re.IGNORECASE):
        return "LLM"
    return "embedded" if "embedded" in what.lower() or role.startswith("selection") else "given"


def parts_sentence(results: Results) -> str:
    """Which parts were LLMs, said plainly, and which came from files, of which nothing is known."""
    files = [role for role, what in results.parts.items() if re.search(r"(^| x )file( x |$)", what)]
    if not files:
        return _who_worked(results)
    return (
        f"{_who_worked(results)} Groups or scores of {fmt.listing(files)} are from a file: who made them, and at what"
        " cost, is not known."
    )


def _who_worked(results: Results) -> str:
    """Calls that were paid count even if no part admits to one."""
    roles = [role for role, what in results.parts.items() if part_kind(role, what) == "LLM"]
    usages = [results.total_usage, *(run.selection_usage for run in results.runs)]
    if roles:
        return f"An LLM did the work of {fmt.listing(roles)}; every other part ran without one."
    if any(u.calls or u.cached_calls for u in usages):
        return "LLMs were called, though no part below is named as one."
    given = [f"{role} ({what})" for role, what in results.parts.items() if part_kind(role, what) == "given"]
    if given:
        return (
            f"No LLM was called to tag, score or judge. Every part is embedded but the {fmt.listing(given)}."
        )
    return "No LLM was called: every part is embedded in tacos and ran on this machine."


def unread(results: Results, arm: str, measure: Measure) -> list[ArmRun]:
    """The runs of an arm that were examined by a measure without one value that could be read."""
    found = ((run, run.measures.get(measure.name)) for run in runs_of(results, arm))
    return [run for run, of_run in found if of_run and of_run.value is None]


def row_warnings(results: Results) -> list[str]:
    """What has no result: rows that a stage failed on, and measures of which no value could be read."""
    lines = [
        f"{f.arm} is missing from every table: {f.stage} failed for seed {f.seed} ({f.reason})."
        for f in results.failures
    ]
    for measure in results.measures:
        reasons = f" (the reasons are in {measure.reasons})" if measure.reasons else ""
        for arm in results.summary:
            for run in unread(results, arm.arm, measure):
                count = fmt.plural(run.measures[measure.name].unread, "question")
                lines.append(
                    f"{arm.arm}, seed {run.seed}, has no {measure.title}: {count} unread and none read{reasons}."
                )
    arms = [f"{arm.arm} ({found})" for arm in results.summary if (found := _failed(results, arm.arm))]
    if arms:
        lines.append(
            "There are rows that a stage could give no answer for (pairs for compare, questions for judge, texts that"
            f" stayed as they were for refine, rows left out for given): {fmt.listing(arms)}; nothing is invented for"
            " them."
        )
    return lines


def protocol_notes(results: Results) -> list[str]:
    """What a table of selections should have and this one has not."""
    lines = _cut_rows(results)
    if results.left_out:
        verb = "is" if len(results.left_out) == 1 else "are"
        lines.append(
            f"Not in this table: {fmt.listing(results.left_out)}, which {verb} left out by `controls`."
        )
    seeds = max((len(arm.seeds) for arm in results.summary), default=0)
    if 0 < seeds < DRAWS:
        draws = "one draw" if seeds == 1 else f"{seeds} draws"
        lines.append(
            f"Every arm is {draws} of a selection: a method, and random too, takes at least {DRAWS} seeds to judge."
        )
    sources = results.pool.get("sources") or 0
    if sources > 1 and not any(arm.method == "random-balanced" for arm in results.summary):
        lines.append(
            f"The pool names {sources:,} sources, and no arm draws them alike (method random-balanced): what their mix"
            " explains is not known."
        )
    return lines


def _cut_rows(results: Results) -> list[str]:
    """Arms of which max_length took rows, or ends of rows; their selections are not what they were trained on."""
    found = []
    for arm in results.summary:
        trained = [run.trained for run in runs_of(results, arm.arm) if run.trained]
        rows = max((t.samples + t.validation_samples + t.dropped for t in trained), default=0)
        if any(t.dropped + t.truncated > TOLERANCE * rows for t in trained):
            out, cut = (
                fmt.spread([getattr(t, n) for t in trained], fmt.count) for n in ("dropped", "truncated")
            )
            found.append(f"{arm.arm} ({out} left out, {cut} cut short, of {fmt.count(rows)})")
    return [f"Rows were too long for train.max_length: {fmt.listing(found)}."] if found else []


def _failed(results: Results, arm: str) -> str:
    """tag 12, compare 3 to 5: rows per seed."""
    runs = runs_of(results, arm)
    stages = dict.fromkeys(stage for run in runs for stage in run.failed)
    return ", ".join(f"{s} {fmt.spread([run.failed.get(s, 0) for run in runs], fmt.count)}" for s in stages)


def budget_warnings(results: Results) -> list[str]:
    """A line for what arms have of their own, and for each of loss tokens, steps and template in which the trained arms
    differ too much."""
    trained = [(f"{run.arm}, seed {run.seed}", run.trained) for run in results.runs if run.trained]
    own = [f"{arm.arm} ({'; '.join(arm.differs)})" for arm in results.summary if arm.differs]
    lines = [f"Not all arms are treated alike: {fmt.listing(own)}."] if own else []
    for name in ("loss_tokens", "steps"):
        values = sorted((getattr(t, name), label) for label, t in trained)
        if values and values[-1][0] - values[0][0] > TOLERANCE * values[-1][0]:
            (low, least), (high, most) = values[0], values[-1]
            share = fmt.percent((high - low) / high)
            lines.append(
                f"The arms differ by {share} in {name.replace('_', ' ')}: {fmt.count(low)} ({least})"
                f" to {fmt.count(high)} ({most})."
            )
    if len({t.template_hash for _, t in trained}) > 1:
        lines.append("The arms were trained with different chat templates.")
    return lines
