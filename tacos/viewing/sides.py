"""Arms of finished runs as sides of a comparison: "runs/ablation:tacos", or "runs/quickstart" for the arms it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eval.compared.compare import ArmsCompared, SelectedRow, Side, compared, flat
from eval.measures import Measured
from eval.results import RESULTS, SELECTION, Results, load_results
from eval.samples import SAMPLES, read_samples
from tacos.errors import ConfigError, nearest
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.types import Pool
from tacos.viewing.run_folder import RunArm, RunFolder, split_name

EXECUTION = {"name", "runs", "artifacts", "tracking", "page", "arms", "focus", "baseline"}
"""Settings of a run that say where, or which arms there are."""

OF_AN_ARM = {"method", "group", "score", "allocate", "refine", "settings"}
"""Settings that stand at the top of a selection by itself, and under its arm in an experiment."""


def compare(a: str, b: str) -> list[ArmsCompared]:
    """Two arms, or every arm that two runs have in common.

    Raises: ConfigError for an arm that is not there, or where the runs share none; TacosError for what is no run.
    """
    (left, one), (right, other) = split_name(a), split_name(b)
    apart = left != right
    first, second = _opened(left, apart), _opened(right, apart)
    common = [(arm, arm) for arm in first.arms if arm in second.arms]
    pairs = [(one or other, other or one)] if one or other else common
    if not pairs:
        raise ConfigError(
            f"{left} and {right} have no arm of the same name: say which, as in {left}:ARM {right}:ARM"
        )
    return [_compared((first, second), pair) for pair in pairs]


def _opened(path: Path, apart: bool) -> _Run:
    chosen = (path / SELECTION).is_file()
    return _Run(RunFolder(path), None if chosen else load_results(path / RESULTS), apart)


@dataclass(frozen=True)
class _Run:
    """A run whose arms are compared. results: None for a selection by itself, which has rows and no measures. apart:
    the sides are of two runs, so that names need theirs."""

    folder: RunFolder
    results: Results | None
    apart: bool

    @property
    def arms(self) -> list[str]:
        return [arm.arm for arm in self.results.summary] if self.results else self.folder.names

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
        path, results = self.folder.path, self.results
        if arm not in self.arms:
            raise ConfigError(f"{path} has no arm {arm!r}: {nearest(arm, self.arms)}")
        found = self._first_seed(arm)
        rows = read_jsonl(found.select.path / tables.SELECTION) if found else ()
        return Side(
            name=(f"{path.name}:{arm}" if results else path.name) if self.apart else arm,
            settings=_settings(path, arm),
            rows={row["id"]: _row(row, groups.get(row["id"], "")) for row in rows},
            measures={m.name: m for m in results.measures if not m.of_set} if results else {},
            values={**_by_item(path / SAMPLES, arm), **_by_run(results, arm)} if results else {},
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
    own = (data.get("arms") or {}).get(arm) or {name: data[name] for name in OF_AN_ARM if name in data}
    whole = {
        name: value
        for name, value in data.items()
        if name not in EXECUTION and name not in own.keys() & OF_AN_ARM
    }
    return {**flat(whole), **flat({"arm": own})}


def _row(row: Mapping[str, Any], group: str) -> SelectedRow:
    said = " ".join(m["content"] for m in row["messages"] if m["role"] == "assistant")
    return SelectedRow(group, row.get("source", ""), len(said.split()))


def _by_item(path: Path, arm: str) -> dict[str, dict[int, Measured]]:
    """Measure -> seed -> question or row id -> value."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for row in read_samples(path, arm).select(["measure", "seed", "id", "value"]).to_pylist():
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
