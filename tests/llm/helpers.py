"""Short ways to make the things every LLM test needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tacos.llm.backends.openai import OpenAIBackend
from tacos.llm.base import Completion, Request, Sampling
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM
from tacos.llm.settings import LLMSettings
from tacos.types import Message
from tacos.usage import Ledger


async def no_sleep(seconds: float) -> None:
    """Stands in for the waits between tries."""


def ask(text: str, **changes: Any) -> Request:
    """A one-message request."""
    return Request(messages=(Message(role="user", content=text),), **changes)


def asks(count: int, max_tokens: int = 1024) -> list[Request]:
    return [ask(f"question {i}", sampling=Sampling(max_tokens=max_tokens)) for i in range(count)]


def client(
    endpoint: str,
    cache: Path | None = None,
    ledger: Ledger | None = None,
    key: str | None = None,
    **settings: Any,
) -> CachedLLM:
    """An OpenAI client that never waits between tries."""
    chosen = LLMSettings(model="m", endpoint=endpoint, **{"timeout_s": 20.0, "concurrency": 8, **settings})
    backend = OpenAIBackend(chosen, api_key=key, sleep=no_sleep)
    return CachedLLM(backend, ReplyCache(cache) if cache else None, ledger or Ledger(), chosen)


def texts(completions: Sequence[Completion]) -> list[str | None]:
    return [c.text for c in completions]


def echoes(requests: Sequence[Request]) -> list[str]:
    """What the test server answers when all goes well."""
    return [f"echo: {r.messages[-1].content}" for r in requests]
