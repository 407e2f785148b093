"""A Ray cluster (https://docs.ray.io): how its actors are asked for, the connection, and who waits there.

LLMs are asked there (`tacos.llm.backends.ray`), local models read there (`tacos.models.ray_readers`), and stages are
done there (`tacos.pipeline.cluster`). A connection that is there is used; one that is made here stays as long as the
process.
"""

from __future__ import annotations

import logging
import os
from importlib import import_module
from itertools import chain
from typing import Any

from pydantic import Field

from tacos.errors import ConfigError, TacosError, first_line
from tacos.types import Record


class RayActors(Record):
    """Work by actors on the machines of a Ray cluster: where and how fast, never what."""

    actors: int = Field(2, ge=1)
    """Each has a backend of its own: `concurrency` calls in flight, one vLLM engine, or a local model that scores or
    embeds."""
    address: str = "auto"
    """The cluster: "auto" is that of this machine, "host:port" another's; "local" starts one, here."""
    num_cpus: float = Field(1.0, ge=0)
    """Per actor, as Ray counts them."""
    num_gpus: float | None = Field(None, ge=0)
    """Per actor; None is `engine.tensor_parallel_size` for vllm, one for a local model that scores or embeds where the
    cluster has any, and 0 for others."""
    ahead: int = Field(64, ge=1)
    """Requests that wait at an actor for their turn, next to each other, as prefix caches like; of LLMs alone."""
    start_s: float = Field(600.0, gt=0)
    """Wait at most this long for a first actor: a cluster may have to grow for it."""


idle: dict[Any, list[Any]] = {}
"""What actors are made from -> those that wait for more of its work, each with Ray's `handle`: an engine takes minutes
to start."""


def release() -> None:
    """Stop the actors that have nothing to do and give back what they hold; whoever asks again starts new ones."""
    if any(idle.values()) and (ray := import_ray()).is_initialized():
        for actor in chain.from_iterable(idle.values()):
            ray.kill(actor.handle)
    idle.clear()


def connect(chosen: RayActors) -> Any:
    """Ray's module, connected; a connection that is there is used.

    Raises: ConfigError where Ray is not installed, TacosError where there is no cluster.
    """
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
        raise TacosError(
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
            f"working on a Ray cluster needs the package ray ({error}): pip install 'tacos-select[ray]', here and on "
            "its machines, or leave `ray` out of the settings"
        ) from error
