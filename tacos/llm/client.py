"""The client every stage talks to: cache, ledger, spend cap and progress around any backend.

Known replies come from the cache. The rest go to the backend, each question once and as far as the cap
allows, and every reply is in cache and ledger before it is handed on.

    async for reply in llm.stream(requests):      any number of requests, a few hundred held at a time
        rows[reply.index] = reply.completion      in the order they arrive

    completions = complete(llm, requests)         a list, in order
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

from tacos.amounts import plural
from tacos.errors import LLMError, SpendCapError
from tacos.llm.backend import Backend
from tacos.llm.base import LLM, Completion, Reply, Request
from tacos.llm.cache import ReplyCache
from tacos.llm.failures import Failures
from tacos.llm.meter import Meter
from tacos.llm.request_key import prompt_of, request_key
from tacos.llm.settings import LLMSettings
from tacos.llm.spend import SpendGate, usage_of
from tacos.llm.window import Window
from tacos.usage import Ledger, Usage

__all__ = ["CachedLLM", "collect", "complete", "wait_for"]
T = TypeVar("T")
log = logging.getLogger(__name__)
WAIT_S = 0.1
"""Between two looks at what other processes have in flight, where there is no room for a call."""
BOOKED = 64
"""Completions per entry in the ledger: adding one up alone takes as long as keying a request."""


class CachedLLM:
    """An `LLM` over a backend; made by `build_llm`, or by hand with a scripted backend in tests.

    cache: None asks everything anew.
    progress: draw a bar on stderr; without one a line is logged every 30 s.
    bill: on what the caps hold: all that is spent under this name in the cache's file, by whichever process; the
        model's where it has none.
    """

    def __init__(
        self,
        backend: Backend,
        cache: ReplyCache | None,
        ledger: Ledger,
        settings: LLMSettings,
        progress: bool = False,
        bill: str = "",
    ):
        self.model = backend.model
        self.backend = backend
        self.cache = cache
        self.ledger = ledger
        self.settings = settings
        self.progress = progress
        self.retry_unread = False
        """Ask anew for replies from the cache that cannot be read."""
        self._gate = SpendGate(settings, cache, bill or backend.model)
        self._forgotten: set[bytes] = set()

    def stream(self, requests: Iterable[Request], total: int | None = None) -> AsyncGenerator[Reply, None]:
        """Replies as they arrive, each with the number of its request, from 0; every request gets one.

        Requests are pulled when there is room for them, and only those in flight and a block read ahead
        are held, so a million of them take no more memory than a thousand. Equal requests that are near
        each other are asked once, and all but the first come back marked `cached`; those further apart find
        the reply in the cache. Under a cap, all that is known of a sequence counts before any of it is asked.

        total: how many requests there will be, for the progress bar and the share of failures; taken from
            `requests` where it has a length.

        Raises: LLMError when the endpoint cannot be reached or more than `max_failed_share` of the
            distinct requests failed (a single failure among several is let pass); SpendCapError when
            the next call could exceed a cap. Replies that arrived before are in the cache, so running
            again continues.
        """
        if total is None and isinstance(requests, Sized):
            total = len(requests)
        if self._gate.capped and self.cache and isinstance(requests, Sequence):
            self._gate.count(self.cache.get(self.key(request) for request in requests))
        return self._stream(((self.key(request), request) for request in requests), total)

    def known(self, requests: Sequence[Request]) -> list[bool]:
        """Which of these have their reply in the cache."""
        keys = [self.key(request) for request in requests]
        found = self.cache.get(keys) if self.cache else {}
        return [key in found for key in keys]

    def key(self, request: Request) -> bytes:
        """The name of a request's reply in the cache."""
        return request_key(self.model, request, self.settings.structured, self.settings.altered)

    def forget(self, requests: Iterable[Request]) -> None:
        """Take the replies to `requests` out of the cache, to be asked and paid for again: once each, so that two
        arms that share a reply do not both pay for another."""
        if self.cache:
            keys = {self.key(request) for request in requests} - self._forgotten
            self._forgotten |= keys
            self.cache.drop(keys)

    async def _stream(
        self, pairs: Iterable[tuple[bytes, Request]], total: int | None
    ) -> AsyncGenerator[Reply, None]:
        """Send in waves: one wave normally; more when the cap holds calls back until others settle."""
        with Meter(self.model, total, self.settings, self.progress) as meter:
            work = _Work(self, pairs, total, meter)
            try:
                while work.window.fill() or work.window.ready:
                    while work.window.ready:
                        yield work.known()
                    if work.window.queue:
                        async with aclosing(work.wave()) as replies:
                            async for reply in replies:
                                yield reply
                if work.failures.too_many:
                    raise LLMError(self._failed_message(work.failures))
            finally:
                self._gate.release([ticket for _, _, ticket in work.flight.values()])
                work.book()
                self.ledger.add(Usage(repeated_calls=work.window.repeats))

    def _failed_message(self, failures: Failures) -> str:
        return (
            f"{self.model}: {failures.describe()}; fix the cause and run again: "
            "the replies so far are kept in the cache"
        )


