"""One time limit for many calls.

A timer per call, as aiohttp sets it, is a tenth of the cost of a short call. All calls here have the same
limit, so they expire in the order in which they began, and one timer, for the oldest, is enough.

    10:00:00  A begins, the timer is set to 10:02:00      10:00:30  B begins, C begins
    10:01:00  A and B are done                            10:02:00  the timer finds C, and is set to 10:02:30
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlines:
    """limit_s: for every call."""

    def __init__(self, limit_s: float):
        self.limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._until: dict[asyncio.Task[Any], float] = {}
        """When each call that is under way has to be done; a dict keeps the order in which they began."""
        self._expired: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, work: Awaitable[T]) -> T:
        """The result of `work`, for which the calling task is used. Raises: TimeoutError."""
        task = asyncio.current_task()
        assert task is not None and task not in self._until
        self._until[task] = self._loop.time() + self.limit_s
        if self._timer is None:
            self._timer = self._loop.call_later(self.limit_s, self._look)
        try:
            return await work
        except asyncio.CancelledError:
            if task in self._expired and task.uncancel() == 0:  # else somebody else cancelled it too
                raise TimeoutError from None
            raise
        finally:
            del self._until[task]
            self._expired.discard(task)

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        """Cancel what is overdue, and look again when the next is."""
        self._timer = None
        now = self._loop.time()
        for task, until in self._until.items():
            if until > now:
                self._timer = self._loop.call_at(until, self._look)
                return
            if task not in self._expired:
                self._expired.add(task)
                task.cancel()
