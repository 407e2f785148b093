"""The Ray cluster that actors run on, and the actors that wait between two streams.

A connection that is there is used; one that is made here stays as long as the process. Actors stay for the next stage
with the same settings, since an engine takes minutes to start, until `release` stops them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from typing import Any

from tacos.errors import ConfigError, LLMError, first_line
from tacos.llm.backend import Backend
from tacos.llm.backends.worker import ActorStarted
from tacos.llm.base import Request
from tacos.llm.keys import read_key
from tacos.llm.settings import LLMSettings, RayActors

Make = Callable[[LLMSettings, str], Backend]
Job = tuple[LLMSettings, str, Make]
"""What an actor is made from: settings, device, and the function that makes the backend."""


@dataclass(eq=False)
class Actor:
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


idle: dict[Job, list[Actor]] = {}
"""Actors between two streams."""


def release() -> None:
    """Stop the actors that have nothing to do and give back what they hold; whoever asks again starts new ones."""
    if any(idle.values()) and (ray := import_ray()).is_initialized():
        for actor in chain.from_iterable(idle.values()):
            ray.kill(actor.handle)
    idle.clear()


def check(started: ActorStarted, settings: LLMSettings, model: str) -> None:
    """Whether an actor would give the replies that stand under this model's name in the cache.

    Raises: ConfigError where not.
    """
    where = f"machine {started.node!r} of the Ray cluster"
    if started.error is not None:
        raise ConfigError(f"{model}: {where} cannot answer: {started.error}")
    if started.model != model:
        raise ConfigError(
            f"{where} has {started.model} as {settings.model!r}, and this one {model}: put the same "
            "files at the same path"
        )
    if settings.backend == "openai" and not started.keyed and read_key(settings, os.environ):
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
    idle.clear()  # of a connection that was closed
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
            f"no Ray cluster at ray.address {chosen.address!r} ({first_line(error)[:300]}): run `ray start --head` on "
            'one machine and `ray start --address=...` on the others, or set ray.address to "local"'
        ) from error
    return ray


def import_ray() -> Any:
    """The module. Raises: ConfigError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    try:
        return import_module("ray")
    except ImportError as error:
        raise ConfigError(
            f"answering on a Ray cluster needs the package ray ({error}): pip install 'tacos-select[ray]', here and on "
            "its machines, or leave `ray` out of the model's settings"
        ) from error
