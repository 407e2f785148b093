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
import os
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain, islice
from typing import Any

from tacos.errors import ConfigError, LLMError
from tacos.llm.backend import Backend
from tacos.llm.backends.worker import Hello, News, Worker
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.keys import read_key
from tacos.llm.settings import LLMSettings, RayActors

log = logging.getLogger(__name__)
TRIES = 5
"""Actors that a request may be lost with before it is taken for the reason."""
LOOK_S = 1.0
"""While no actor has started yet."""
Make = Callable[[LLMSettings, str], Backend]
Job = tuple[LLMSettings, str, Make]
"""What an actor is made from: settings, device, and the function that makes the backend."""


@dataclass(eq=False)
class _Actor:
    """One actor, as it is seen from here."""

    handle: Any
    number: int
    ready: bool = False
    answered: bool = False
    """Whether it ever did."""
    waiting: int = 0
    """Requests in its inbox, by its last word."""
    given: dict[int, Request] = field(default_factory=dict)
    """What it was given and has not answered."""


_idle: dict[Job, list[_Actor]] = {}
"""Actors between two streams: an engine takes minutes to start."""


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

        Raises: ConfigError where Ray is not installed, or a machine lacks the key or the weights; LLMError when there
            is no cluster, when no actor starts, and when none is left.
        """
        source = enumerate(requests)
        first = next(source, None)
        if first is None:
            return
        job = (worker_settings(self.settings), self.device, self.make)
        shift = _Shift(self, connect(self.chosen), job, first, source)
        try:
            async for reply in shift.replies():
                yield reply
        finally:
            shift.close()


class _Shift:
    """One `stream` at work. owed: requests to give out before those of `source`."""

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
        self.owed = deque([first])
        self.source = source
        self.more = True
        """Whether `source` may have more."""
        self.lost: Counter[int] = Counter()
        """Request -> actors that died with it."""
        self.heard_at = time.monotonic()
        self.in_vain = 0
        """Actors that died since the last reply."""
        self.calls: dict[asyncio.Future[Any], _Actor] = {}
        self.actors = _idle.pop(job, [])
        release()  # the others: they may hold the GPUs
        taken = {actor.number for actor in self.actors}
        self.actors += [self._hire(n) for n in range(self.chosen.actors) if n not in taken]

    async def replies(self) -> AsyncGenerator[Reply, None]:
        for actor in self.actors:
            self._go_on(actor) if actor.ready else self._call(actor, actor.handle.start.remote())
        while self.owed or self.more or any(actor.given for actor in self.actors):
            ready = any(actor.ready for actor in self.actors)
            pause = None if ready else min(LOOK_S, self.chosen.start_s)
            done, _ = await asyncio.wait(self.calls, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if done:
                self.heard_at = time.monotonic()
            elif time.monotonic() - self.heard_at >= self.chosen.start_s:
                raise LLMError(self._nobody_came())
            else:
                release()  # those of a stream beside this one, which has ended since
            for call in done:
                actor = self.calls.pop(call)
                for reply in self._hear(actor, call):
                    yield reply
                if actor in self.actors:
                    self._go_on(actor)

    def close(self) -> None:
        """Keep the actors that have nothing to do; an unfinished stream's are stopped with their work."""
        for call in self.calls:
            call.cancel()
        for actor in self.actors:
            if actor.given or not actor.ready:
                self.ray.kill(actor.handle)
        _idle[self.job] = [actor for actor in self.actors if actor.ready and not actor.given]

    def _hire(self, number: int) -> _Actor:
        """Ask the cluster for an actor; it comes when there is room."""
        settings, device, make = self.job
        chosen = self.chosen
        options = {
            "num_cpus": chosen.num_cpus,
            "num_gpus": gpus(settings, chosen),
            "scheduling_strategy": "SPREAD",
        }
        kind = self.ray.remote(Worker).options(**options)
        return _Actor(kind.remote(rotated(settings, number), device, make, chosen.ahead // 2), number)

    def _call(self, actor: _Actor, answer: Any) -> None:
        self.calls[asyncio.ensure_future(_result(answer))] = actor

    def _go_on(self, actor: _Actor) -> None:
        """Fill its inbox, if it runs low, and ask for its news; nothing where it has nothing to do."""
        low = actor.waiting <= self.chosen.ahead // 2
        given = self._take(self.chosen.ahead - actor.waiting) if low else []
        actor.given.update(given)
        if actor.given:
            self._call(actor, actor.handle.exchange.remote(given, self.more or bool(self.owed)))

    def _take(self, most: int) -> list[tuple[int, Request]]:
        taken = [self.owed.popleft() for _ in range(min(most, len(self.owed)))]
        if self.more and len(taken) < most:
            taken += islice(self.source, most - len(taken))
            self.more = len(taken) == most
        return taken

    def _hear(self, actor: _Actor, call: asyncio.Future[Any]) -> Iterator[Reply]:
        """The replies that an actor's answer brings. Raises: as `stream`; a bug there is raised here."""
        kinds = self.ray.exceptions
        try:
            said: Hello | News = call.result()
        except kinds.RayTaskError:
            raise
        except kinds.RayError as error:
            self.in_vain += 1
            worth_another = self.in_vain < TRIES + self.chosen.actors
            yield from self._mourn(actor, f"died ({_line(error)})", worth_another)
            return
        if isinstance(said, Hello):
            check(said, self.backend.settings, self.backend.model)
            actor.ready = True
            return
        actor.waiting = said.waiting
        for reply in said.replies:
            del actor.given[reply.index]
        if any(reply.completion.text is not None for reply in said.replies):
            actor.answered, self.in_vain = True, 0
        yield from said.replies
        if said.failed is not None:
            yield from self._mourn(actor, f"gave up: {said.failed}", actor.answered)

    def _mourn(self, actor: _Actor, why: str, worth_another: bool) -> Iterator[Reply]:
        """What it was given is owed again; replies for those that were lost too often.

        Raises: LLMError when it was the last.
        """
        model, lost = self.backend.model, actor.given
        log.warning("%s: actor %d %s; its %d requests go to others", model, actor.number, why, len(lost))
        self.ray.kill(actor.handle)
        self.actors.remove(actor)
        if worth_another:
            self.actors.append(successor := self._hire(actor.number))
            self._call(successor, successor.handle.start.remote())
        if not self.actors:
            raise LLMError(
                f"{model}: no actor is left, the last {why}; fix the cause (`ray logs actor` has more) and run again: "
                "the replies so far are kept in the cache"
            )
        self.lost.update(lost.keys())
        self.owed.extendleft(item for item in reversed(lost.items()) if self.lost[item[0]] < TRIES)
        for index in (index for index in lost if self.lost[index] >= TRIES):
            self.in_vain = 0
            yield Reply(index, Completion(error=f"{TRIES} actors were lost with this request"))
        for idle in set(self.actors) - set(self.calls.values()):
            self._go_on(idle)

    def _nobody_came(self) -> str:
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


def release() -> None:
    """Stop the actors that have nothing to do and give back what they hold; whoever asks again starts new ones."""
    if any(_idle.values()) and (ray := import_ray()).is_initialized():
        for actor in chain.from_iterable(_idle.values()):
            ray.kill(actor.handle)
    _idle.clear()


def check(hello: Hello, settings: LLMSettings, model: str) -> None:
    """Whether an actor would give the replies that stand under this model's name in the cache.

    Raises: ConfigError where not.
    """
    where = f"machine {hello.node!r} of the Ray cluster"
    if hello.error is not None:
        raise ConfigError(f"{model}: {where} cannot answer: {hello.error}")
    if hello.model != model:
        raise ConfigError(
            f"{where} has {hello.model} as {settings.model!r}, and this one {model}: put the same "
            "files at the same path"
        )
    if settings.backend == "openai" and not hello.keyed and read_key(settings, os.environ):
        raise ConfigError(
            f"{model}: {settings.key_source} is set here and not on {where}; set it there before `ray start`, or put "
            "the key into a file at the same path and name it as api_key_file"
        )


def worker_settings(settings: LLMSettings) -> LLMSettings:
    """What an actor has to know: the cap is kept here, and the cluster is no business of its backend."""
    mine = ("ray", "max_cost_usd", "max_tokens_total", "price_per_million_input", "price_per_million_output")
    return settings.model_copy(update=dict.fromkeys(mine))


def rotated(settings: LLMSettings, number: int) -> LLMSettings:
    """Settings for one actor: of several idle endpoints the first is asked, so each actor has another first."""
    urls = settings.endpoints
    if len(urls) < 2:
        return settings
    start = number % len(urls)
    return settings.model_copy(update={"endpoint": urls[start:] + urls[:start]})


def gpus(settings: LLMSettings, chosen: RayActors) -> float:
    """GPUs of one actor."""
    if chosen.num_gpus is not None:
        return chosen.num_gpus
    return settings.engine.tensor_parallel_size if settings.backend == "vllm" else 0


def connect(chosen: RayActors) -> Any:
    """Ray's module, connected; a connection that is there is used. Raises: ConfigError, LLMError."""
    if chosen.address == "local":  # nobody else has business with it
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's switch for loopback only
    ray = import_ray()
    if ray.is_initialized():
        return ray
    _idle.clear()  # of a connection that was closed
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.WARNING,
    }  # stdout is for results
    if chosen.address == "local":
        options["include_dashboard"] = False
    try:
        ray.init(chosen.address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise LLMError(
            f"no Ray cluster at ray.address {chosen.address!r} ({_line(error)}): run `ray start --head` on one machine "
            'and `ray start --address=...` on the others, or set ray.address to "local"'
        ) from error
    return ray


def import_ray() -> Any:
    """The module. Raises: ConfigError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    try:
        return import_module("ray")
    except ImportError as error:
        raise ConfigError(
            f"answering on a Ray cluster needs the package ray ({error}): pip install 'tacos[ray]', here and on its "
            "machines, or leave `ray` out of the model's settings"
        ) from error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300] or type(error).__name__
