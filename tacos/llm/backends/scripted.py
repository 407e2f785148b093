"""A model whose answers are given by a function; for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

from tacos.llm.backend import Reply, count_tokens, prompt_tokens
from tacos.llm.base import Completion, Request


class ScriptedLLM:
    """Backend and LLM in one: wrap it in `CachedLLM` to test the client, or use it as it is.

    answer: the reply to a request; an exception, returned or raised, becomes the row's error.
    """

    def __init__(self, answer: Callable[[Request], str | Exception], model: str = "scripted"):
        self.model = model
        self.requests: list[Request] = []
        """Everything asked so far, in order."""
        self._answer = answer

    @property
    def calls(self) -> int:
        return len(self.requests)

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        for index, request in enumerate(requests):
            yield Reply(index, self._reply(request))

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answers in the order of `requests`."""
        return [reply.completion async for reply in self.stream(requests)]

    def _reply(self, request: Request) -> Completion:
        self.requests.append(request)
        try:
            text = self._answer(request)
        except Exception as error:
            text = error
        if isinstance(text, Exception):
            return Completion(error=f"{type(text).__name__}: {text}")
        return Completion(
            text=text, prompt_tokens=prompt_tokens(request), completion_tokens=count_tokens(text)
        )
