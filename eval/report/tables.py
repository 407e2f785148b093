"""The tables of a report as plain data; Markdown, HTML and the terminal only lay them out.

A column is a heading and a function from an arm to a cell. A column in which no arm has anything to
show is left out, so a pool without ground truth or a run without training makes a narrower table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from eval.report import format as fmt
from eval.report.text import Verdict, judge, leading_arm, runs_of
from eval.results import ArmRun, ArmSummary, Interval, Results
from tacos.types import Trained


@dataclass(frozen=True)
class Cell:
    """text: the value; sub: its interval, or "" ; tone: how to colour a verdict."""

    text: str
    sub: str = ""
    tone: Verdict | None = None


NOTHING = Cell(fmt.UNKNOWN)
PRICE_UNKNOWN = "price unknown"


@dataclass(frozen=True)
class Column:
    """group: a heading over several columns; brief: stands in the terminal table too."""

    label: str
    group: str = ""
    numeric: bool = True
    brief: bool = True


@dataclass(frozen=True)
class Row:
    """arm: the arm this row is about, for its colour, else ""; marked: it is the baseline."""

    cells: tuple[Cell, ...]
    arm: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Table:
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Neighbouring columns with one heading: (heading, columns)."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            same = bool(found) and found[-1][0] == column.group
            found[-1:] = [(column.group, found[-1][1] + 1)] if same else [*found[-1:], (column.group, 1)]
        return found

    def starts_group(self, index: int) -> bool:
        """Whether a column opens a group, so that a layout can draw a line before it."""
        return index > 0 and self.columns[index].group != self.columns[index - 1].group


@dataclass(frozen=True)
class Arm:
    """An arm's summary beside its runs, one per seed."""

    summary: ArmSummary
    runs: Sequence[ArmRun]

    @property
    def trained(self) -> list[Trained]:
        return [run.trained for run in self.runs if run.trained]


Spec = tuple[Column, Callable[[Arm], Cell]]


def ordered_arms(results: Results) -> list[Arm]:
    """Best first: by exact match, else by winning score (the baseline draws), else by defect rate."""

    def key(summary: ArmSummary) -> float:
        if summary.exact_match:
            return -summary.exact_match.mean
        if any(s.winning_score for s in results.summary):
            score = summary.winning_score
            return -score.mean if score else -1.0 if summary.arm == results.baseline else 0.0
        return summary.defect_rate.mean if summary.defect_rate else 0.0

    return [Arm(s, runs_of(results, s.arm)) for s in sorted(results.summary, key=key)]


def _value(interval: Interval | None, form: fmt.Format, inside: fmt.Format | None = None) -> Cell:
    if interval is None:
        return NOTHING
    return Cell(form(interval.mean), fmt.bracket(interval, inside or form))


def _spread(values: Iterable[float | None], form: fmt.Format) -> Cell:
    return Cell(fmt.spread(values, form))


def _votes(arm: Arm) -> Cell:
    """Wins, ties and loses added up over the seeds."""
    judged = [run.pairwise for run in arm.runs if run.pairwise]
    sums = [sum(getattr(p, name) for p in judged) for name in ("win", "tie", "lose")]
    return Cell(" / ".join(map(fmt.count, sums))) if any(sums) else NOTHING


def _usage(name: str, form: fmt.Format) -> Callable[[Arm], Cell]:
    """What a selection used; an arm that selects nothing used nothing worth a number."""
    return lambda arm: _spread(
        [getattr(r.selection_usage, name) if r.audit.rows else None for r in arm.runs], form
    )


def _tokens(arm: Arm) -> Cell:
    used = [run.selection_usage for run in arm.runs if run.audit.rows]
    return _spread([u.prompt_tokens + u.completion_tokens for u in used], fmt.count)


def _money(arm: Arm) -> Cell:
    used = [run.selection_usage for run in arm.runs if run.audit.rows]
    unpriced = sum(u.unpriced_calls for u in used)
    text = fmt.paid([u.cost_usd for u in used], unpriced)
    return Cell(text, PRICE_UNKNOWN if unpriced and text == fmt.UNKNOWN else "")


def _trained(name: str, form: fmt.Format) -> Callable[[Arm], Cell]:
    return lambda arm: _spread([getattr(t, name) for t in arm.trained], form)


def _table(results: Results, specs: Sequence[Spec], arms: Sequence[Arm]) -> Table:
    made = [[cell(arm) for arm in arms] for _, cell in specs]
    keep = [i for i, cells in enumerate(made) if any(c != NOTHING for c in cells)]
    columns = (Column("arm", numeric=False), *(specs[i][0] for i in keep))
    rows = []
    for number, arm in enumerate(arms):
        name, base = arm.summary.arm, arm.summary.arm == results.baseline
        first = Cell(name, "baseline" if base else "")
        rows.append(Row((first, *(made[i][number] for i in keep)), name, base))
    return Table(columns, tuple(rows))


