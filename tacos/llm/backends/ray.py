"""Answers from many machines: actors of a Ray cluster (https://docs.ray.io), each with a backend of its own.

Only the calls move. Cache, ledger, cap and progress stay in this process, and the model's name is that of the backend
in the actors, so replies that a laptop paid for are found by the cluster, and the other way round. With two actors:

    requests 0-63 go to A, 64-127 to B; A says that 32 wait: it is given 128-159; ...
    A dies with 96 requests: they go to B and to the actor that is started in A's place

Two actors with `concurrency` 32 have 64 calls in flight. A request that was lost with its actor is asked again, up to
`TRIES` times, and paid again where the server had answered it. The run stops when actor after actor dies without
having answered anything, and when the backends of all say that they can't (server gone, wrong key).

The machines need this package, the weights at the same path, and the key in the environment in which `ray start` was
run (or `api_key_file` at the same path): it is not sent over the network and stands in no dashboard.

Measured 2026-11-21 with Ray 2.60 and 1 KB prompts, both actors on this machine's two busy cores: this process takes
0.06-0.14 s of CPU per 1,000 replies, against 0.15-0.20 where it asks itself; 1,540 replies/s from a server without
latency. So one driver keeps up with several thousand replies/s of other machines.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from itertools import islice
from typing import Any

from tacos.errors import LLMError, first_line
from tacos.llm.backends.ray_actors import Actor, Job, Make, check, gpus, rotated, worker_settings
from tacos.llm.backends.worker import ActorStarted, Exchanged, Worker
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.settings import LLMSettings
from tacos.ray_cluster import connect, idle, release

log = logging.getLogger(__name__)
TRIES = 5
"""Actors that a request may be lost with before it is taken for the reason."""
LOOK_S = 1.0
"""While no actor has started yet."""


class RayBackend:
    """make: settings and device -> the backend of an actor; called there, so a function that can be imported there.

    Actors stay for the next stage with the same settings, and make room for one with others; see `release`.
    """

    def __init__(self, settings: LLMSettings, device: str, make: Make):
        assert settings.ray is not None
        self.chosen = settings.ray
        self.settings = settings
        self.device = device
        self.make = make
        self.model = settings.named()

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """See `Backend.stream`.

        Raises: ConfigError where Ray is not installed, or a machine lacks the key or the weights; TacosError when
            there is no cluster, LLMError when no actor starts, and when none is left.
        """
        source = enumerate(requests)
        first = next(source, None)
        if first is None:
            return
        job = (worker_settings(self.settings), self.device, self.make)
        work = _Stream(self, connect(self.chosen), job, first, source)
        try:
            async for reply in work.replies():
                yield reply
        finally:
            work.close()


class _Stream:
    """One `stream` at work. unsent: requests to give out before those of `source`."""

    def __init__(
        self,
        backend: RayBackend,
        ray: Any,
        job: Job,
        first: tuple[int, Request],
        source: Iterator[tuple[int, Request]],
    ):
        self.backend = backend
        self.chosen = backend.chosen
        self.ray = ray
        self.job = job
        self.unsent = deque([first])
        self.source = source
        self.more = True
        """Whether `source` may have more."""
        self.losses: Counter[int] = Counter()
        """Request -> actors that died with it."""
        self.last_answer_at = time.monotonic()
        self.lost_in_a_row = 0
        """Actors that were lost since the last reply."""
        self.calls: dict[asyncio.Future[Any], Actor] = {}
        self.actors: list[Actor] = idle.pop(job, [])
        release()  # the others: they may hold the GPUs
        taken = {actor.number for actor in self.actors}
        self.actors += [self._start_actor(n) for n in range(self.chosen.actors) if n not in taken]

    async def replies(self) -> AsyncGenerator[Reply, None]:
        for actor in self.actors:
            self._exchange(actor) if actor.ready else self._await(actor, actor.handle.start.remote())
        while self.unsent or self.more or any(actor.given for actor in self.actors):
            ready = any(actor.ready for actor in self.actors)
            pause = None if ready else min(LOOK_S, self.chosen.start_s)
            done, _ = await asyncio.wait(self.calls, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if done:
                self.last_answer_at = time.monotonic()
            elif time.monotonic() - self.last_answer_at >= self.chosen.start_s:
                raise LLMError(self._none_started())
            else:
                release()  # those of a stream beside this one, which has ended since
            for call in done:
                actor = self.calls.pop(call)
                for reply in self._receive(actor, call):
                    yield reply
                if actor in self.actors:
                    self._exchange(actor)

    def close(self) -> None:
        """Keep the actors that have nothing to do; an unfinished stream's are stopped with their work."""
        for call in self.calls:
            call.cancel()
        for actor in self.actors:
            if actor.given or not actor.ready:
                self.ray.kill(actor.handle)
        idle[self.job] = [actor for actor in self.actors if actor.ready and not actor.given]

    def _start_actor(self, number: int) -> Actor:
        """Ask the cluster for an actor; it comes when there is room."""
        settings, device, make = self.job
        chosen = self.chosen
        options = {
            "num_cpus": chosen.num_cpus,
            "num_gpus": gpus(settings, chosen),
            "scheduling_strategy": "SPREAD",
        }
        kind = self.ray.remote(Worker).options(**options)
        return Actor(kind.remote(rotated(settings, number), device, make, chosen.ahead // 2), number)

    def _await(self, actor: Actor, answer: Any) -> None:
        self.calls[asyncio.ensure_future(_result(answer))] = actor

    def _exchange(self, actor: Actor) -> None:
        """Fill its inbox, if it runs low, and ask for its replies; nothing where it has nothing to do."""
        low = actor.waiting <= self.chosen.ahead // 2
        given = self._take(self.chosen.ahead - actor.waiting) if low else []
        actor.given.update(given)
        if actor.given:
            self._await(actor, actor.handle.exchange.remote(given, self.more or bool(self.unsent)))

    def _take(self, most: int) -> list[tuple[int, Request]]:
        taken = [self.unsent.popleft() for _ in range(min(most, len(self.unsent)))]
        if self.more and len(taken) < most:
            taken += islice(self.source, most - len(taken))
            self.more = len(taken) == most
        return taken

    def _receive(self, actor: Actor, call: asyncio.Future[Any]) -> Iterator[Reply]:
        """The replies that an actor's answer brings. Raises: as `stream`; a bug there is raised here."""
        kinds = self.ray.exceptions
        try:
            said: ActorStarted | Exchanged = call.result()
        except kinds.RayTaskError:
            raise
        except kinds.RayError as error:
            self.lost_in_a_row += 1
            restart = self.lost_in_a_row < TRIES + self.chosen.actors
            yield from self._actor_lost(actor, f"died ({first_line(error)[:300]})", restart)
            return
        if isinstance(said, ActorStarted):
            check(said, self.backend.settings, self.backend.model)
            actor.ready = True
            return
        actor.waiting = said.waiting
        for reply in said.replies:
            del actor.given[reply.index]
        if any(reply.completion.text is not None for reply in said.replies):
            actor.answered, self.lost_in_a_row = True, 0
        yield from said.replies
        if said.failed is not None:
            yield from self._actor_lost(actor, f"gave up: {said.failed}", actor.answered)

    def _actor_lost(self, actor: Actor, why: str, restart: bool) -> Iterator[Reply]:
        """What it was given goes to others; replies for requests that were lost too often.

        Raises: LLMError when it was the last.
        """
        model, lost = self.backend.model, actor.given
        log.warning("%s: actor %d %s; its %d requests go to others", model, actor.number, why, len(lost))
        self.ray.kill(actor.handle)
        self.actors.remove(actor)
        if restart:
            self.actors.append(other := self._start_actor(actor.number))
            self._await(other, other.handle.start.remote())
        if not self.actors:
            raise LLMError(
                f"{model}: no actor is left, the last {why}; fix the cause (`ray logs actor` has more) and run again: "
                "the replies so far are kept in the cache"
            )
        self.losses.update(lost.keys())
        self.unsent.extendleft(item for item in reversed(lost.items()) if self.losses[item[0]] < TRIES)
        for index in (index for index in lost if self.losses[index] >= TRIES):
            self.lost_in_a_row = 0
            yield Reply(index, Completion(error=f"{TRIES} actors were lost with this request"))
        for waiting in set(self.actors) - set(self.calls.values()):
            self._exchange(waiting)

    def _none_started(self) -> str:
        settings, chosen = self.backend.settings, self.chosen
        has, free = self.ray.cluster_resources(), self.ray.available_resources()
        room = ", ".join(f"{free.get(kind, 0):g} of {has.get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))
        return (
            f"{self.backend.model}: no actor has started within {chosen.start_s:g} s. One takes {chosen.num_cpus:g} "
            f"CPUs and {gpus(settings, chosen):g} GPUs, and the Ray cluster has {room} free; add machines, or lower "
            "ray.num_cpus or ray.num_gpus"
        )


async def _result(answer: Any) -> Any:
    return await answer
