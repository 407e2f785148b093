"""Who answers: a client of `tacos.llm`, with the settings of its answers and what changes them.

    in_process(model, settings)    weights in this process, by transformers or vLLM, laid out as in training
    served(llm, settings)          whatever stands behind a client: a server with a template of its own

What is drawn for a question does not depend on the questions beside it, so batches may change between two runs.
Above temperature 0 a seed names a repeat of the request: weights in this process draw from it (transformers and vLLM
differently), a server draws as it likes, and the reply cache tells the draws apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tacos.answering.presets import with_preset
from tacos.llm.base import LLM, Request, Sampling
from tacos.llm.build import make_backend
from tacos.llm.client import CachedLLM, complete
from tacos.llm.settings import LLMSettings, VLLMEngine
from tacos.models.wrapping import Wrap, wrap_messages
from tacos.store.fingerprint import named_by_content
from tacos.types import Message, Record
from tacos.usage import Ledger

VLLM_BLOCK = 512
"""Questions at a time: twice the requests that vLLM runs at once by default (256), so it is seldom idle."""
SERVER_BLOCK = 128
"""More than a client has in flight (`concurrency`), so that it never waits for long."""


class GenerateSettings(Record):
    """How a model answers. `max_length`, `batch_size`, `dtype` and `template` are for weights in this process: a server
    has its own. A `preset` (`tacos.answering.presets`) stands for settings of others."""

    _presets = model_validator(mode="before")(with_preset)

    temperature: float = Field(0.0, ge=0)
    """0 is greedy; above it each answer draws from its own seed (`tacos.llm.backends.sampling`)."""
    temperatures: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Category -> temperature, in place of `temperature` (MT-Bench: 0.7 for writing, 0 for math)."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Tokens are drawn from the likeliest that have this share of the probability together."""
    max_new_tokens: int = Field(64, ge=1)
    """Tokens of a reply, at most."""
    max_length: int = Field(2048, ge=8)
    """Prompts of more tokens lose the oldest."""
    batch_size: int = Field(64, ge=1)
    """Questions at a time; it changes no answer, up to rounding, and is no part of a fingerprint."""
    dtype: str = "auto"
    """Numbers of the weights: "bfloat16", "float16", "float32"; auto is those of the files (`tacos.models.device`)."""
    template: str = "auto"
    """As in training (`tacos.models.chat.ensure_template`); a model that tacos trained carries its own."""
    wrap: Literal["auto"] | Wrap = "auto"
    """"alpaca" puts the Alpaca preamble into every question (`tacos.models.wrapping`). "auto" is what the models of an
    experiment were trained in, and none elsewhere."""
    strip_reasoning: bool = True
    """Take the reasoning block that a reply begins with (<think>...</think>) out of the answer; it is counted."""

    def temperature_of(self, category: str) -> float:
        return self.temperatures.get(category, self.temperature)

    @property
    def draws(self) -> bool:
        """Whether any answer can depend on the seed."""
        return max([self.temperature, *self.temperatures.values()]) > 0


@dataclass(frozen=True)
class Candidate:
    """A model that answers.

    identity: what changes its answers, the model by content included; temperatures are named question by question.
    block: questions asked at a time; their answers are safe before the next block begins.
    quiet: whether its client draws no progress bar of its own.
    """

    llm: LLM
    settings: GenerateSettings
    identity: Mapping[str, Any]
    block: int
    quiet: bool = False

    def request(self, messages: Sequence[Message], category: str, seed: int) -> Request:
        """One reply asked for. seed: of the run, the question and the turn; used above temperature 0."""
        temperature = self.settings.temperature_of(category)
        wrap = self.settings.wrap
        return Request(
            messages=tuple(wrap_messages(messages, "none" if wrap == "auto" else wrap)),
            sampling=Sampling(
                temperature=temperature, top_p=self.settings.top_p, max_tokens=self.settings.max_new_tokens
            ),
            repeat=seed if temperature > 0 else 0,
            may_be_cut=True,
        )

    def count_again(self, requests: Sequence[Request]) -> None:
        """Told of requests that an earlier run has answered for good: what they cost stands in the client's cache,
        from where it goes on this run's bill, and under its cap, again."""
        known = self.llm.known(requests)
        complete(self.llm, [request for request, paid in zip(requests, known, strict=True) if paid])


def in_process(
    model: str,
    settings: GenerateSettings,
    device: str = "auto",
    by: Literal["transformers", "vllm"] = "transformers",
    engine: VLLMEngine | None = None,
) -> Candidate:
    """Weights in this process, loaded with the first question. Nothing is paid, so there is no reply cache and no
    entry in a run's ledger. A question that cannot be asked is without an answer, however many there are.

    model: hub id or folder. device: of transformers; "auto" takes CUDA, then Apple's MPS, then the CPU.
    engine: of vLLM.
    """
    used = engine if engine and by == "vllm" else VLLMEngine()
    asked = LLMSettings(
        backend=by,
        model=model,
        dtype=settings.dtype,
        concurrency=settings.batch_size,
        template=settings.template,
        overflow="cut",
        max_prompt=settings.max_length,
        engine=used,
        max_failed_share=1.0,
    )
    identity = local_identity(model, settings, by, used)
    block = settings.batch_size if by == "transformers" else VLLM_BLOCK
    llm = CachedLLM(make_backend(asked, device), None, Ledger(), asked)
    return Candidate(llm, settings, identity, block, quiet=True)


def served(llm: LLM, settings: GenerateSettings, block: int = SERVER_BLOCK) -> Candidate:
    """Any client: replies come from its cache, and are paid into its ledger under its cap."""
    kept = settings.model_dump(include={"top_p", "max_new_tokens", "wrap", "strip_reasoning"})
    return Candidate(llm, settings, {"by": "llm", "model": llm.model, **kept}, block)


def local_identity(model: str, settings: GenerateSettings, by: str, engine: VLLMEngine) -> dict[str, Any]:
    """What changes the answers of weights in this process. With vLLM the context counts: it decides which prompts
    are cut, and where a reply must end."""
    kept = settings.model_dump(exclude={"temperature", "temperatures", "batch_size"})
    if by == "vllm":  # with its adapter, where there is one
        return {"by": by, **kept, "model": engine.named(model), "max_model_len": engine.max_model_len}
    return {"by": by, **kept, "model": named_by_content(model)}
