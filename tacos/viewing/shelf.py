"""The runs that a page shows, by name: those that were named, or all in a folder, cells of experiments among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tacos.errors import TacosError
from tacos.viewing.overview import RunCard
from tacos.viewing.run_stages import STAGES, read_cells
from tacos.viewing.viewed import ViewedRun

RUNS = Path("runs")
BESIDE = "--"
"""Between the name of an experiment and that of its cell."""


class _Place(NamedTuple):
    """Where a run lies, or will."""

    folder: Path
    name: str
    experiment: str = ""
    cell: str = ""

    @property
    def begun(self) -> bool:
        return (self.folder / STAGES).is_file()


class Shelf(Mapping[str, ViewedRun]):
    """Runs by name, the newest first. A folder of runs stands for those in it; no path at all for `runs`.

    Raises: TacosError where nothing is found, or where a run that was named cannot be read.
    """

    def __init__(self, paths: Sequence[Path] = ()):
        self.paths = list(paths) or [RUNS]
        self._runs: dict[str, ViewedRun] = {}
        for path in self.paths:
            if (path / STAGES).is_file():
                self._add(_Place(path, path.resolve().name))
        cards = self.cards()
        if not cards:
            named = ", ".join(map(str, self.paths))
            raise TacosError(f"{named} holds no run: `tacos run` and `tacos select` leave theirs under runs/")

    def __getitem__(self, name: str) -> ViewedRun:
        return self._runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def cards(self) -> list[RunCard]:
        """Of all runs, those that have begun since among them, and of cells that have not begun. A run in a folder of
        runs that is damaged, or of another schema, is left out."""
        still = []
        for place in (place for path in self.paths for place in _places(path)):
            if not place.begun:
                still.append(RunCard(name=place.name, experiment=place.experiment, cell=place.cell))
                continue
            try:
                self._add(place)
            except TacosError:
                continue
        cards = {name: run.card for name, run in self._runs.items()}
        order = sorted(cards, key=lambda name: cards[name].created or "~", reverse=True)  # what works first
        self._runs = {name: self._runs[name] for name in order}
        return [*(cards[name] for name in order), *still]

    def _add(self, place: _Place) -> None:
        """Once; where the name is taken, that of the parent folder comes before it."""
        folder, name = place.folder.resolve(), place.name
        if any(run.path.resolve() == folder for run in self._runs.values()):
            return
        name = name if name not in self._runs else f"{folder.parent.name}-{name}"
        while name in self._runs:
            name += "-2"
        self._runs[name] = ViewedRun(name, place.folder, place.experiment, place.cell)


def _places(path: Path) -> Iterator[_Place]:
    """Of a folder of runs; the cells of an experiment have its name before theirs."""
    if not path.is_dir() or (path / STAGES).is_file():
        return
    for folder in (path, *sorted(path.iterdir())):
        title = folder.resolve().name
        for cell in read_cells(folder):
            at = folder / cell.folder
            yield _Place(at, f"{title}{BESIDE}{at.name}", title, cell.name)
    for folder in sorted(path.iterdir()):
        if (folder / STAGES).is_file():
            yield _Place(folder, folder.name)
