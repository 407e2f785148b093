"""One experiment over several pools, bases, budgets and recipes: each combination is a cell, an experiment of its own.

    matrix:
      pools:   {alpaca: {source: alpaca.json, holdout: 200}, evol: {source: evol.json, holdout: 200}}
      bases:   {llama2-7b: {model: meta-llama/Llama-2-7b-hf}, mistral: {model: mistralai/Mistral-7B-v0.1}}
      budgets: [500, 1000]
      exclude: [{pools: evol, budgets: 500}]

2 x 2 x 2 cells less two (evol at 500, on either base): 6, named "alpaca, llama2-7b, 500". An entry is laid over the
section of its name in the file (`pool`, `base`, `budget`; `trains` over `train`), one of `variants` over the whole
file, as for a model with a recipe of its own. `arms` and `seeds` may stand in the matrix too, as in the file, since
every cell has all of them. A sweep, `train.lr: [1.0e-5, 2.0e-5]` in the matrix or `train.lr=1.0e-5,2.0e-5` on the
command line, is one more dimension, and so is each setting of `robustness: {lr: [1.0e-5, 2.0e-5]}`, after which the
report says whether the order of arms survives.

Cells share finished stages, so tags of a pool are paid once, and adding an entry pays for its own cells alone. They lie
in `runs/NAME/CELL/`, each with its report, and `runs/NAME/` has the tables over all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from tacos.config import merged, override, parse
from tacos.errors import ConfigError, nearest
from tacos.methods.slots import SLOTS
from tacos.pipeline.settings import ExperimentSettings

SECTIONS = {"pools": "pool", "bases": "base", "budgets": "budget", "trains": "train", "variants": None}
"""A dimension of the matrix -> what its entries are laid over; None is the whole file."""
EVERYWHERE = ("arms", "seeds")
SWEEP = re.compile(r"^[^\[\]{}\"'#,]+(,[^\[\]{}\"'#,]+)+$")
"""Values of a sweep: plain words and numbers with commas between them."""


class MatrixCell(NamedTuple):
    """where: dimension -> the entry that the cell has of it; empty for an experiment without a matrix."""

    where: dict[str, str]
    settings: ExperimentSettings

    @property
    def name(self) -> str:
        return ", ".join(self.where.values())


class Swept(NamedTuple):
    """Overrides for all, and the sweeps among them: path -> its values."""

    overrides: list[str]
    sweeps: dict[str, list[str]]

    def within(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A config with the sweeps as dimensions of its matrix, so that it makes the same cells by itself."""
        return merged(data, {"matrix": self.sweeps}) if self.sweeps else dict(data)


def swept(assignments: Sequence[str]) -> Swept:
    """Tell sweeps from overrides, for `tacos run` and `tacos plan`."""
    found = Swept([], {})
    for assignment in assignments:
        path, _, value = assignment.partition("=")
        if SWEEP.match(value.strip()):
            found.sweeps[path.strip()] = [each.strip() for each in value.split(",")]
        else:
            found.overrides.append(assignment)
    return found


def cells(data: Mapping[str, Any]) -> list[MatrixCell]:
    """Every cell of an experiment, in the order of its dimensions; one without a name where it has no matrix.

    data: a config file with its overrides, and with its sweeps as dimensions.

    Raises: ConfigError naming the path, for a dimension that is not known, an entry that is not what its section takes,
        or a cell that cannot be.
    """
    rest, given = dict(data), data.get("matrix") or {}
    rest.pop("matrix", None)
    if not given and "arms" not in rest and any(key in rest for key in ("method", *SLOTS)):
        raise ConfigError(
            "there are no arms, and a method or its parts stand at the top: this reads like a config of `tacos "
            "select`; give it as `tacos select POOL --config FILE`"
        )
    sweeps = recipes(rest.pop("robustness", None))
    if not isinstance(given, Mapping):
        raise ConfigError("matrix: name dimensions, as in matrix: {budgets: [500, 1000]}")
    known = [*SECTIONS, *EVERYWHERE, "exclude"]
    for key, values in given.items():
        if (
            key not in known
            and isinstance(values, list)
            and not any(isinstance(v, Mapping | list) for v in values)
        ):
            sweeps[str(key)] = [str(value) for value in values]
        elif key not in known:
            raise ConfigError(f"matrix.{key}: {nearest(str(key), known)}")
    rest |= {key: given[key] for key in EVERYWHERE if key in given}
    dimensions = {name: entries(name, given[name]) for name in SECTIONS if name in given}
    dimensions |= {path: {value: value for value in values} for path, values in sweeps.items()}
    left_out = exclusions(given.get("exclude") or [], dimensions)
    found = []
    for combination in product(*dimensions.values()):
        where = dict(zip(dimensions, combination, strict=True))
        if not any(all(where[key] == value for key, value in each.items()) for each in left_out):
            found.append(MatrixCell(where, _settings(rest, where, dimensions)))
    if not found:
        raise ConfigError("matrix: no cell is left: nothing is in it, or all is excluded")
    return _apart(found)


