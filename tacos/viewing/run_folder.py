"""A run's folder as what it rests on: which arms there are, and the folder of every stage behind each.

    run = RunFolder(Path("runs/quickstart"))
    run.arms                         "tacos" seed 0, "random" seed 0, ...
    run.arm("tacos", 0).inputs("scores")

Read off the links that the run left and the `inputs` of every stage's done record, so that a run is read as it was
made, whatever a config would build today.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tacos.errors import TacosError, nearest
from tacos.stage import DONE
from tacos.store import tables
from tacos.store.files import read_json

ARM_LINK = re.compile(r"^(?P<arm>.+)-seed(?P<seed>\d+)-(?P<stage>\w+)$")
LAST_FIRST = ("refine", "refine_instruction", "refine_response", "select", "data")
"""Stages that hold what an arm trains on; the first one that is there counts."""


@dataclass(frozen=True)
class StageFolder:
    """A finished stage, `artifacts/<name>/<fingerprint>`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def refines(self) -> bool:
        """Whether it rewrote a selection."""
        return self.name.startswith("refine")

    @cached_property
    def done(self) -> dict[str, object]:
        """The done record. Raises: TacosError where it is gone."""
        if not (self.path / DONE).is_file():
            raise TacosError(
                f"{self.path} holds no finished stage: run the command again, what is done is reused"
            )
        found: dict[str, object] = read_json(self.path / DONE)
        return found

    @cached_property
    def inputs(self) -> dict[str, StageFolder]:
        """What it read, by the names that it has for them."""
        root, found = self.path.parents[1], {}
        inputs = self.done.get("inputs")
        for name, fingerprint in (inputs if isinstance(inputs, dict) else {}).items():
            folders = sorted(root.glob(f"*/{fingerprint}"))
            if folders:
                found[name] = StageFolder(folders[0])
        return found

    def walk(self) -> Iterator[StageFolder]:
        """Itself, then all that it rests on, nearest first; each once."""
        waiting, seen = [self], set()
        while waiting:
            stage = waiting.pop(0)
            if stage.path not in seen:
                seen.add(stage.path)
                yield stage
                waiting += stage.inputs.values()

    def find(self, *names: str) -> StageFolder | None:
        """The nearest stage of one of these names."""
        return next((stage for stage in self.walk() if stage.name in names), None)


@dataclass(frozen=True)
class RunArm:
    """What one arm selected with one seed. last: its selection, rewritten where it was refined."""

    arm: str
    seed: int | None
    last: StageFolder

    @property
    def title(self) -> str:
        return self.arm if self.seed is None else f"{self.arm} (seed {self.seed})"

    @property
    def select(self) -> StageFolder:
        """The selection itself, before it was refined."""
        stage = self.last
        while stage.refines and "selection" in stage.inputs:
            stage = stage.inputs["selection"]
        return stage


class RunFolder:
    """Of `tacos run` or `tacos select`. Raises: TacosError where it is no run's, or where a link leads nowhere.

    links: arm and seed -> stage -> link. arms: those of them that hold rows to train on.
    """

    def __init__(self, path: Path):
        self.path = path
        links = path / "artifacts"
        if not links.is_dir():
            raise TacosError(f"{path} is not the folder of a run: give one such as runs/quickstart")
        self.links = _links(links)
        self.arms = [
            RunArm(arm, seed, _target(own))
            for (arm, seed), own in self.links.items()
            if not own.keys().isdisjoint(LAST_FIRST)
        ]
        if not self.arms:
            raise TacosError(f"{path} selected nothing: its folder links to no selection")

    @property
    def names(self) -> list[str]:
        """Of the arms, each once."""
        return list(dict.fromkeys(arm.arm for arm in self.arms))

    def arm(self, name: str, seed: int | None = None) -> RunArm:
        """The first seed where none is asked for. Raises: TacosError naming the nearest arm."""
        own = [arm for arm in self.arms if arm.arm == name]
        if not own:
            raise TacosError(f"{self.path} has no arm {name!r}: {nearest(name, self.names)}")
        found = next((arm for arm in own if seed is None or arm.seed == seed), None)
        if found is None:
            raise TacosError(
                f"{self.path} has no seed {seed} of {name}: {', '.join(str(arm.seed) for arm in own)}"
            )
        return found


def _links(folder: Path) -> dict[tuple[str, int | None], dict[str, Path]]:
    """Arm and seed -> stage -> link; those of `tacos select` are of an arm "selection" without a seed."""
    found: dict[tuple[str, int | None], dict[str, Path]] = {}
    for link in sorted(folder.iterdir()):
        named = ARM_LINK.match(link.name)
        if named:
            found.setdefault((named["arm"], int(named["seed"])), {})[named["stage"]] = link
        elif link.name in LAST_FIRST:
            found.setdefault(("selection", None), {})[link.name] = link
    return found


def _target(own: dict[str, Path]) -> StageFolder:
    link = next(own[stage] for stage in LAST_FIRST if stage in own)
    target = link.resolve()
    if not (target / tables.SELECTION).is_file():
        raise TacosError(f"{link} leads to no selection: run the command again, what is done is reused")
    return StageFolder(target)


def split_name(text: str) -> tuple[Path, str]:
    """ "runs/quickstart:tacos" as the run folder and the arm, "" for none."""
    if Path(text).is_dir():
        return Path(text), ""
    folder, _, arm = text.rpartition(":")
    return (Path(folder), arm) if folder else (Path(text), "")


def named_arm(text: str, seed: int | None = None) -> tuple[RunFolder, RunArm]:
    """The arm of "RUN:ARM", or the only one of "RUN". Raises: TacosError where several could be meant."""
    path, name = split_name(text)
    run = RunFolder(path)
    names = run.names
    if not name and len(names) > 1:
        raise TacosError(
            f"{path} has several arms: say which, as in {path}:{names[0]} (there are {', '.join(names)})"
        )
    return run, run.arm(name or names[0], seed)
