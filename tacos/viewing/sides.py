"""Arms of finished runs as sides of a comparison: "runs/ablation:tacos", or "runs/quickstart" for the arms it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from tacos.viewing.run_folder import RunFolder, split_name

EXECUTION = {"name", "runs", "artifacts", "tracking", "arms", "focus", "baseline"}
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
    return [_compared((left, first, x), (right, second, y)) for x, y in pairs]


def _compared(a: tuple[Path, Results, str], b: tuple[Path, Results, str]) -> ArmsCompared:
    """Each: the run's folder, its results, the arm."""
    groups = _groups(a[0], a[2]) or _groups(b[0], b[2])
    apart = a[0] != b[0]
    return compared(_side(*a, groups, apart), _side(*b, groups, apart))


def _groups(folder: Path, arm: str) -> dict[str, str]:
    """SelectedRow id -> the first group that the arm has it in; {} for an arm without groups."""
    found = next((own for own in RunFolder(folder).arms if own.arm == arm), None)
    inputs = found.select.inputs if found else {}
    if not {"groups", "pool"} <= inputs.keys():
        return {}
    groups, ids = tables.read_groups(inputs["groups"].path), Pool.read(inputs["pool"].path / tables.POOL).ids
    return {ids[row]: groups.labels[numbers[0]] for row, numbers in groups.homes.items()}


def _side(folder: Path, results: Results, arm: str, groups: Mapping[str, str], apart: bool) -> Side:
    """groups: row id -> group. apart: the sides are of two runs, so that names need theirs."""
    known = [found.arm for found in results.summary]
    if arm not in known:
        raise ConfigError(f"{folder} has no arm {arm!r}: {nearest(arm, known)}")
    return Side(
        name=f"{folder.name}:{arm}" if apart else arm,
        settings=_settings(folder, arm),
        rows=_selected(folder, arm, groups),
        measures={m.name: m for m in results.measures if not m.of_set},
        values={**_by_item(folder / SAMPLES, arm), **_by_run(results, arm)},
    )


def _settings(folder: Path, arm: str) -> dict[str, Any]:
    """Those of the run that change an answer, and those of the arm over them."""
    data: Mapping[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) or {}
    whole = {name: value for name, value in data.items() if name not in EXECUTION}
    return {**flat(whole), **flat({"arm": (data.get("arms") or {}).get(arm) or {}})}


def _selected(folder: Path, arm: str, groups: Mapping[str, str]) -> dict[str, SelectedRow]:
    """The rows of the first seed; {} of an arm that selects nothing."""
    found = next((own for own in RunFolder(folder).arms if own.arm == arm), None)
    rows: Iterator[dict[str, Any]] = read_jsonl(found.select.path / tables.SELECTION) if found else iter(())
    return {row["id"]: _row(row, groups.get(row["id"], "")) for row in rows}


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
