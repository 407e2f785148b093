"""No backend at all: what the reply cache does not hold is an error. For `tacos run --replay`, which asks nobody."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from tacos.errors import LLMError
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.settings import LLMSettings
from tacos.store.fingerprint import named_by_content


class RecordedBackend:
    """In place of the backend of `settings`, whose model the cache keys name."""

    def __init__(self, settings: LLMSettings):
        served = settings.backend == "openai" and settings.ray is None
        self.model = named_by_content(settings.model) if served else settings.named()

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """Raises: LLMError for the first request."""
        for number, request in enumerate(requests):
            said = " ".join(request.messages[-1].content.split())[:60]
            raise LLMError(
                f"{self.model}: a reply is not in the cache, that to {said!r}: a replay asks nobody, so run without "
                "--replay first"
            )
            yield Reply(number, Completion())  # never: what makes this a generator
