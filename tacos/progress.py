"""How far a loop is: a bar on a terminal; elsewhere a line in the log at least every `LOG_S` seconds.

pretraining: 420 of 1,000, 8.5/s, 1 min 8 s left
losses: 12,000 of 90,000 tokens, 410 tokens/s, 3 min 10 s left
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)
LOG_S = 15.0
"""Longer without a word looks hung."""


def track(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, shown as `what`."""
    from rich.console import Console
    from rich.progress import track as rich_track

    seen: Iterable[T] = items
    if sys.stderr.isatty():
        seen = rich_track(items, what, console=Console(stderr=True), transient=True)
    with Count(what, len(items), shown=not sys.stderr.isatty()) as count:
        for item in seen:
            yield item
            count.add(1)


@contextmanager
def counted(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Takes what is done so far in steps of any size, for loops whose rounds are unlike: `done(420)`.

    what: nothing is shown where it is empty.
    """
    if not what:
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Count(what, total, shown=not sys.stderr.isatty(), unit=unit) as count:
        if not sys.stderr.isatty():
            yield count.add
            return
        said = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*said, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)

            def done(steps: int) -> None:
                count.add(steps)
                bar.update(task, advance=steps, description=count.describe())

            yield done


class Repeated:
    """A context manager that does something every `seconds`, however long one step of the block takes."""

    def __init__(self, what: Callable[[], None], seconds: float):
        self._what, self._seconds = what, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="repeated", daemon=True)

    def __enter__(self) -> Repeated:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for the last time to end."""
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(self._seconds):
            self._what()


class Heartbeat(Repeated):
    """Logs what `describe` says every `LOG_S` seconds."""

    def __init__(self, describe: Callable[[], str]):
        super().__init__(lambda: log.info("%s", describe()), LOG_S)


class Count:
    """Counts steps towards `total` and logs them by a heartbeat, unless `shown` is off."""

    def __init__(self, what: str, total: int, shown: bool = True, unit: str = ""):
        self.what = what
        self.total = total
        self.unit = unit and f" {unit}"
        self.done = 0
        self._began = time.monotonic()
        self._heartbeat = Heartbeat(self.describe) if shown else None

    def __enter__(self) -> Count:
        _RUNNING[id(self)] = self
        if self._heartbeat:
            self._heartbeat.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        _RUNNING.pop(id(self), None)
        if self._heartbeat:
            self._heartbeat.__exit__()

    def add(self, steps: int) -> None:
        self.done += steps

    @property
    def rate(self) -> float:
        """Steps per second."""
        return self.done / max(time.monotonic() - self._began, 1e-9)

    def describe(self) -> str:
        """One line, as in the module's head."""
        said = f"{self.what}: {self.done:,} of {self.total:,}{self.unit}"
        rate = self.rate
        if not rate:
            return said
        return f"{said}, {per_second(rate, self.unit)}, {duration((self.total - self.done) / rate)} left"


_RUNNING: dict[int, Count] = {}


def running() -> list[Count]:
    """Every loop that is counted right now."""
    return list(_RUNNING.values())


def per_second(rate: float, unit: str = "") -> str:
    """410.3 -> "410/s", 0.2512 -> "0.25/s"."""
    return f"{rate:,.0f}{unit}/s" if rate >= 10 else f"{rate:.2g}{unit}/s"


def duration(seconds: float) -> str:
    """5400 -> "1 h 30 min"."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
