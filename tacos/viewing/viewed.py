"""The runs that a page shows: found by name, each read when it is first looked at."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from eval.results import Results
from tacos.errors import TacosError
from tacos.types import Pool
from tacos.viewing.answers import AnswerBook, AnswerPage, AnswerQuery
from tacos.viewing.arm_tables import ArmTables
from tacos.viewing.overview import RunCard, RunOverview, card, overview, results_of
from tacos.viewing.run_folder import RunFolder
from tacos.viewing.samples import SampleBrowser, SampleChoices, SamplePage, SampleQuery
from tacos.viewing.story import SampleStory, Teller

RUNS = Path("runs")


class ViewedRun:
    """One run. Raises: KeyError for a name that it does not have."""

    def __init__(self, name: str, path: Path):
        """Raises: TacosError where `path` is no run's, or its results cannot be read."""
        self.name, self.run = name, RunFolder(path)
        self.results: Results | None = results_of(self.run)
        self.plots: Mapping[str, Path] = {p.name: p for p in sorted((path / "plots").glob("*.png"))}
        self._lock = threading.RLock()

    @cached_property
    def teller(self) -> Teller:
        return Teller(self.run)

    @cached_property
    def browser(self) -> SampleBrowser:
        return SampleBrowser(self.teller)

    @cached_property
    def book(self) -> AnswerBook:
        return AnswerBook(self.run, self.teller.load)

    @property
    def card(self) -> RunCard:
        return card(self.name, self.run, self.results)

    def overview(self) -> RunOverview:
        with self._lock:
            pool: Pool = self.teller.pool
            arms, plots = self.book.arms, list(self.plots)
            return overview(self.name, self.run, self.results, len(pool), arms, plots)

    def arm(self, name: str, seed: int | None = None) -> ArmTables:
        """The first seed where none is asked for. Raises: KeyError."""
        for arm in self.teller.arms:
            if arm.arm.arm == name and seed in (None, arm.arm.seed):
                return arm
        raise KeyError(name)

    def samples(self, query: SampleQuery) -> SamplePage:
        """Raises: KeyError for an arm that is not there; ValueError where `other` is needed and not given."""
        with self._lock:
            other = self.arm(query.other, query.other_seed) if query.other else None
            return self.browser.page(query, self.arm(query.arm, query.seed), other)

    def choices(self, arm: str, seed: int | None) -> SampleChoices:
        """Raises: KeyError for an arm that is not there."""
        with self._lock:
            return self.browser.choices(self.arm(arm, seed))

    def story(self, sample_id: str) -> SampleStory:
        """Raises: KeyError for an id that the pool never held."""
        with self._lock:
            try:
                return self.teller.tell(sample_id)
            except TacosError as error:
                raise KeyError(sample_id) from error

    def answers(self, query: AnswerQuery) -> AnswerPage:
        """Raises: KeyError for an arm that answered nothing."""
        with self._lock:
            for name in (query.arm, query.other):
                if name and name not in self.book.arms:
                    raise KeyError(name)
            return self.book.page(query)


def open_runs(paths: Sequence[Path]) -> dict[str, ViewedRun]:
    """By name, the newest first. A folder of runs stands for those in it; none at all for `runs`.

    Raises: TacosError where nothing is found, or where a run that was named cannot be read.
    """
    found: dict[str, ViewedRun] = {}
    for path in paths or [RUNS]:
        inner = list(_runs_in(path))
        for folder in inner or [path]:
            name = folder.resolve().name
            name = name if name not in found else f"{folder.resolve().parent.name}-{name}"
            while name in found:
                name += "-2"
            found[name] = ViewedRun(name, folder)
    return dict(sorted(found.items(), key=lambda item: item[1].card.created, reverse=True))


def _runs_in(path: Path) -> Iterator[Path]:
    """Folders of runs inside one that is none; those that are damaged, or of another schema, are left out."""
    if (path / "artifacts").is_dir() or not path.is_dir():
        return
    for folder in sorted(path.iterdir()):
        if (folder / "artifacts").is_dir():
            try:
                results_of(RunFolder(folder))
            except TacosError:
                continue
            yield folder


def as_json(value: BaseModel | Sequence[BaseModel]) -> str:
    """ASCII, so that no text is too strange to be sent; a number that JSON lacks is null."""
    data: Any = value.model_dump() if isinstance(value, BaseModel) else [each.model_dump() for each in value]
    try:
        return json.dumps(data, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(data))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
