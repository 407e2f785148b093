"""What happens while a run works: calls, tokens and money against time, and how far every loop is.

llm/calls, llm/tokens, llm/cost_usd, llm/failed_calls, llm/cached_calls, llm/calls_per_second
progress/embedding/done, progress/embedding/total, progress/embedding/per_second
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tacos.progress import Repeated, running
from tacos.tracking.tracker import Tracker
from tacos.usage import Ledger, Usage

EVERY_S = 10.0


class Live:
    """A context manager that logs every `EVERY_S` seconds, and once at the end, what has changed.

    follow: further rows that came since it was last asked, such as those of a training's history.
    """

    def __init__(
        self,
        tracker: Tracker,
        ledger: Ledger,
        follow: Callable[[], Iterator[Mapping[str, Any]]] | None = None,
    ):
        self.tracker, self.ledger, self.follow = tracker, ledger, follow
        self._began = self._then = time.monotonic()
        self._start = self._last = ledger.total
        self._done: dict[str, int] = {}
        self._one_at_a_time = threading.Lock()
        self._beats = Repeated(self.beat, EVERY_S)

    def __enter__(self) -> Live:
        self._beats.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._beats.__exit__()
        self.beat()

    def beat(self) -> None:
        """May be called between two beats, too."""
        if self.tracker.run is not None:
            with self._one_at_a_time:
                self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        told = self.calls(now - self._then) | self.loops()
        if told:
            self.tracker.log({"time_s": now - self._began} | told)
        for row in self.follow() if self.follow else ():
            self.tracker.log(row)
        self._then = now

    def calls(self, seconds: float) -> dict[str, float]:
        """Since the start; nothing where none was made since the last beat."""
        total = self.ledger.total
        since, self._last = total - self._last, total
        if not since.asked:
            return {}
        rate = {"llm/calls_per_second": since.asked / max(seconds, 1e-9)}
        return llm_figures(total - self._start) | rate

    def loops(self) -> dict[str, float]:
        """Of every loop that went on since the last beat."""
        found: dict[str, float] = {}
        for count in running():
            name = re.sub(r"\W+", "_", count.what).strip("_")
            if self._done.get(name) == count.done:
                continue
            self._done[name] = count.done
            what = f"progress/{name}"
            found |= {
                f"{what}/done": count.done,
                f"{what}/total": count.total,
                f"{what}/per_second": count.rate,
            }
        return found


def llm_figures(usage: Usage) -> dict[str, float]:
    """Calls, tokens and money under their names in W&B."""
    return {
        "llm/calls": usage.calls,
        "llm/cached_calls": usage.cached_calls,
        "llm/failed_calls": usage.failed_calls,
        "llm/tokens": usage.prompt_tokens + usage.completion_tokens,
        "llm/cost_usd": usage.cost_usd,
    }
