"""Which server the next call goes to: the least busy one that is there, and no more than it takes.

* Load: with A at 10 calls in flight and B at 8, the next call goes to B.
* 429: a server that had 64 in flight may have 32; each window of successes adds one, up to 64 again
  (additive increase, multiplicative decrease). A burst of 429s is one reason, so it halves once.
* Gone: a server that refuses connections, or whose proxy says so, gets no calls and is looked at after
  0.5 s, 1 s, 2 s, ... 30 s. Calls go to the others, or wait; after `outage_s` without any, the run stops.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from tacos.errors import LLMError
from tacos.llm.backends.call_errors import GATEWAY, CallError

log = logging.getLogger(__name__)
MAX_PAUSE_S = 30.0
"""Longest time between two looks at a server that is gone."""
START_S = 5.0
"""A server that never answered is given up after this: a wrong URL should not cost `outage_s`."""


class Endpoint:
    """One server. url: its base. most: calls in flight at most."""

    def __init__(self, url: str, most: int):
        self.url = url
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self.down = False
        self.waited_s = 0.0
        """How long it has been gone."""
        self.watch: asyncio.Task[None] | None = None
        self._cut_at = float("-inf")

    @property
    def free(self) -> bool:
        return not self.down and self.in_flight < self.limit

    def ease(self) -> None:
        """A call succeeded: one more at a time after each window of them."""
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def cut(self, sent_at: float) -> None:
        """A 429 to a call that went out at `sent_at`; those sent before the last cut say nothing new."""
        if sent_at < self._cut_at:
            return
        if self._cut_at == float("-inf"):
            log.warning("%s answers 429 (too many calls): fewer are in flight from now on", self.url)
        self.limit = max(1.0, self.limit / 2)
        self._cut_at = time.monotonic()


class Endpoints:
    """The servers of one stream of calls.

    there: whether a server is there, by its URL. sleep: how to wait. backoff_s: the first pause between two
    looks at a server that is gone. answered: whether any of them ever answered.
    """

    def __init__(
        self,
        urls: Sequence[str],
        concurrency: int,
        there: Callable[[str], Awaitable[bool]],
        outage_s: float,
        backoff_s: float,
        sleep: Callable[[float], Awaitable[None]],
        answered: bool,
    ):
        self.all = [Endpoint(url, concurrency) for url in urls]
        self.answered = answered
        self._there = there
        self._outage_s = outage_s
        self._backoff_s = backoff_s
        self._sleep = sleep
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lost: str | None = None

    async def take(self) -> Endpoint:
        """The endpoint for one call, which `succeeded` or `failed` gives back.

        Raises: LLMError when all servers are gone and were waited for.
        """
        while not (free := [endpoint for endpoint in self.all if endpoint.free]):
            if self._lost:
                raise LLMError(self._lost)
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        chosen = free[0] if len(free) == 1 else min(free, key=lambda endpoint: endpoint.in_flight)
        chosen.in_flight += 1
        return chosen

    def succeeded(self, endpoint: Endpoint) -> None:
        self.answered = True
        endpoint.ease()
        self._give_back(endpoint)

    def failed(self, endpoint: Endpoint, failure: CallError, sent_at: float) -> None:
        """sent_at: when the call went out, by `time.monotonic`."""
        self.answered = self.answered or failure.status is not None
        if failure.limited:
            endpoint.cut(sent_at)
        if (failure.gone or failure.status in GATEWAY) and endpoint.watch is None:
            endpoint.down = failure.gone  # a proxy's word is looked into first
            endpoint.watch = asyncio.create_task(self._watch(endpoint, str(failure)))
        self._give_back(endpoint)

    async def close(self) -> None:
        tasks = [endpoint.watch for endpoint in self.all if endpoint.watch]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _give_back(self, endpoint: Endpoint) -> None:
        endpoint.in_flight -= 1
        self._wake(1)

    def _wake(self, count: int) -> None:
        while self._waiting and count:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1

    async def _watch(self, endpoint: Endpoint, reason: str) -> None:
        """Look at a server until it is there."""
        pause, warned = self._backoff_s, False
        while not await self._look(endpoint):
            endpoint.down = True
            if not warned:
                left = sum(not other.down for other in self.all)
                what = f"{left} of {len(self.all)} endpoints are left" if left else "waiting for it"
                log.warning("%s is gone (%s): %s", endpoint.url, reason, what)
                warned = True
            if self._given_up():
                self._lost = self._lost or self._lost_message(reason)
                self._wake(len(self._waiting))
            await self._sleep(pause)
            endpoint.waited_s += pause
            pause = min(MAX_PAUSE_S, 2 * pause) * random.uniform(0.8, 1.2)
        if warned:
            log.warning("%s is there again", endpoint.url)
        endpoint.down, endpoint.waited_s, endpoint.watch = False, 0.0, None
        self._wake(len(self._waiting))

    async def _look(self, endpoint: Endpoint) -> bool:
        began = time.monotonic()
        found = await self._there(endpoint.url)
        endpoint.waited_s += time.monotonic() - began
        return found

    def _given_up(self) -> bool:
        patience = self._outage_s if self.answered else min(self._outage_s, START_S)
        return all(endpoint.down and endpoint.waited_s >= patience for endpoint in self.all)

    def _lost_message(self, reason: str) -> str:
        urls = " or ".join(endpoint.url for endpoint in self.all)
        waited = f", waited {min(e.waited_s for e in self.all):.0f} s" if self.answered else ""
        return (
            f"no server answers at {urls} ({reason}{waited}); start it, or correct `endpoint`, "
            "and run again: replies so far are kept in the cache"
        )
