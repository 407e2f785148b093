"""How far a run is: for every arm and step, what is done, what works now, and what it took.

tacos, seed 0   select  done  14 s  $0.31      train  working: train, 40 s      answer  waiting
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tacos.stage import DONE, Done
from tacos.store.files import read_json
from tacos.store.held import works_since
from tacos.types import Record
from tacos.usage import Usage
from tacos.viewing.run_folder import RunFolder

State = Literal["done", "working", "stopped", "waiting"]
RunState = Literal["finished", "working", "stopped", "waiting"]


class StepProgress(Record):
    """One step of an arm, such as "select", with all the stages on the way to it that no earlier step has."""

    state: State
    """stopped: begun, and nobody works on it."""
    done: int
    of: int
    """Stages."""
    now: str = ""
    """The stage that is worked on, or was."""
    usage: Usage
    """Of what is done, as first paid; `seconds` also of what works."""


class ArmProgress(Record):
    """One arm with one seed."""

    arm: str
    seed: int | None
    steps: dict[str, StepProgress]


class RunProgress(Record):
    """All arms; `usage` has what they share once."""

    state: RunState
    done: int
    of: int
    """Stages."""
    usage: Usage
    steps: list[str]
    """Names, in the order of work."""
    arms: list[ArmProgress]


NOTHING = RunProgress(state="waiting", done=0, of=0, usage=Usage(), steps=[], arms=[])
"""Of a run that has not begun."""


class Watch:
    """Looks at stages; done records are read once."""

    def __init__(self) -> None:
        self._used: dict[tuple[Path, int], Usage] = {}

    def look(self, run: RunFolder, reported: bool) -> RunProgress:
        """reported: whether there are results."""
        places = dict.fromkeys(p for rest in run.rest.arms for own in rest.stages.values() for p in own)
        seen = {place: self._stage(run.artifacts / place) for place in places}
        arms = [
            ArmProgress(arm=r.arm, seed=r.seed, steps={n: _step(own, seen) for n, own in r.stages.items()})
            for r in run.rest.arms
        ]
        whole = _step(list(seen), seen)
        over = whole.state == "done" or (reported and whole.state != "working")
        state: RunState = "finished" if over else whole.state  # type: ignore[assignment]
        steps = _ordered([list(rest.stages) for rest in run.rest.arms])
        return RunProgress(
            state=state, done=whole.done, of=whole.of, usage=whole.usage, steps=steps, arms=arms
        )

    def _stage(self, folder: Path) -> StepProgress:
        used = self._done(folder)
        if used is not None:
            return StepProgress(state="done", done=1, of=1, usage=used)
        name, since = folder.parent.name, works_since(folder)
        if since is not None:
            spent = Usage(seconds=max(0.0, time.time() - since))
            return StepProgress(state="working", done=0, of=1, now=name, usage=spent)
        begun = folder.with_name(f"{folder.name}.partial").is_dir()
        return StepProgress(
            state="stopped" if begun else "waiting", done=0, of=1, now=name if begun else "", usage=Usage()
        )

    def _done(self, folder: Path) -> Usage | None:
        """What a finished stage used; None of another."""
        path = folder / DONE
        try:
            key = folder, path.stat().st_mtime_ns
            if key not in self._used:
                self._used[key] = Done.model_validate(read_json(path)).usage.as_first_paid()
            return self._used[key]
        except (OSError, ValidationError, ValueError):
            return None


def _step(places: Sequence[str], seen: dict[str, StepProgress]) -> StepProgress:
    stages = [seen[place] for place in places]
    states = [stage.state for stage in stages]
    open_states: tuple[State, ...] = ("working", "stopped", "waiting")
    state = next((s for s in open_states if s in states), "done")
    return StepProgress(
        state=state,
        done=states.count("done"),
        of=len(stages),
        now=next((stage.now for stage in stages if stage.state == state), ""),
        usage=sum((stage.usage for stage in stages), Usage()),
    )


def _ordered(lists: Iterable[Sequence[str]]) -> list[str]:
    """Names of all lists, each after those that stand before it in any."""
    found: list[str] = []
    for names in lists:
        at = 0
        for name in names:
            if name not in found:
                found.insert(at, name)
            at = found.index(name) + 1
    return found
