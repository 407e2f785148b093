"""An experiment's figures in Weights & Biases: of one arm with one seed, and of the whole.

of an arm     exact_match, exact_match_low, exact_match_high, exact_match_unread, winning_score, select/defect_rate, ...
of the whole  tables leaderboard and runs, plots/exact_match, the page as report
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eval.interval import Interval
from eval.measures import Measure
from eval.report.score_report import with_ends
from eval.report.scorers import card_figures
from eval.report.text import headline
from eval.results import ArmRun, ArmSummary, Results
from tacos.store.fingerprint import plain
from tacos.tracking.tracker import Artifact, Tracker
from tacos.types import Record

if TYPE_CHECKING:
    from eval.report.experiment import ReportPaths


def run_figures(measures: Sequence[Measure], run: ArmRun) -> dict[str, float | int | None]:
    """Of one arm with one seed: the same names for every arm, so that runs share their columns."""
    found: dict[str, float | int | None] = {
        "select/rows": run.audit.rows,
        "select/mean_words": run.audit.mean_words,
        **{f"select_usage/{name}": value for name, value in run.selection_usage if value},
    }
    found |= card_figures(run.scorer) if run.scorer else {}
    for measure in measures:
        if (own := run.measures.get(measure.name)) is None:
            continue
        name = measure.tracked
        found |= with_ends(name, own.interval) | {name: own.value, f"{name}_unread": own.unread}
        found |= {f"{name}_{level}": count for level, count in own.counts.items()}
        for beside, value in own.beside.items():
            key = f"{name}_{beside}"
            found |= with_ends(key, value) if isinstance(value, Interval) else {key: value}
    return found


def track(tracker: Tracker, results: Results, report: ReportPaths) -> None:
    """The whole: every arm and every run as rows of tables, every plot, the page, and the numbers as artifacts."""
    tracker.table("leaderboard", [_of_arm(results, summary) for summary in results.summary])
    tracker.table("runs", [_of_run(results, run) for run in results.runs])
    for name, path in report.plots.items():
        tracker.image(f"plots/{name}", path)
    tracker.page("report", report.html)
    tracker.summary(
        {"verdict": headline(results).verdict, "arms": len(results.summary), "runs": len(results.runs)}
    )
    tracker.summary({f"usage_now/{name}": value for name, value in results.total_usage})
    name = f"{results.name}-report"
    pages = {path.name: path for path in (report.html, report.markdown)}
    tracker.keep(Artifact(name=name, type="report", files=pages))
    tracker.keep(
        Artifact(name=f"{results.name}-results", type="results", files={"results.json": report.results})
    )


def _of_arm(results: Results, summary: ArmSummary) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": summary.arm, "method": summary.method, "seeds": len(summary.seeds)}
    for measure in results.measures:
        row |= with_ends(measure.tracked, summary.interval(measure.name))
        if measure.difference:
            row |= with_ends(f"{measure.tracked}_gain", summary.gain(measure.name))
        found = summary.measures.get(measure.name)
        row[f"{measure.tracked}_p_holm"] = found.p_holm if found else None
    return row


def _of_run(results: Results, run: ArmRun) -> dict[str, Any]:
    """Every run with the same keys, since a table takes its columns from the first."""
    row = flat(run.model_copy(update={"measures": {}, "scorer": None}))
    del row["measures"], row["scorer"]
    for measure in results.measures:
        found = run.measures.get(measure.name)
        row[measure.tracked] = found and found.value
        row[f"{measure.tracked}_unread"] = found and found.unread
        row |= {
            f"{measure.tracked}_{level.name}": found and found.counts[level.name] for level in measure.levels
        }
    return row


def flat(record: Record, prefix: str = "") -> dict[str, Any]:
    """A record as one row: numbers and text by dotted name, the rest as JSON."""
    row: dict[str, Any] = {}
    for key, value in record:
        name = f"{prefix}{key}"
        if isinstance(value, Record):
            row |= flat(value, f"{name}.")
        else:
            row[name] = value if isinstance(value, int | float | str | None) else json.dumps(plain(value))
    return row
