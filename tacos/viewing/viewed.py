"""One run that a page shows: read when it is first looked at, and again where it has gone on since."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from eval.report.page import PAGE_FILE
from eval.results import RESULTS, Results
from tacos.errors import TacosError
from tacos.viewing.answers import AnswerBook, AnswerPage, AnswerQuery
from tacos.viewing.arm_tables import ArmTables
from tacos.viewing.map import MapPage, MapQuery, PoolMap, embedded_in
from tacos.viewing.overview import RunCard, RunContents, RunOverview, card, overview, results_of
from tacos.viewing.progress import RunProgress, Watch
from tacos.viewing.run_folder import RunFolder
from tacos.viewing.run_stages import STAGES
from tacos.viewing.samples import SampleBrowser, SampleChoices, SamplePage, SampleQuery
from tacos.viewing.story import SampleStory, Teller


class ViewedRun:
    """One run, as it is when it is asked about. Raises: KeyError for a name that it does not have."""

    def __init__(self, name: str, path: Path, experiment: str = "", cell: str = ""):
        """experiment, cell: whose matrix it is of, and its name there.

        Raises: TacosError where `path` is no run's, or its results cannot be read.
        """
        self.name, self.path, self.experiment, self.cell = name, path, experiment, cell
        self._lock, self._watch = threading.RLock(), Watch()
        self._read(RunFolder(path))

    def _read(self, run: RunFolder) -> None:
        self.run = run
        self.results: Results | None = results_of(run)
        self.plots: Mapping[str, Path] = {p.name: p for p in sorted((self.path / "plots").glob("*.png"))}
        self._stamp = self._stamped(run)
        for made in ("teller", "browser", "book", "mapped", "map"):
            self.__dict__.pop(made, None)

    def _stamped(self, run: RunFolder) -> tuple[object, ...]:
        """What tells whether more is there than was read."""
        written = [
            path.stat().st_mtime_ns for name in (STAGES, RESULTS) if (path := self.path / name).exists()
        ]
        return (*written, sum(len(steps) for steps in run.steps.values()))

    def refresh(self) -> RunProgress:
        """Read again where the run has gone on, and how far it is."""
        with self._lock:
            run = RunFolder(self.path)
            if self._stamped(run) != self._stamp:
                self._read(run)
            return self._watch.look(self.run, self.results is not None)

    @cached_property
    def teller(self) -> Teller:
        return Teller(self.run)

    @cached_property
    def browser(self) -> SampleBrowser:
        return SampleBrowser(self.teller)

    @cached_property
    def book(self) -> AnswerBook:
        return AnswerBook(self.run, self.teller.load)

    @cached_property
    def mapped(self) -> bool:
        return embedded_in(self.teller.arms, len(self.teller.pool)) is not None

    @cached_property
    def map(self) -> PoolMap:
        return PoolMap(self.teller)

    @property
    def _report(self) -> Path:
        return self.path / "report.html"

    @property
    def card(self) -> RunCard:
        progress = self.refresh()
        return card(self.name, self.run, self.results, progress, self.experiment, self.cell)

    def overview(self) -> RunOverview:
        with self._lock:
            progress, shown = self.refresh(), RunContents()
            if self.run.arms:
                shown = RunContents(
                    pool=len(self.teller.pool),
                    answered=self.book.arms,
                    sets=self.book.sets,
                    plots=list(self.plots),
                    mapped=self.mapped,
                    report=self._report.is_file(),
                )
            return overview(self.name, self.run, self.results, progress, shown)

    def report(self, page: str) -> str | None:
        """The run's report, its numbers leading into the page at `page`; None where there is none."""
        if self.results is None or not self._report.is_file():
            return None
        text = self._report.read_text(encoding="utf-8")
        own, here = f"{PAGE_FILE}#/run/{quote(self.results.name)}/", f"{page}#/run/{quote(self.name)}/"
        return text.replace(f'href="{own}', f'href="{here}')

    def arm(self, name: str, seed: int | None = None) -> ArmTables:
        """The first seed where none is asked for. Raises: KeyError."""
        for arm in self.teller.arms if self.run.arms else ():
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

    def map_page(self, query: MapQuery) -> MapPage:
        """Raises: KeyError for an arm that is not there, or where nothing was embedded."""
        with self._lock:
            return self.map.page(self.arm(query.arm, query.seed))

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
