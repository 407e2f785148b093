"""The actors of a Ray cluster that answer: what they are made from, and whether they answer as this process would."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tacos.errors import ConfigError
from tacos.llm.backend import Backend
from tacos.llm.backends.worker import ActorStarted
from tacos.llm.base import Request
from tacos.llm.keys import read_key
from tacos.llm.settings import LLMSettings
from tacos.ray_cluster import RayActors

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
