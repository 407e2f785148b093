"""A finished run as pandas tables, for notebooks and plots of one's own.

    from tacos.frames import load

    run = load("runs/quickstart")
    run.arms.pivot(index="arm", columns="measure", values="mean")
    own = run.samples.query("measure == 'exact_match'")
    own.groupby(["arm", "set"], dropna=False).value.mean()

What is not known is NaN or None, never 0. Reads results.json and samples.parquet of the run folder; no model, no
network, no artifact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.results import RESULTS, ArmRun, ArmSummary, Results, load_results
from eval.samples import SAMPLES, read_samples

if TYPE_CHECKING:
    import pandas as pd

ARMS = ("arm", "method", "baseline", "measure", "mean", "low", "high", "gain", "gain_low", "gain_high", "n")
RUNS = ("arm", "method", "baseline", "seed", "measure", "value", "low", "high", "n", "unread")
COSTS = (
    "arm",
    "method",
    "baseline",
    "money_usd",
    "unpriced_calls",
    "calls",
    "flops",
    "seconds",
    "training_flops",
    "training_seconds",
)
KEYS = {"arm", "method", "baseline", "seed", "measure"}
COUNTS = {"n", "unread"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Frames:
    """One experiment.

    results: everything in results.json, as records.
    arms: a row per arm and measure: `mean` with its 95% interval (`low`, `high`) over `n` questions or rows, and
        `gain`, the paired difference from the baseline arm, with its own; units are the measure's, shares 0-1.
    runs: a row per arm, seed and measure; `unread` counts questions whose value could not be read.
    samples: a row per arm, seed, measure and question or row, see `eval.samples`.
    costs: a row per arm, means over its seeds. `money_usd` (US dollars), LLM `calls`, `flops` and `seconds` are those
        of selecting, as first paid; NaN for an arm that selects nothing, and money where no call has a price.
        `unpriced_calls` are in no sum of money. `training_flops` and `training_seconds`: NaN where not trained.
    """

    results: Results
    arms: pd.DataFrame
    runs: pd.DataFrame
    samples: pd.DataFrame
    costs: pd.DataFrame

    def __repr__(self) -> str:
        tables = ", ".join(
            f"{name} {len(getattr(self, name)):,}" for name in ("arms", "runs", "samples", "costs")
        )
        return f"<{self.results.name}: results, and rows of {tables}>"


def load(run: str | Path) -> Frames:
    """The tables of the run folder `run`, such as "runs/quickstart".

    Raises: TacosError where a file is missing, damaged, or of another schema.
    """
    folder = Path(run)
    results = load_results(folder / RESULTS)
    return Frames(
        results=results,
        arms=_frame(_arms(results), ARMS),
        runs=_frame(_runs(results), RUNS),
        samples=read_samples(folder / SAMPLES).to_pandas(),
        costs=_frame(_costs(results), COSTS),
    )


def _frame(rows: Iterator[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Numbers are float64, counts nullable integers, also where every one is missing."""
    import pandas as pd

    kinds = {name: "Int64" if name in COUNTS else "float64" for name in columns if name not in KEYS}
    return pd.DataFrame(rows, columns=list(columns)).astype(kinds)


def _named(results: Results, of: ArmSummary | ArmRun) -> Row:
    return {"arm": of.arm, "method": of.method, "baseline": of.arm == results.baseline}


def _arms(results: Results) -> Iterator[Row]:
    for summary in results.summary:
        for measure, found in summary.measures.items():
            row = _named(results, summary) | {"measure": measure}
            if own := found.interval:
                row |= own.model_dump()
            if gain := found.gain:
                row |= {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high}
            yield row


def _runs(results: Results) -> Iterator[Row]:
    for run in results.runs:
        for measure, found in run.measures.items():
            row = _named(results, run) | {"seed": run.seed, "measure": measure, "unread": found.unread}
            if found.interval:
                row |= found.interval.model_dump(exclude={"mean"})
            yield row | {"value": found.value}


def _costs(results: Results) -> Iterator[Row]:
    for summary in results.summary:
        runs = [run for run in results.runs if run.arm == summary.arm]
        selecting = [run.selection_usage for run in runs if run.audit.rows]
        trained = [run.trained for run in runs if run.trained]
        unpriced, money = (_mean([getattr(u, n) for u in selecting]) for n in ("unpriced_calls", "cost_usd"))
        yield _named(results, summary) | {
            "money_usd": None if unpriced and not money else money,
            "unpriced_calls": unpriced,
            **{name: _mean([getattr(u, name) for u in selecting]) for name in ("calls", "flops", "seconds")},
            "training_flops": _mean([t.flops for t in trained]),
            "training_seconds": _mean([t.seconds for t in trained]),
        }


def _mean(values: Sequence[float | None]) -> float | None:
    """Over the seeds; None where one of them is not known, or there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
