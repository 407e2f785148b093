"""What a language model is here: requests in, replies out as they arrive.

A `Request` is one chat completion asked for; a `Completion` its answer, or the reason there is
none. Whatever answers never raises for one bad row.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from tacos.llm.reasoning import spoken
from tacos.types import Message, Record

if TYPE_CHECKING:
    from tacos.llm.settings import LLMSettings


class Sampling(Record):
    """How tokens are drawn; part of the cache key."""

    temperature: float | None = Field(0.0, ge=0)
    """None leaves it to the server, for models that refuse the parameter; a model in this process then takes 1."""
    top_p: float | None = Field(1.0, gt=0, le=1)
    """None as for `temperature`."""
    max_tokens: int = Field(1024, ge=1)
    """Upper limit on the reply, in tokens."""

    @property
    def drawn(self) -> tuple[float, float]:
        """(temperature, top-p) for a model in this process."""
        return (
            1.0 if self.temperature is None else self.temperature,
            1.0 if self.top_p is None else self.top_p,
        )


class Request(Record):
    """One chat completion to ask for. `repeat` tells apart deliberate repeats of the same question."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    json_schema: dict[str, Any] | None = None
    """Structured output where the server has it; the reply is parsed tolerantly either way."""
    repeat: int = 0
    top_logprobs: int | None = Field(None, ge=1, le=20)
    """How many alternatives of the answer's first token to ask for, each with its log-probability; None for none."""
    prompt: str = ""
    """Name of the prompt it was filled from: reply lengths are remembered by it. No part of the cache key."""
    may_be_cut: bool = False
    """A reply that ends at `max_tokens` is an answer all the same: a candidate's text, or a verdict of one token. No
    part of the cache key."""


CUT = frozenset(("length", "max_tokens", "max_output_tokens", "model_length"))
"""What servers say of a reply that ended at the token limit."""


_NUMBERS_FIRST = re.compile(r"\s*([-0-9.,/ \t]*[0-9][-0-9.,/ \t]*)\r?\n")


class Completion(Record):
    """The answer to one request: `text`, or `error` with `text` None."""

    text: str | None = None
    error: str | None = None
    """Why there is no text, in the server's words where it gave any."""
    finish_reason: str | None = None
    """Why the reply ended, in the server's word: "stop", "length" (cut off at the token limit), ...; None where the
    backend does not say."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: bool = False
    logprobs: dict[str, float] | None = None
    """Alternatives of the answer's first token (the one behind any reasoning) with their log-probabilities, at most 0,
    where they were asked for and the backend gives them."""

    @property
    def cut(self) -> bool:
        """Whether the token limit ended it: what it would have said next is not known."""
        return self.finish_reason in CUT

    @property
    def numbers_first(self) -> str | None:
        """A first line that is nothing but numbers, which such prompts ask for: whole, though the rest be cut off."""
        match = _NUMBERS_FIRST.match(spoken(self.text or "").text)
        return match[1] if match else None

    def is_answer_to(self, request: Request) -> bool:
        """Whether to keep it in the cache and not ask again.

        An empty reply is none, and a cut one only where the request takes it, or its scores come first, and its own
        limit cut it: another server, or the same one after a change of its settings, would go on.
        """
        if self.text is None or not spoken(self.text).text.strip():
            return False
        if not self.cut:
            return True
        enough = request.may_be_cut or self.numbers_first is not None
        return enough and self.completion_tokens >= request.sampling.max_tokens


@dataclass(frozen=True, slots=True)
class Reply:
    """`index` counts the requests in the order they were pulled, from 0."""

    index: int
    completion: Completion


class LLM(Protocol):
    """A chat model, asked as a stream. `model` names it in cache keys, fingerprints and reports."""

    model: str
    settings: LLMSettings
    retry_unread: bool
    """Replies of an earlier run that cannot be read are forgotten and asked for anew."""

    def stream(self, requests: Iterable[Request], total: int | None = None) -> AsyncGenerator[Reply, None]:
        """One reply per request, in the order they arrive; a row that fails carries its error.

        Requests are pulled when there is room for them. total: how many there will be, where it is known.

        Raises: LLMError when nothing can be asked at all, or too many calls fail.
        """
        ...

    def known(self, requests: Sequence[Request]) -> list[bool]:
        """Which of these are answered already, so that asking again costs nothing."""
        ...

    def forget(self, requests: Iterable[Request]) -> None:
        """Ask and pay for these again, when they come."""
        ...
