"""The tables of an experiment: one row per arm, over the measures that the experiment has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.notices import runs_of
from eval.report.table import (
    NOTHING,
    SAMPLES,
    Cell,
    Column,
    Entry,
    Spec,
    Table,
    TableRow,
    build,
    mean,
    over_seeds,
    pairs_table,
)
from eval.results import ArmRun, ArmSummary, Results
from tacos.types import Trained

PRICE_UNKNOWN = "price unknown"


@dataclass(frozen=True)
class Arm:
    """An arm's summary beside its runs, one per seed."""

    summary: ArmSummary
    runs: Sequence[ArmRun]

    @property
    def trained(self) -> list[Trained]:
        return [run.trained for run in self.runs if run.trained]


def ordered_arms(results: Results) -> list[Arm]:
    """Best first by the first measure that compares arms; those without a value last.

    Of a measure that compares with the baseline by itself, the baseline has the neutral value.
    """
    arms = [Arm(summary, runs_of(results, summary.arm)) for summary in results.summary]
    for measure in results.measures:
        values = {arm.summary.arm: _rank_value(measure, arm.summary, results) for arm in arms}
        if measure.compared and any(arm.summary.interval(measure.name) for arm in arms):
            sign = -1.0 if measure.better == "higher" else 1.0
            known = {name: sign * value for name, value in values.items() if value is not None}
            return sorted(arms, key=lambda a: known.get(a.summary.arm, float("inf")))
    return arms


def _rank_value(measure: Measure, arm: ArmSummary, results: Results) -> float | None:
    interval = arm.interval(measure.name)
    if interval is None:
        return measure.neutral if arm.arm == results.baseline else None
    return interval.mean


def _usage(name: str, form: fmt.Format) -> Callable[[Arm], Cell]:
    """What a selection used; an arm that selects nothing used nothing worth a number."""
    return lambda arm: over_seeds(
        [getattr(r.selection_usage, name) if r.audit.rows else None for r in arm.runs], form
    )


def _tokens(arm: Arm) -> Cell:
    used = [run.selection_usage for run in arm.runs if run.audit.rows]
    return over_seeds([u.prompt_tokens + u.completion_tokens for u in used], fmt.count)


def _money(arm: Arm) -> Cell:
    used = [run.selection_usage for run in arm.runs if run.audit.rows]
    unpriced = sum(u.unpriced_calls for u in used)
    text = fmt.paid([u.cost_usd for u in used], unpriced)
    return Cell(text, PRICE_UNKNOWN if unpriced and text == fmt.UNKNOWN else "")


def _trained(name: str, form: fmt.Format) -> Callable[[Arm], Cell]:
    return lambda arm: over_seeds([getattr(t, name) for t in arm.trained], form)


def arm_table(
    results: Results, name: str, title: str, note: str, specs: Sequence[Spec[Arm]], arms: Sequence[Arm]
) -> Table:
    entries = []
    for arm in arms:
        own, base = arm.summary.arm, arm.summary.arm == results.baseline
        entries.append(Entry(own, arm, arm=own, marked=base, sub="baseline" if base else ""))
    return build(name, title, note, "arm", entries, specs)


def _measured(measure: Measure, baseline: str) -> Iterator[Spec[Arm]]:
    """Its levels, where it has any, and its value."""
    heading, form = measure.heading.replace("{baseline}", baseline), fmt.UNITS[measure.unit]
    shows = behind(measure)
    if measure.levels:
        label = " / ".join(level.name for level in measure.levels)
        yield Column(label, heading, brief=False, shows=shows), lambda arm: _counted(measure, arm)
    column = Column(measure.title, heading, brief=measure.brief, shows=shows)
    yield column, lambda arm: mean(arm.summary.interval(measure.name), form.value, form.inside)


def behind(measure: Measure) -> str:
    """What stands behind a measure's numbers, for `Column.shows`."""
    if measure.about == "selection":
        return SAMPLES
    return "" if measure.items == "runs" or measure.asked is None else f"answers/{measure.asked}"


def _counted(measure: Measure, arm: Arm) -> Cell:
    """Questions at each level, added up over the seeds."""
    found = [run.measures[measure.name].counts for run in arm.runs if measure.name in run.measures]
    sums = [sum(counts[level.name] for counts in found) for level in measure.levels]
    return Cell(" / ".join(map(fmt.count, sums))) if any(sums) else NOTHING


def main_table(results: Results) -> Table:
    """Everything that an arm got and paid, one row per arm."""
    trained, cost = "training", "cost of selecting"
    specs: list[Spec[Arm]] = [
        (
            Column("rows", "selection", shows=SAMPLES),
            lambda a: over_seeds([r.audit.rows or None for r in a.runs], fmt.count),
        )
    ]
    for about in ("selection", "model"):
        for measure in results.measures:
            if measure.about == about:
                specs += _measured(measure, results.baseline)
    specs += [
        (Column("epochs", trained, brief=False), _trained("epochs", fmt.epochs)),
        (Column("steps", trained, brief=False), _trained("steps", fmt.count)),
        (Column("loss tokens", trained, brief=False), _trained("loss_tokens", fmt.count)),
        (Column("training FLOPs", trained, brief=False), _trained("flops", fmt.flops)),
        (Column("LLM calls", cost, brief=False), _usage("calls", fmt.count)),
        (Column("tokens", cost, brief=False), _tokens),
        (Column("FLOPs", cost, brief=False), _usage("flops", fmt.flops)),
        (Column("money", cost), _money),
        (Column("seconds", cost), _usage("seconds", fmt.seconds)),
    ]
    return arm_table(results, "arms", "Arms", _main_note(results), specs, ordered_arms(results))


