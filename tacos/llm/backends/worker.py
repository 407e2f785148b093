"""What an actor on another machine holds: a backend of its own, in a thread, between an inbox and an outbox.

A backend pulls its requests when it is ready for them. Here they come from far, so a few wait in the inbox, and the
driver fills it up before it is empty:

    exchange([(0, ...), ..., (63, ...)], more=True)    64 requests; comes back when half of them are taken
    exchange([(64, ...), ..., (95, ...)], more=True)   32 more; comes back with the replies that are there
    exchange([], more=False)                           comes back with the next ones, 10 ms worth of them
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count

from tacos.errors import LLMError, TacosError
from tacos.llm.backend import Backend
from tacos.llm.base import Reply, Request
from tacos.llm.keys import read_key
from tacos.llm.settings import LLMSettings

LINGER_S = 0.01
"""Replies travel together: one message per reply would cost more than the reply."""
PATIENCE_S = 0.25
"""An empty inbox holds up the backend, and the calls it has in flight, no longer than this; then it winds
up, and starts again with the next request."""


@dataclass(frozen=True, slots=True)
class ActorStarted:
    """node: name of the machine. model: the weights it would answer with. keyed: whether it has the API key.

    error: why it cannot work.
    """

    node: str
    model: str = ""
    keyed: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """replies: by the driver's numbers. waiting: requests in the inbox. failed: why the backend gave up."""

    replies: list[Reply]
    waiting: int
    failed: str | None = None


class Worker:
    """make: settings and device -> the backend, on the machine where it will work.

    `exchange` is called by one at a time.
    """

    def __init__(
        self, settings: LLMSettings, device: str, make: Callable[[LLMSettings, str], Backend], low: int
    ):
        self.settings = settings
        self.device = device
        self.make = make
        self.low = low
        """Ask for more when so few requests wait."""
        self._changed = threading.Condition()
        self._inbox: deque[tuple[int, Request]] = deque()
        self._outbox: list[Reply] = []
        self._more = False
        """Whether the driver has more to give."""
        self._starved = False
        """Whether the backend waits for a request."""
        self._failed: Exception | None = None

    def start(self) -> ActorStarted:
        """Make the backend. What is wrong with this machine is told and not raised."""
        node = socket.gethostname()
        try:
            backend = self.make(self.settings, self.device)
            keyed = bool(read_key(self.settings, os.environ))
        except TacosError as error:
            return ActorStarted(node, error=str(error))
        threading.Thread(target=self._work, args=(backend,), daemon=True).start()
        return ActorStarted(node, backend.model, keyed)

    def exchange(self, given: Sequence[tuple[int, Request]], more: bool) -> Exchanged:
        """Take requests, and wait for replies or for the inbox to run low. more: whether others will follow."""
        with self._changed:
            self._inbox.extend(given)
            self._more = more
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._outbox or self._wants_more or self._failed)
            self._changed.wait_for(lambda: self._wants_more or self._failed, LINGER_S)
            replies, self._outbox = self._outbox, []
            if self._failed is not None and not isinstance(self._failed, TacosError):
                raise self._failed
            return Exchanged(replies, len(self._inbox), None if self._failed is None else str(self._failed))

    @property
    def _wants_more(self) -> bool:
        return self._more and (self._starved or len(self._inbox) <= self.low)

    def _work(self, backend: Backend) -> None:
        """One stream of the backend after the other, each as long as there are requests."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._inbox)
                asyncio.run(self._stream(backend))
        except Exception as error:
            with self._changed:
                self._failed = error
                self._changed.notify_all()

    async def _stream(self, backend: Backend) -> None:
        numbers: dict[int, int] = {}
        async with aclosing(backend.stream(self._pull(numbers))) as replies:
            async for reply in replies:
                with self._changed:
                    self._outbox.append(Reply(numbers.pop(reply.index), reply.completion))
                    self._changed.notify_all()
        if numbers:  # the driver would wait for them for ever
            raise LLMError(
                f"{backend.model}: {len(numbers):,} requests were taken and not answered: "
                "run again, the replies so far are kept"
            )

    def _pull(self, numbers: dict[int, int]) -> Iterator[Request]:
        """numbers: filled with the backend's number of each request -> the driver's."""
        for own in count():
            with self._changed:
                if not self._inbox and self._more:
                    self._starved = True
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._inbox or not self._more, PATIENCE_S)
                    self._starved = False
                if not self._inbox:
                    return
                numbers[own], request = self._inbox.popleft()
                if self._wants_more:
                    self._changed.notify_all()
            yield request
