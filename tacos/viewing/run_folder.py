"""A run's folder as what it rests on: which arms there are, and the folder of every stage behind each.

    run = RunFolder(Path("runs/quickstart"))
    run.arms                         "tacos" seed 0, "random" seed 0, ...
    run.arm("tacos", 0).inputs("scores")

Read off its stages.json and the `inputs` of every stage's done record, so that a run is read as it was made, whatever a
config would build today; one that still works has the arms that it has come to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tacos.errors import TacosError, nearest
from tacos.stage import DONE
from tacos.store.files import read_json
from tacos.viewing.run_stages import ArmRest, read_stages

LAST_FIRST = ("refine", "select")
"""Steps that hold what an arm trains on; the first one that is there counts."""


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
    """Of `tacos run` or `tacos select`. Raises: TacosError where it is no run's.

    rest: what its arms rest on, done or not. steps: arm and seed -> step -> folder of its stage, those that are done.
    arms: those that hold rows to train on.
    """

    def __init__(self, path: Path):
        self.path = path
        self.rest = read_stages(path)
        self.artifacts = path / self.rest.artifacts
        self.steps = {(rest.arm, rest.seed): self._done(rest) for rest in self.rest.arms}
        self.arms = [
            RunArm(arm, seed, StageFolder(next(own[step] for step in LAST_FIRST if step in own)))
            for (arm, seed), own in self.steps.items()
            if not own.keys().isdisjoint(LAST_FIRST)
        ]

    def _done(self, rest: ArmRest) -> dict[str, Path]:
        folders = {step: (self.artifacts / places[-1]).resolve() for step, places in rest.stages.items()}
        return {step: folder for step, folder in folders.items() if (folder / DONE).is_file()}

    @property
    def planned(self) -> list[str]:
        """Names of all arms, whether they have selected or not."""
        return list(dict.fromkeys(rest.arm for rest in self.rest.arms))

    @property
    def names(self) -> list[str]:
        """Of the arms, each once."""
        return list(dict.fromkeys(arm.arm for arm in self.arms))

    def selected(self) -> list[RunArm]:
        """`arms`. Raises: TacosError where there is none."""
        if not self.arms:
            raise TacosError(f"{self.path} has selected nothing yet: run its command, what is done is reused")
        return self.arms

    def arm(self, name: str, seed: int | None = None) -> RunArm:
        """The first seed where none is asked for. Raises: TacosError naming the nearest arm."""
        own = [arm for arm in self.selected() if arm.arm == name]
        if not own:
            raise TacosError(f"{self.path} has no arm {name!r}: {nearest(name, self.names)}")
        found = next((arm for arm in own if seed is None or arm.seed == seed), None)
        if found is None:
            raise TacosError(
                f"{self.path} has no seed {seed} of {name}: {', '.join(str(arm.seed) for arm in own)}"
            )
        return found


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
    run.selected()
    names = run.names
    if not name and len(names) > 1:
        raise TacosError(
            f"{path} has several arms: say which, as in {path}:{names[0]} (there are {', '.join(names)})"
        )
    return run, run.arm(name or names[0], seed)
