"""A model whose answers are given by a function; for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

from tacos.llm.backend import count_tokens, prompt_tokens
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.settings import LLMSettings


class ScriptedLLM:
    """Backend and LLM in one: wrap it in `CachedLLM` to test the client, or use it as it is.

    answer: the reply to a request, as text or whole; an exception, returned or raised, becomes the row's error.
    """

    def __init__(self, answer: Callable[[Request], str | Completion | Exception], model: str = "scripted"):
        self.model = model
        self.settings = LLMSettings(model=model, backend="scripted")
        self.retry_unread = False
        self.requests: list[Request] = []
        """Everything asked so far, in order."""
        self._answer = answer

    @property
    def calls(self) -> int:
        return len(self.requests)

    async def stream(
        self, requests: Iterable[Request], total: int | None = None
    ) -> AsyncGenerator[Reply, None]:
        for index, request in enumerate(requests):
            yield Reply(index, self._reply(request))

    def known(self, requests: Sequence[Request]) -> list[bool]:
        """None: there is no cache."""
        return [False] * len(requests)

    def forget(self, requests: Iterable[Request]) -> None:
        """Nothing: there is no cache."""

    def _reply(self, request: Request) -> Completion:
        self.requests.append(request)
        text: str | Completion | Exception
        try:
            text = self._answer(request)
        except Exception as error:
            text = error
        if isinstance(text, Completion):
            return text
        if isinstance(text, Exception):
            return Completion(error=f"{type(text).__name__}: {text}")
        return Completion(
            text=text, prompt_tokens=prompt_tokens(request), completion_tokens=count_tokens(text)
        )
