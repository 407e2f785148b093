"""The settings that name a model: which weights or server, how they are run, and what they may cost.

Where a model runs is told apart from what it answers: `LLMSettings.identity` is what changes a reply.
"""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from tacos.ray_cluster import RayActors
from tacos.secrets import holds_key, redacted, texts_in
from tacos.store.fingerprint import named_by_content
from tacos.types import Record


class VLLMEngine(Record):
    """How the engine is run. Only `lora` changes what the model is; the rest is where and how fast, as the
    flags of a server are."""

    tensor_parallel_size: int = Field(1, ge=1)
    """GPUs that share the weights."""
    max_model_len: int | None = Field(None, ge=8)
    """Context in tokens, prompt and reply together; None takes the model's."""
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    """Share of the GPU's memory for weights and key-value cache."""
    max_num_seqs: int | None = Field(None, ge=1)
    """Requests that run at once; None leaves it to vLLM, which knows the GPU."""
    enforce_eager: bool = False
    """No CUDA graphs: starts sooner, answers slower."""
    lora: str | None = None
    """A LoRA adapter on the model, by folder or hub id: a checkpoint that is judged without being merged."""

    def named(self, model: str) -> str:
        """The weights in cache keys, fingerprints and reports: the model, and the adapter where there is one."""
        name = named_by_content(model)
        return name if self.lora is None else f"{name}+{named_by_content(self.lora)}"


WHOLE_PATHS = ("/chat/completions", "/completions", "/responses", "/embeddings")
_SECRET = re.compile(
    r"authoriz|api[-_]?key|^key$|token|secret|password|passwd|cookie|signature|^sig$|credential|subscription",
    re.IGNORECASE,
)
"""Names of headers and parameters that carry keys."""


def _parts(url: str) -> SplitResult:
    """Of a URL; one without a scheme is taken for one of http, as a user and a password may stand in it too."""
    try:
        return urlsplit(url if "://" in url else f"http://{url}")
    except ValueError as error:  # it repeats what was given
        raise ValueError("endpoint is no URL: write it as http://HOST:PORT/v1") from error


def _query_of(url: str) -> list[str]:
    """Names of the parameters behind a URL."""
    return [part.partition("=")[0] for part in url.partition("?")[2].split("&") if part]


