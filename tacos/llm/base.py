"""What a language model is here: requests in, replies out as they arrive.

A `Request` is one chat completion asked for; a `Completion` its answer, or the reason there is
none. Whatever answers never raises for one bad row.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from tacos.types import Message, Record

if TYPE_CHECKING:
    from tacos.llm.settings import LLMSettings


class Sampling(Record):
    """How tokens are drawn; part of the cache key."""

    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1)
    """Upper limit on the reply, in tokens."""


class Request(Record):
    """One chat completion to ask for. `repeat` tells apart deliberate repeats of the same question."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    json_schema: dict[str, Any] | None = None
    """Structured output where the server has it; the reply is parsed tolerantly either way."""
    repeat: int = 0
    top_logprobs: int | None = Field(None, ge=1, le=20)
    """How many alternatives of the first token to ask for, each with its log-probability; None for none."""


class Completion(Record):
    """The answer to one request: `text`, or `error` with `text` None."""

    text: str | None = None
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: bool = False
    logprobs: dict[str, float] | None = None
    """The first token's alternatives with their log-probabilities, at most 0, where they were asked for and
    the backend gives them."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`index` counts the requests in the order they were pulled, from 0."""

    index: int
    completion: Completion


class LLM(Protocol):
    """A chat model, asked as a stream. `model` names it in cache keys, fingerprints and reports."""

    model: str
    settings: LLMSettings

    def stream(self, requests: Iterable[Request], total: int | None = None) -> AsyncGenerator[Reply, None]:
        """One reply per request, in the order they arrive; a row that fails carries its error.

        Requests are pulled when there is room for them. total: how many there will be, where it is known.

        Raises: LLMError when nothing can be asked at all, or too many calls fail.
        """
        ...

    def known(self, requests: Sequence[Request]) -> list[bool]:
        """Which of these are answered already, so that asking again costs nothing."""
        ...
