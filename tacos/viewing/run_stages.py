"""stages.json of a run folder: the stages behind every arm, written before the first of them works.

    {"artifacts": "../../artifacts",
     "arms": [{"arm": "tacos", "seed": 0, "stages": {"select": ["load/3f..", "tag/a1..", "select/44.."], ...}}]}

It tells a reader where everything lies and what is still to come. cells.json of an experiment with a matrix does the
same for its cells, which are runs of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from tacos.errors import TacosError
from tacos.stage import Stage
from tacos.store.files import read_json, write_json
from tacos.types import Record

STAGES = "stages.json"
CELLS = "cells.json"


class ArmRest(Record):
    """What one arm with one seed rests on."""

    arm: str
    seed: int | None
    """None for a selection by itself."""
    stages: dict[str, tuple[str, ...]]
    """Step, such as "select" or "train" -> its stages as NAME/FINGERPRINT, in the order of work; the last is the one
    that the step is named after. Those of an earlier step are not repeated, and what made the answers that its own
    are compared with is another arm's."""


class RunStages(Record):
    """artifacts: the folder of all stages, relative to the run's."""

    artifacts: str
    arms: tuple[ArmRest, ...]


class CellPlace(Record):
    """where: dimension of the matrix -> entry. folder: of the cell's run, relative to the experiment's."""

    name: str
    where: dict[str, str]
    folder: str


class RunCells(Record):
    """The cells of an experiment with a matrix."""

    cells: tuple[CellPlace, ...]


def write_stages(
    folder: Path, artifacts: Path, arms: Iterable[tuple[str, int | None, Mapping[str, Stage]]]
) -> None:
    """arms: arm, seed, and its steps with the last stage of each. Raises: TacosError where it cannot be written."""
    rest = tuple(ArmRest(arm=arm, seed=seed, stages=_steps(steps)) for arm, seed, steps in arms)
    to = os.path.relpath(artifacts.resolve(), folder.resolve())
    write_json(folder / STAGES, RunStages(artifacts=to, arms=rest))


def _steps(steps: Mapping[str, Stage]) -> dict[str, tuple[str, ...]]:
    seen: set[str] = set()
    found = {}
    for name, target in steps.items():
        new = list(dict.fromkeys(stage.place for stage in _own(target)))
        found[name] = (*(place for place in new[:-1] if place not in seen), new[-1])
        seen.update(new)
    return found


def _own(stage: Stage) -> Iterator[Stage]:
    for name, parent in stage.inputs.items():
        if not name.startswith("opponent"):
            yield from _own(parent)
    yield stage


def read_stages(folder: Path) -> RunStages:
    """Raises: TacosError where the folder is no run's, or the file is damaged."""
    path = folder / STAGES
    if not path.is_file():
        raise TacosError(
            f"{folder} is not the folder of a run: give one such as runs/quickstart; "
            "`tacos select` names its own in its last line"
        )
    try:
        return RunStages.model_validate(read_json(path))
    except (ValidationError, ValueError, OSError) as error:
        raise TacosError(f"{path} cannot be read: run the command again, what is done is reused") from error


def list_cells(folder: Path, cells: Sequence[CellPlace]) -> None:
    """Raises: TacosError where it cannot be written."""
    write_json(folder / CELLS, RunCells(cells=tuple(cells)))


def read_cells(folder: Path) -> tuple[CellPlace, ...]:
    """() for what is no experiment with a matrix, or whose file is damaged."""
    path = folder / CELLS
    try:
        return RunCells.model_validate(read_json(path)).cells if path.is_file() else ()
    except (ValidationError, ValueError, OSError):
        return ()
