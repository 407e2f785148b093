"""What every language model backend answers to, and the settings that name one.

A `Request` is one chat completion asked for; a `Completion` its answer, or the reason there is
none. Backends answer a list in order and never raise for one bad row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from pydantic import Field

from tacos.store.fingerprint import named_by_content
from tacos.tracking import Usage
from tacos.types import Message, Record


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


class LLM(Protocol):
    """A chat model. `model` names it in cache keys, fingerprints and reports."""

    model: str

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answers in the order of `requests`; a row that fails carries its error."""
        ...


class LLMSettings(Record):
    """One named model under `llms.<name>`.

    Only `model` and `structured` are identity; everything else is how and where it is run.
    """

    backend: Literal["openai", "transformers", "scripted"] = "openai"
    model: str
    """Model name at the endpoint, a hub id, or a local folder."""
    endpoint: str = "https://api.openai.com/v1"
    """Base URL of an OpenAI-compatible server; `/chat/completions` is appended."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; unset means no key is sent."""
    structured: bool = False
    """Send JSON schemas as `response_format` (vLLM and OpenAI understand them)."""
    concurrency: int = Field(32, ge=1)
    timeout_s: float = Field(120.0, gt=0)
    max_attempts: int = Field(5, ge=1)
    """Tries per request, the first included; 429, 5xx, time-outs and resets are tried again."""
    max_failed_share: float = Field(0.2, ge=0, le=1)
    """Give up when more than this share of a stage's calls failed."""
    price_per_million_input: float | None = Field(None, ge=0)
    """USD per million prompt tokens; None means the price is unknown and the cap counts tokens only."""
    price_per_million_output: float | None = Field(None, ge=0)
    max_cost_usd: float | None = Field(None, gt=0)
    """Hard cap on money for all answers a run gets from this model, also those it paid for before it was
    stopped and finds in the cache; needs both prices."""
    max_tokens_total: int | None = Field(None, gt=0)
    """Hard cap on prompt plus completion tokens, counted in the same way."""

    def identity(self) -> dict[str, Any]:
        """What of these settings changes an answer."""
        return {"model": named_by_content(self.model), "structured": self.structured}

    def used(self, completion: Completion) -> Usage:
        """What one completion used, now or when it was paid. A failed call is not a call that was paid,
        though a server may have billed tokens for it."""
        tokens = completion.prompt_tokens, completion.completion_tokens
        cost, answered = self.price(*tokens), completion.text is not None
        unpriced = int(answered and None in (self.price_per_million_input, self.price_per_million_output))
        if completion.cached:
            return Usage(
                cached_calls=1, cached_prompt_tokens=tokens[0], cached_completion_tokens=tokens[1],
                cached_cost_usd=cost, unpriced_calls=unpriced,
            )  # fmt: skip
        return Usage(
            calls=int(answered), failed_calls=int(not answered), prompt_tokens=tokens[0],
            completion_tokens=tokens[1], cost_usd=cost, unpriced_calls=unpriced,
        )  # fmt: skip

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """USD for these tokens; 0.0 where the price is unknown."""
        rate_in, rate_out = self.price_per_million_input or 0.0, self.price_per_million_output or 0.0
        return (prompt_tokens * rate_in + completion_tokens * rate_out) / 1e6