def _main_note(results: Results) -> str:
    seeds = max((len(s.seeds) for s in results.summary), default=0)
    over = "questions and seeds" if seeds > 1 else "questions; there is one seed"
    rows = [m.title for m in results.measures if m.items == "rows"]
    runs = [m.title for m in results.measures if m.items == "runs" and seeds > 1]
    other = [f"{fmt.listing(rows)}: over distinct rows of these selections"] if rows else []
    other += [f"{fmt.listing(runs)}: over seeds only"] if runs else []
    over += f" ({', '.join(other)})" if other else ""
    ranges = " Where seeds differ, the smallest and largest are given." if seeds > 1 else ""
    told = any(found.interval for arm in results.summary for found in arm.measures.values())
    order = f"Best first. In brackets: 95% intervals over {over}." if told else ""
    unpriced = any(run.selection_usage.unpriced_calls for run in results.runs)
    price = " Price unknown, or + unpriced: calls to an LLM without prices in the config." if unpriced else ""
    return f"{order}{ranges} A dash means not known or not done.{price}{_flops_note(results)}".strip()


def _flops_note(results: Results) -> str:
    if not any(run.selection_usage.flops or (run.trained and run.trained.flops) for run in results.runs):
        return ""
    return (
        " FLOPs are those of models of this machine, embedders too: 2 a parameter and token read, 6 where it is"
        " trained on, without embeddings and output head; an LLM behind an API is in calls and money."
    )


def budget_table(results: Results) -> Table:
    """What each arm was trained on; arms that were not trained have no row."""
    specs: list[Spec[Arm]] = [
        (Column("samples", shows=SAMPLES), _trained("samples", fmt.count)),
        (Column("epochs"), _trained("epochs", fmt.epochs)),
        (Column("steps"), _trained("steps", fmt.count)),
        (Column("tokens"), _trained("tokens", fmt.count)),
        (Column("loss tokens"), _trained("loss_tokens", fmt.count)),
        (Column("final loss"), _trained("final_loss", fmt.loss)),
        (Column("dropped"), _trained("dropped", fmt.count)),
        (Column("truncated"), _trained("truncated", fmt.count)),
        (Column("template", numeric=False), _template),
        (Column("seconds"), _trained("seconds", fmt.seconds)),
    ]
    arms = [arm for arm in ordered_arms(results) if arm.trained]
    return arm_table(results, "budget", "Equal-budget check", "", specs, arms)


def _template(arm: Arm) -> Cell:
    """The first digits of its hash: the same words around every sample."""
    hashes = dict.fromkeys(run.trained.template_hash[:8] for run in arm.runs if run.trained)
    return Cell(fmt.listing(hashes), raw=fmt.listing(hashes)) if hashes else NOTHING


def rounds_table(results: Results) -> Table:
    """What every round of a selection in rounds had judged, first seed; no row without one."""
    named = ("arm", "round", "judged hard", "judged easy", "unread", "judge calls", "AUC after it")
    columns = tuple(Column(name, numeric=name != "arm") for name in named)
    rows = []
    for report in results.rounds:
        for number, r in enumerate(report.rounds, start=1):
            counts = [fmt.count(n) for n in (number, r.hard, r.easy, r.unread, r.judge_calls)]
            auc = fmt.score(r.auc)
            cells = tuple(Cell(text) for text in (report.arm, *counts, auc))
            rows.append(TableRow(cells, report.arm, report.arm == results.baseline))
    return Table(columns, tuple(rows))


def pool_table(results: Results) -> Table:
    """Rows read, what was dropped and why, and what is left."""
    pool = results.pool
    dropped = pool.get("dropped") or {}
    rows = [("rows read", fmt.count(pool.get("read")))]
    if isinstance(dropped, dict):
        rows += [(f"dropped: {reason}", fmt.count(n)) for reason, n in dropped.items()]
    else:
        rows.append(("dropped", fmt.count(dropped)))
    rows.append(("rows in the pool", fmt.count(pool.get("rows", results.pool_audit.rows))))
    return pairs_table(("pool", "rows"), rows)


def trace_table(results: Results) -> Table:
    """Where every number of an arm and a seed came from; folders stand under the artifact root."""
    columns = tuple(Column(name, numeric=name == "seed") for name in ("arm", "seed", "method", "artifacts"))
    rows = []
    for run in results.runs:
        folders = "  ".join(
            folder if folder.startswith(f"{stage}/") else f"{stage}: {folder}"
            for stage, folder in run.artifacts.items()
        )
        cells = (Cell(run.arm), Cell(str(run.seed)), Cell(run.method), Cell(folders or fmt.UNKNOWN))
        rows.append(TableRow(cells, run.arm, run.arm == results.baseline))
    return Table(columns, tuple(rows))