def recipes(said: Any) -> dict[str, Sequence[str]]:
    """A sweep of `train` for each setting of `robustness`. Raises: ConfigError."""
    if said is None:
        return {}
    if not isinstance(said, Mapping) or not all(isinstance(v, list) and len(v) > 1 for v in said.values()):
        raise ConfigError(
            "robustness: give settings of train with at least two values each, as in robustness: {epochs: [3, 15]}"
        )
    return {f"train.{name}": [str(value) for value in values] for name, values in said.items()}


def entries(dimension: str, given: Any) -> dict[str, Any]:
    """Name -> what is laid over the section. Budgets may be a list, whose numbers are their names."""
    if dimension == "budgets" and isinstance(given, Sequence) and not isinstance(given, str):
        given = {str(number): number for number in given}
    plain = dimension == "budgets"
    if (
        not isinstance(given, Mapping)
        or not given
        or not (plain or all(isinstance(entry, Mapping) for entry in given.values()))
    ):
        example = "{small: 500, large: 1000}" if plain else "{NAME: {...}, NAME: {...}}"
        raise ConfigError(f"matrix.{dimension}: give entries by name, as in {dimension}: {example}")
    return {str(name): value for name, value in given.items()}


def exclusions(given: Any, dimensions: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Raises: ConfigError for a dimension or an entry that the matrix does not have."""
    if not isinstance(given, Sequence) or not all(isinstance(each, Mapping) and each for each in given):
        raise ConfigError(
            "matrix.exclude: give a list of cells, as in exclude: [{pools: evol, budgets: 500}]"
        )
    found = []
    for each in given:
        for dimension, name in each.items():
            if dimension not in dimensions:
                raise ConfigError(f"matrix.exclude.{dimension}: {nearest(str(dimension), dimensions)}")
            if str(name) not in dimensions[dimension]:
                raise ConfigError(
                    f"matrix.exclude.{dimension}={name!r}: {nearest(str(name), dimensions[dimension])}"
                )
        found.append({str(dimension): str(name) for dimension, name in each.items()})
    return found


def _settings(
    data: Mapping[str, Any], where: Mapping[str, str], dimensions: Mapping[str, Mapping[str, Any]]
) -> ExperimentSettings:
    """Raises: ConfigError that names the cell."""
    made = dict(data)
    for dimension, name in where.items():
        if dimension in SECTIONS:
            entry, section = dimensions[dimension][name], SECTIONS[dimension]
            made = merged(made, {section: entry} if section else entry)
        else:
            made = override(made, [f"{dimension}={name}"])
    if where:
        made["runs"] = str(Path(made.get("runs", "runs")) / str(made.get("name", "")))
        made["tracking"] = {"group": made.get("name"), **(made.get("tracking") or {})}
        made["name"] = folder_name(where)
    try:
        return parse(ExperimentSettings, made)
    except ConfigError as error:
        raise ConfigError(f"cell {', '.join(where.values())}: {error}" if where else str(error)) from error


def folder_name(where: Mapping[str, str]) -> str:
    """ "alpaca-llama2-7b-500": letters, digits, dot, dash and underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(where.values())).lstrip("._-") or "cell"


def _apart(found: list[MatrixCell]) -> list[MatrixCell]:
    """Raises: ConfigError where two cells would write into one folder."""
    folders: dict[str, MatrixCell] = {}
    for cell in found:
        other = folders.setdefault(cell.settings.name, cell)
        if other is not cell:
            raise ConfigError(
                f"matrix: the cells {other.name!r} and {cell.name!r} have one folder, {cell.settings.name}: give their "
                "entries names that differ in letters and digits"
            )
    return found