def main_table(results: Results) -> Table:
    """Everything that an arm got and paid, one row per arm."""
    judged, trained, cost = f"judged against {results.baseline}", "training", "cost of selecting"
    specs: list[Spec] = [
        (Column("rows", "selection"), lambda a: _spread([r.audit.rows or None for r in a.runs], fmt.count)),
        (
            Column("defect rate", "selection"),
            lambda a: _value(a.summary.defect_rate, fmt.percent, fmt.percent_number),
        ),
        (
            Column("exact match", "model"),
            lambda a: _value(a.summary.exact_match, fmt.percent, fmt.percent_number),
        ),
        (Column("held-out loss", "model", brief=False), lambda a: _value(a.summary.heldout_loss, fmt.loss)),
        (Column("win / tie / lose", judged, brief=False), _votes),
        (Column("winning score", judged), lambda a: _value(a.summary.winning_score, fmt.score)),
        (Column("epochs", trained, brief=False), _trained("epochs", fmt.epochs)),
        (Column("steps", trained, brief=False), _trained("steps", fmt.count)),
        (Column("loss tokens", trained, brief=False), _trained("loss_tokens", fmt.count)),
        (Column("LLM calls", cost, brief=False), _usage("calls", fmt.count)),
        (Column("tokens", cost, brief=False), _tokens),
        (Column("money", cost), _money),
        (Column("seconds", cost), _usage("seconds", fmt.seconds)),
    ]
    return _table(results, specs, ordered_arms(results))


def _gain(interval: Interval | None, form: fmt.Format, neutral: float = 0.0, lower: bool = False) -> Cell:
    if interval is None:
        return NOTHING
    return Cell(form(interval.mean), fmt.bracket(interval, form), judge(interval, neutral, lower))


WORDS = {"better": "better", "worse": "worse", "unclear": "no difference can be claimed"}


def _said(interval: Interval | None, neutral: float = 0.0, lower: bool = False) -> Cell:
    verdict = judge(interval, neutral, lower)
    return Cell(WORDS[verdict], tone=verdict) if verdict else NOTHING


def gains_table(results: Results) -> Table:
    """Differences from the baseline, paired, each with the verdict that its interval allows."""
    data, model, judged = "defect rate, points", "exact match, points", "winning score, 1 is a draw"
    specs: list[Spec] = [
        (Column("difference", model), lambda a: _gain(a.summary.exact_match_gain, fmt.points)),
        (Column("verdict", model, numeric=False), lambda a: _said(a.summary.exact_match_gain)),
        (Column("score", judged), lambda a: _gain(a.summary.winning_score, fmt.score, 1.0)),
        (Column("verdict", judged, numeric=False), lambda a: _said(a.summary.winning_score, 1.0)),
        (Column("difference", data), lambda a: _gain(a.summary.defect_gain, fmt.points, lower=True)),
        (Column("verdict", data, numeric=False), lambda a: _said(a.summary.defect_gain, lower=True)),
    ]
    rivals = [arm for arm in ordered_arms(results) if arm.summary.arm != results.baseline]
    return _table(results, specs, rivals)


def lead_cells(results: Results) -> list[tuple[str, Cell]]:
    """The leading arm's few numbers that decide: what was measured, and by how much it differs."""
    lead, base = leading_arm(results), results.baseline
    if lead is None:
        return []
    cells = [
        (f"exact match, points over {base}", _gain(lead.exact_match_gain, fmt.points)),
        (f"winning score against {base}, 1 is a draw", _gain(lead.winning_score, fmt.score, 1.0)),
        (f"defect rate, points over {base}", _gain(lead.defect_gain, fmt.points, lower=True)),
    ]
    return [(label, cell) for label, cell in cells if cell.text != fmt.UNKNOWN]


def budget_table(results: Results) -> Table:
    """What each arm was trained on; arms that were not trained have no row."""
    specs: list[Spec] = [
        (Column("samples"), _trained("samples", fmt.count)),
        (Column("epochs"), _trained("epochs", fmt.epochs)),
        (Column("steps"), _trained("steps", fmt.count)),
        (Column("tokens"), _trained("tokens", fmt.count)),
        (Column("loss tokens"), _trained("loss_tokens", fmt.count)),
        (Column("final loss"), _trained("final_loss", fmt.loss)),
        (Column("dropped"), _trained("dropped", fmt.count)),
        (Column("truncated"), _trained("truncated", fmt.count)),
        (Column("seconds"), _trained("seconds", fmt.seconds)),
    ]
    return _table(results, specs, [arm for arm in ordered_arms(results) if arm.trained])


def pairs_table(labels: tuple[str, str], pairs: Iterable[tuple[str, str]], numeric: bool = True) -> Table:
    """Two columns: a name and its value."""
    columns = (Column(labels[0], numeric=False), Column(labels[1], numeric=numeric))
    return Table(columns, tuple(Row((Cell(a), Cell(b))) for a, b in pairs))


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
        rows.append(Row(cells, run.arm, run.arm == results.baseline))
    return Table(columns, tuple(rows))