class LLMSettings(Record):
    """One named model under `llms.<name>`.

    `model`, `template`, `overflow` with `max_prompt`, `engine.lora`, `structured` and what `altered` names are
    identity; everything else is how and where it is run.
    """

    backend: Literal["openai", "transformers", "vllm", "scripted"] = "openai"
    """Any server that speaks OpenAI's protocol, weights in this process by either library, or a function in tests."""
    model: str
    """Model name at the endpoint, a hub id, or a local folder."""
    endpoint: str | tuple[str, ...] = "https://api.openai.com/v1"
    """Base URL of an OpenAI-compatible server; `/chat/completions` is appended, and `?api-version=...` stays behind
    it. A list names servers of the same model: each call goes to the one with the fewest in flight, and one that is
    gone is left out."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; unset means no key is sent."""
    api_key_file: str | None = None
    """A file that holds the key and nothing else; where it is set, the variable is not looked at."""
    api_key_header: str | None = None
    """Header that carries the key. None is "Authorization", as a bearer token, and "api-key" for a deployment on
    Azure; any other gets the bare key."""
    preset: Literal["chat", "reasoning"] = "chat"
    """Which parameters are sent. "reasoning" is for the o-series, gpt-5 and the like: `max_completion_tokens` in place
    of `max_tokens`, and neither temperature nor top_p, which they refuse."""
    max_completion_tokens: int | None = Field(None, ge=1)
    """Limit on reasoning and reply together, sent in place of every stage's `max_tokens`, which leaves a reasoning
    model no room."""
    fold_system: bool = False
    """Put system text at the head of the first user turn, for models that refuse the role."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further parameters of the request, such as {reasoning_effort: low}; null leaves out one that would be sent."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Further HTTP headers; none that hold keys, since settings are written beside results."""
    query: dict[str, str] = Field(default_factory=dict)
    """Parameters behind the URL, such as {api-version: 2024-10-21}; no keys either."""
    structured: bool = False
    """Send JSON schemas as `response_format` (vLLM and OpenAI understand them)."""
    concurrency: int = Field(32, ge=1)
    """Calls in flight, over all endpoints, and fewer for a while after a 429; or rows in a batch of
    transformers. vllm has `engine.max_num_seqs`."""
    timeout_s: float = Field(120.0, gt=0)
    """For one try of a call, in seconds."""
    max_attempts: int = Field(5, ge=1)
    """Tries per request, the first included; 5xx, time-outs, resets and unusable replies are tried again."""
    outage_s: float = Field(300.0, ge=0)
    """Wait at most this long for a server that has answered before and is gone, and let a request wait at
    most this long for an end of 429s before they count as tries."""
    dtype: str = "auto"
    """Of weights in this process (transformers, vllm): "bfloat16", "float16", "float32"; auto is that of the
    files, or float32 where the device has no such numbers of its own."""
    template: str = "auto"
    """Chat template of weights in this process: "auto" is the tokenizer's own, or "plain" where it has none; a name
    takes its place, as in training (`tacos.models.chat.ensure_template`)."""
    overflow: Literal["refuse", "cut"] = "refuse"
    """A prompt that weights in this process cannot hold is an error of its row, or loses its oldest tokens."""
    max_prompt: int | None = Field(None, ge=8)
    """Tokens from which a prompt is refused or cut; None leaves it to the model's context."""
    engine: VLLMEngine = VLLMEngine()
    """How `backend: vllm` is run."""
    ray: RayActors | None = None
    """Answer on the machines of a Ray cluster; None asks from this process."""
    max_failed_share: float = Field(0.2, ge=0, le=1)
    """Give up when more than this share of a stage's calls failed, or where of 50 rows or more a share above this, and
    above a half, cannot be read though they were asked again."""
    price_per_million_input: float | None = Field(None, ge=0)
    """USD per million prompt tokens; None means the price is unknown and the cap counts tokens only."""
    price_per_million_output: float | None = Field(None, ge=0)
    """The same for tokens of replies."""
    batch_discount: float | None = Field(None, ge=0, lt=1)
    """Share of the price that batch files (`tacos llm export`) save: 0.5 is half price; None where unknown."""
    max_cost_usd: float | None = Field(None, gt=0)
    """Hard cap on money for all answers a run gets from this model, also those it paid for before it was
    stopped and finds in the cache; needs both prices."""
    max_tokens_total: int | None = Field(None, gt=0)
    """Hard cap on prompt plus completion tokens, counted in the same way."""

    @field_validator("headers", "query", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        """YAML makes a date of 2024-10-21, and a number of 7."""
        if not isinstance(given, dict):
            return given
        return {name: v if isinstance(v, dict | list | None) else str(v) for name, v in given.items()}

    @model_validator(mode="after")
    def _is_used(self) -> LLMSettings:
        if self.backend != "vllm" and self.engine != VLLMEngine():
            raise ValueError(f"engine is for backend: vllm, and the backend is {self.backend}")
        laid_out = (self.template, self.overflow, self.max_prompt)
        if self.backend == "openai" and laid_out != ("auto", "refuse", None):
            raise ValueError(
                "template, overflow and max_prompt are for weights in this process; a server lays its prompts out"
            )
        return self

    @model_validator(mode="after")
    def _holds_no_key(self) -> LLMSettings:
        """Settings are written beside results and logged; the message repeats nothing of what was given."""
        if not self.api_key_env.isidentifier() or holds_key(self.api_key_env):
            raise ValueError("api_key_env is the name of an environment variable, not the key itself")
        if self.api_key_file is not None and holds_key(self.api_key_file):
            raise ValueError("api_key_file is the name of a file, not the key that is in it")
        for url in map(_parts, self.endpoints):
            if "@" in url.netloc or url.fragment:
                raise ValueError(
                    "endpoint holds a user, a password or a #fragment: keys go into api_key_env's variable"
                )
        asked = {name for url in self.endpoints for name in _query_of(url)}
        if asked - {"api-version"}:
            raise ValueError(
                "endpoint holds a query other than api-version: parameters go into `query`, and keys into "
                "api_key_env's variable"
            )
        for where, text in texts_in(self.model_dump()):
            if holds_key(text):
                raise ValueError(
                    f"{redacted(where)} holds what looks like an API key: put it into api_key_env's variable, and what "
                    "was written here into no other file"
                )
        if any(_SECRET.search(name) for name in (*self.headers, *self.query)):
            raise ValueError(
                "headers and query take no keys, for settings are written beside results: put the key into "
                "api_key_env's variable, and name the header that carries it as api_key_header"
            )
        return self

    @model_validator(mode="after")
    def _is_a_base_url(self) -> LLMSettings:
        for url in self.endpoints:
            base, mark, query = url.partition("?")
            for path in WHOLE_PATHS:
                if base.rstrip("/").endswith(path):
                    meant = base.rstrip("/").removesuffix(path) + mark + query
                    raise ValueError(
                        f"endpoint {url} is a whole path: `/chat/completions` is appended to {meant}"
                    )
        return self

    def __hash__(self) -> int:
        """Of the whole: what holds a dictionary has no hash of its own."""
        return hash(self.model_dump_json())

    @property
    def key_source(self) -> str:
        """Where the key comes from, for messages."""
        return self.api_key_env if self.api_key_file is None else self.api_key_file

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Base URLs, one or more."""
        return (self.endpoint,) if isinstance(self.endpoint, str) else self.endpoint

    @property
    def unpriced(self) -> bool:
        """Whether a price is missing, so that money cannot be told."""
        return None in (self.price_per_million_input, self.price_per_million_output)

    @property
    def altered(self) -> dict[str, Any]:
        """What of these settings makes a server answer otherwise; empty where all are as they come."""
        return {
            name: value
            for name in ("preset", "max_completion_tokens", "fold_system", "extra_body")
            if (value := getattr(self, name))
            != type(self).model_fields[name].get_default(call_default_factory=True)
        }

    def identity(self) -> dict[str, Any]:
        """What of these settings changes an answer."""
        return {"model": self.named(), "structured": self.structured, **self.altered}

    def named(self) -> str:
        """The weights in cache keys, fingerprints and reports, with what else makes another model of them: an
        adapter, a template in place of their own, prompts that lose their oldest tokens."""
        parts = [self.engine.named(self.model)]
        if self.template != "auto":
            parts.append(f"template {self.template}")
        if self.overflow == "cut":
            parts.append("prompts cut" if self.max_prompt is None else f"prompts cut at {self.max_prompt}")
        return ", ".join(parts)

    def longest_reply(self, max_tokens: int) -> int:
        """Tokens that a reply may have where a part allows `max_tokens`: what is sent, and may be billed."""
        sent = self.extra_body.get("max_completion_tokens") or self.extra_body.get("max_tokens")
        return sent if isinstance(sent, int) else self.max_completion_tokens or max_tokens

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """USD for these tokens; 0.0 where the price is unknown."""
        rate_in, rate_out = self.price_per_million_input or 0.0, self.price_per_million_output or 0.0
        return (prompt_tokens * rate_in + completion_tokens * rate_out) / 1e6
