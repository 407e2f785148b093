"""A client for the settings of a model: its backend, its cache, its key."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tacos.errors import ConfigError
from tacos.llm.backend import Backend
from tacos.llm.cache import ReplyCache, check_losses
from tacos.llm.client import CachedLLM
from tacos.llm.keys import read_key
from tacos.llm.settings import LLMSettings
from tacos.usage import Ledger

log = logging.getLogger(__name__)


def build_llm(
    settings: LLMSettings,
    ledger: Ledger,
    cache_path: Path | None,
    device: str = "auto",
    bill: str = "",
    go_on: bool = False,
) -> CachedLLM:
    """The client for `settings`. Nothing is loaded or contacted before the first request.

    bill: on what the caps hold, see `CachedLLM`. go_on: pay again for replies that a damaged cache lost.
    The API key is read here; see `keys.read_key`.

    Raises: ConfigError for settings that cannot work; TacosError when the cache cannot be written, or lost more than
    `LOST_SHARE` of its replies.
    """
    if why := unpriced_cap(settings):
        raise ConfigError(why)
    backend = make_backend(settings, device, ledger)
    cache = ReplyCache(cache_path) if cache_path else None
    if cache:
        check_losses(cache, settings, go_on)
    return CachedLLM(backend, cache, ledger, settings, progress=sys.stderr.isatty(), bill=bill)


def unpriced_cap(settings: LLMSettings) -> str | None:
    """Why the cap on money cannot hold; None where it can, or there is none."""
    if settings.max_cost_usd is None or not settings.unpriced:
        return None
    return (
        f"max_cost_usd of {settings.model!r} needs price_per_million_input and "
        "price_per_million_output; set both, or cap tokens with max_tokens_total"
    )


def make_backend(settings: LLMSettings, device: str = "auto", ledger: Ledger | None = None) -> Backend:
    """What answers, without a client around it. ledger: where the passes of a model in this process are counted.

    Raises: ConfigError for settings that cannot work.
    """
    if settings.ray is not None:
        from tacos.llm.backends.ray import RayBackend

        return RayBackend(settings, device, make=make_backend)
    if settings.backend == "openai":
        from tacos.llm.backends.openai import OpenAIBackend

        key = read_key(settings, os.environ)
        if key is None and (host := _abroad(settings)):
            log.warning("%s is not set, so calls to %s go out without a key", settings.key_source, host)
        return OpenAIBackend(settings, api_key=key)
    if settings.backend == "transformers":
        from tacos.llm.backends.transformers import TransformersBackend

        return TransformersBackend(settings, device, ledger)
    if settings.backend == "vllm":
        from tacos.llm.backends.vllm import VLLMBackend

        return VLLMBackend(settings)
    raise ConfigError(
        f"backend {settings.backend!r} is made in code, for tests; use 'openai', 'transformers' or 'vllm'"
    )


def _abroad(settings: LLMSettings) -> str | None:
    """A host of the endpoints that is not this machine or its network: most want a key."""
    hosts = (urlsplit(url).hostname or "" for url in settings.endpoints)
    return next((host for host in hosts if "." in host and not host.replace(".", "").isdigit()), None)
