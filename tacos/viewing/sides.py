"""Arms of finished runs as sides of a comparison: "runs/ablation:tacos", or "runs/quickstart" for the arms it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from eval.compared.compare import ArmsCompared, SelectedRow, Side, compared, flat
from eval.measures import Measured
from eval.results import RESULTS, Results, load_results
from eval.samples import SAMPLES
from tacos.errors import ConfigError, nearest
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.types import Pool
from tacos.viewing.run_folder import RunArm, RunFolder, split_name

EXECUTION = {"name", "runs", "artifacts", "tracking", "page", "arms", "focus", "baseline"}
"""Settings of a run that say where, or which arms there are."""


def compare(a: str, b: str) -> list[ArmsCompared]:
    """Two arms, or every arm that two runs have in common.

    Raises: ConfigError for an arm that is not there, or where the runs share none; TacosError for what is no run.
    """
    (left, one), (right, other) = split_name(a), split_name(b)
    first, second = load_results(left / RESULTS), load_results(right / RESULTS)
    if one or other:
        pairs = [(one or other, other or one)]
    else:
        names = [arm.arm for arm in second.summary]
        pairs = [(arm.arm, arm.arm) for arm in first.summary if arm.arm in names]
    if not pairs:
        raise ConfigError(
            f"{left} and {right} have no arm of the same name: say which, as in {left}:ARM {right}:ARM"
        )
    apart = left != right
    sides = _Run(RunFolder(left), first, apart), _Run(RunFolder(right), second, apart)
    return [_compared(sides, pair) for pair in pairs]


@dataclass(frozen=True)
class _Run:
    """A run whose arms are compared. apart: the sides are of two runs, so that names need theirs."""

    folder: RunFolder
    results: Results
    apart: bool

    def groups(self, arm: str) -> dict[str, str]:
        """Row id -> the first group that the arm has it in; {} for an arm without groups."""
        inputs = found.select.inputs if (found := self._first_seed(arm)) else {}
        if not {"groups", "pool"} <= inputs.keys():
            return {}
        groups = tables.read_groups(inputs["groups"].path)
        ids = Pool.read(inputs["pool"].path / tables.POOL).ids
        return {ids[row]: groups.labels[numbers[0]] for row, numbers in groups.homes.items()}

    def side(self, arm: str, groups: Mapping[str, str]) -> Side:
        """groups: row id -> group."""
        known, path = [found.arm for found in self.results.summary], self.folder.path
        if arm not in known:
            raise ConfigError(f"{path} has no arm {arm!r}: {nearest(arm, known)}")
        found = self._first_seed(arm)
        rows = read_jsonl(found.select.path / tables.SELECTION) if found else ()
        return Side(
            name=f"{path.name}:{arm}" if self.apart else arm,
            settings=_settings(path, arm),
            rows={row["id"]: _row(row, groups.get(row["id"], "")) for row in rows},
            measures={m.name: m for m in self.results.measures if not m.of_set},
            values={**_by_item(path / SAMPLES, arm), **_by_run(self.results, arm)},
        )

    def _first_seed(self, arm: str) -> RunArm | None:
        """None for an arm that selects nothing."""
        return next((own for own in self.folder.arms if own.arm == arm), None)


def _compared(runs: tuple[_Run, _Run], arms: tuple[str, str]) -> ArmsCompared:
    (left, right), (a, b) = runs, arms
    groups = left.groups(a) or right.groups(b)
    return compared(left.side(a, groups), right.side(b, groups))


def _settings(folder: Path, arm: str) -> dict[str, Any]:
    """Those of the run that change an answer, and those of the arm over them."""
    data: Mapping[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) or {}
    whole = {name: value for name, value in data.items() if name not in EXECUTION}
    return {**flat(whole), **flat({"arm": (data.get("arms") or {}).get(arm) or {}})}


def _row(row: Mapping[str, Any], group: str) -> SelectedRow:
    said = " ".join(m["content"] for m in row["messages"] if m["role"] == "assistant")
    return SelectedRow(group, row.get("source", ""), len(said.split()))


def _by_item(path: Path, arm: str) -> dict[str, dict[int, Measured]]:
    """Measure -> seed -> question or row id -> value."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    columns = ["measure", "seed", "id", "value"]
    if path.is_file():
        for row in pq.read_table(path, columns=columns, filters=pc.field("arm") == arm).to_pylist():
            found.setdefault(row["measure"], {}).setdefault(row["seed"], {})[row["id"]] = row["value"]
    return {name: dict(seeds) for name, seeds in found.items()}


def _by_run(results: Results, arm: str) -> dict[str, dict[int, Measured]]:
    """Measures with one value per run."""
    whole = {measure.name for measure in results.measures if measure.items == "runs"}
    found: dict[str, dict[int, Measured]] = {}
    for run in results.runs:
        for name, measured in run.measures.items():
            if run.arm == arm and name in whole and measured.value is not None:
                found.setdefault(name, {})[run.seed] = measured.value
    return found