class _Work:
    """One `stream` at work: its window on the requests, its failures, its meter."""

    def __init__(
        self, llm: CachedLLM, pairs: Iterable[tuple[bytes, Request]], total: int | None, meter: Meter
    ):
        self.llm = llm
        self.gate = llm._gate
        self.window = Window(pairs, self._look_up, llm.cache.get if llm.cache else lambda keys: {})
        self.failures = Failures(total, llm.settings.max_failed_share)
        self.meter = meter
        self.flight: dict[int, tuple[bytes, Request, int]] = {}
        """What the backend has pulled and not answered, with its ticket, by its number in the wave."""
        self.waited = False
        self.unbooked: list[Completion] = []
        """Answered, and not in the ledger yet."""

    def _look_up(self, keys: Sequence[bytes]) -> Mapping[bytes, Completion]:
        if not self.llm.cache:
            return {}
        known = self.llm.cache.get(keys)
        if known:
            self.llm.ledger.add(usage_of(list(known.values()), self.llm.settings))
            self.gate.count(known)
            self.failures.known += len(known)
        return known

    def known(self) -> Reply:
        """The next reply that the cache gave."""
        self.meter.known()
        return self.window.ready.popleft()

    async def wave(self) -> AsyncGenerator[Reply, None]:
        """All that the gate lets out until it refuses.

        Raises: SpendCapError when that is nothing; LLMError when too much failed.
        """
        sent = 0
        async with aclosing(self.llm.backend.stream(self._admitted())) as replies:
            async for reply in replies:
                sent += 1
                key, request, ticket = self.flight.pop(reply.index)
                self._keep(key, request, ticket, reply.completion)
                for row in self.window.settle(key, reply.completion):
                    yield row
                while self.window.ready:
                    yield self.known()
        if self.failures.hopeless:
            raise LLMError(self.llm._failed_message(self.failures))
        if not sent and self.window.queue:
            if not self.gate.waits:
                raise SpendCapError(self._cap_message())
            if not self.waited:
                log.info("%s: at the cap, waiting for what other processes have in flight", self.llm.model)
            self.waited = True
            await asyncio.sleep(WAIT_S)

    def _admitted(self) -> Iterator[Request]:
        """The requests of a wave, as the backend pulls them; each pull finds all earlier replies counted."""
        window, number = self.window, 0
        while window.fill() and not self.failures.hopeless:
            if (ticket := self.gate.admit(window.queue[0][1])) is None:
                return
            key, request = window.queue.popleft()
            self.flight[number] = key, request, ticket
            yield request
            number += 1

    def _keep(self, key: bytes, request: Request, ticket: int, completion: Completion) -> None:
        if self.llm.cache and completion.is_answer_to(request):
            self.llm.cache.put(key, completion, prompt_of(self.llm.model, request))
        self.gate.settle(ticket, key, request, completion)
        self.failures.record(completion)
        self.meter.asked(completion)
        self.unbooked.append(completion)
        if len(self.unbooked) >= BOOKED:
            self.book()

    def book(self) -> None:
        """Enter what was asked into the ledger."""
        self.llm.ledger.add(usage_of(self.unbooked, self.llm.settings))
        self.unbooked = []

    def _cap_message(self) -> str:
        total = self.failures.total
        left = plural(len(self.window.queue) if total is None else total - self.failures.done, "call")
        return (
            f"{self.llm.model}: the spend cap is reached, {self.gate.describe()} spent and {left} left; "
            "raise the cap or ask for less, and run again: the replies so far are kept in the cache"
        )


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work` for code that is not async; works inside a running event loop (a notebook) too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def collect(llm: LLM, requests: Sequence[Request]) -> list[Completion]:
    """One completion per request, in order; a row that fails carries its error. Raises: as the `stream` of `llm`."""
    found: dict[int, Completion] = {}
    async with aclosing(llm.stream(requests, len(requests))) as replies:
        async for reply in replies:
            found[reply.index] = reply.completion
    return [found[row] for row in range(len(requests))]


def complete(llm: LLM, requests: Sequence[Request]) -> list[Completion]:
    """`collect` for code that is not async."""
    return wait_for(collect(llm, requests))
