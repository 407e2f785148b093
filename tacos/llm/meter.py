"""How far a run of calls is: a bar on a terminal, else a line in the log now and then.

scorer: 31,200 of 52,002 rows, 410/s, 12.4M tokens, $1.86, 51 s left
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tacos.amounts import money, plural
from tacos.llm.base import Completion
from tacos.llm.settings import LLMSettings
from tacos.progress import Heartbeat, duration, per_second

if TYPE_CHECKING:
    from rich.progress import Progress

DRAW_S = 0.2


class Meter:
    """A context manager that is told of every row, and shows it every `DRAW_S` seconds or by a heartbeat.

    total: rows there will be; None where unknown. settings: for the price. bar: draw on stderr; without it
    lines are logged.
    """

    def __init__(self, name: str, total: int | None, settings: LLMSettings, bar: bool):
        self.name = name
        self.total = total
        self.settings = settings
        self.done = 0
        self._fresh = self._sent = self._got = 0
        """Rows that were asked, and their prompt and completion tokens."""
        self._bar = _new_bar() if bar else None
        self._heartbeat = None if bar else Heartbeat(self.describe)
        self._began = time.monotonic()
        self._next = self._began + DRAW_S

    def __enter__(self) -> Meter:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(self.name, total=self.total, facts="")
        if self._heartbeat:
            self._heartbeat.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._draw(self._bar)
            self._bar.stop()
        if self._heartbeat:
            self._heartbeat.__exit__()

    def asked(self, completion: Completion) -> None:
        """A row that was asked, and what came."""
        self._fresh += 1
        self._sent += completion.prompt_tokens
        self._got += completion.completion_tokens
        self.known()

    def known(self) -> None:
        """A row that the cache answered."""
        self.done += 1
        if self._bar and (now := time.monotonic()) >= self._next:
            self._next = now + DRAW_S
            self._draw(self._bar)

    def describe(self) -> str:
        """One line, as in the module's head."""
        rows = (
            plural(self.done, "row")
            if self.total is None
            else f"{self.done:,} of {plural(self.total, 'row')}"
        )
        return f"{self.name}: {rows}, {self._facts()}"

    def _facts(self) -> str:
        rate = self._fresh / max(time.monotonic() - self._began, 1e-9)
        facts = [
            per_second(rate),
            f"{_short(self._sent + self._got)} tokens",
        ]
        if not self.settings.unpriced:
            facts.append(money(self.settings.price(self._sent, self._got)))
        if self.total is not None and self._fresh:
            facts.append(f"{duration((self.total - self.done) / rate)} left")
        return ", ".join(facts)

    def _draw(self, bar: Progress) -> None:
        bar.update(self._task, completed=self.done, facts=self._facts())


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    return Progress(*columns, console=Console(stderr=True))


def _short(count: int) -> str:
    """12_400_000 -> "12.4M"."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)
