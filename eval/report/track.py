"""An experiment's report in Weights & Biases: a row per arm and per run, every plot, and the main numbers.

summary     tacos/exact_match, tacos/exact_match_low, tacos/exact_match_high, ..., usage/calls
tables      summary, runs
images      plots/exact_match, ...
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.results import ArmRun, ArmSummary, Results
from tacos.store.fingerprint import plain
from tacos.tracking import Tracker
from tacos.types import Record


def track(tracker: Tracker, results: Results, plots: Mapping[str, Path]) -> None:
    """Every measure under its name, in the order of the report."""
    rows = [_of_arm(results, summary) for summary in results.summary]
    for row in rows:
        tracker.summary({f"{row['arm']}/{k}": v for k, v in row.items() if isinstance(v, float)})
    tracker.table("summary", rows)
    tracker.table("runs", [_of_run(results, run) for run in results.runs])
    for name, path in plots.items():
        tracker.image(f"plots/{name}", path)
    tracker.summary({f"usage/{k}": v for k, v in results.total_usage.model_dump().items()})


def _of_arm(results: Results, summary: ArmSummary) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": summary.arm, "method": summary.method}
    for measure in results.measures:
        found, gain = summary.interval(measure.name), summary.gain(measure.name)
        row |= {measure.name: found and found.mean}
        row |= {f"{measure.name}_low": found and found.low, f"{measure.name}_high": found and found.high}
        if measure.difference:
            row[f"{measure.name}_gain"] = gain and gain.mean
    return row


def _of_run(results: Results, run: ArmRun) -> dict[str, Any]:
    """Every run with the same keys, since a table takes its columns from the first."""
    row = flat(run.model_copy(update={"measures": {}}))
    del row["measures"]
    for measure in results.measures:
        found = run.measures.get(measure.name)
        row[measure.name] = found and found.value
        row[f"{measure.name}_unread"] = found and found.unread
        row |= {
            f"{measure.name}_{level.name}": found and found.counts[level.name] for level in measure.levels
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
