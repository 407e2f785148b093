"""Backends for actors: made in other processes, which import this module and little else."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable

from tacos.errors import LLMError
from tacos.llm.backend import Backend
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.settings import LLMSettings


def scripted(settings: LLMSettings, device: str) -> Backend:
    """Made where it works, and says where that is."""
    return ScriptedLLM(
        lambda request: f"{request.messages[0].content} of {os.getpid()}", model=settings.model
    )


class Deadly:
    """Takes the whole actor with it when it is asked for "poison"."""

    def __init__(self, model: str):
        self.model = model

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        for index, request in enumerate(requests):
            if request.messages[0].content == "poison":
                os._exit(1)
            yield Reply(index, Completion(text="fine"))


def deadly(settings: LLMSettings, device: str) -> Backend:
    return Deadly(settings.model)


class Failing(Deadly):
    """Gives up after one reply, which comes without text."""

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        next(iter(requests))
        yield Reply(0, Completion(error="no idea"))
        raise LLMError("the engine stopped")


def failing(settings: LLMSettings, device: str) -> Backend:
    return Failing(settings.model)
