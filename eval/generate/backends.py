"""Who answers: a transformers model in this process, or whatever stands behind `tacos.llm`.

A generator is handed requests (`Ask`: a conversation, its temperature, its seed) and gives a completion for each. What
it draws for a request does not depend on the requests beside it, so batches may change between two runs. The
three differ in two things:

    generator              chat template             draws above temperature 0 by
    TransformersGenerator  `tacos.models.chat`, training's  the request's seed
    VLLMGenerator          `tacos.models.chat`, training's  the request's seed (`eval.generate.vllm`)
    LLMGenerator           the server's own          the server; a seed names a repeat in the reply cache
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field

from tacos.llm import client
from tacos.llm.backends.sampling import RowSampler
from tacos.llm.base import LLM, Completion, Request, Sampling
from tacos.models.chat import prompt_ids, stop_tokens
from tacos.models.local import load_lm
from tacos.store.fingerprint import named_by_content
from tacos.types import Message, Record

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


class GenerateSettings(Record):
    """Temperature 0 is greedy; above it each answer draws from its own seed (`tacos.llm.backends.sampling`). The batch
    size changes neither (up to rounding), so it is no part of a fingerprint."""

    temperature: float = Field(0.0, ge=0)
    temperatures: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Category -> temperature, in place of `temperature` (MT-Bench: 0.7 for writing, 0 for math)."""
    top_p: float = Field(1.0, gt=0, le=1)
    max_new_tokens: int = Field(64, ge=1)
    max_length: int = Field(2048, ge=8)
    """Prompts longer than this lose their oldest tokens; not for servers, which have limits of their own."""
    batch_size: int = Field(64, ge=1)
    dtype: str = "auto"
    template: str = "auto"
    """As in training (`tacos.models.chat.ensure_template`); a model that tacos trained carries its own."""

    def temperature_of(self, category: str) -> float:
        return self.temperatures.get(category, self.temperature)

    @property
    def draws(self) -> bool:
        """Whether any answer can depend on the seed."""
        return max([self.temperature, *self.temperatures.values()]) > 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One reply asked for. seed: 0 to 2**64 - 1, used above temperature 0."""

    messages: tuple[Message, ...]
    temperature: float
    seed: int


class Generator(Protocol):
    """block: questions asked at a time; their answers are safe before the next block begins.
    silent: draws no progress bar of its own."""

    settings: GenerateSettings
    block: int
    silent: bool

    def identity(self) -> dict[str, Any]:
        """What changes its answers: the model by content, and settings other than temperature."""
        ...

    def reply(self, asks: Sequence[Ask]) -> list[Completion]:
        """One completion per request, in order; one that fails carries its error.

        Raises: TacosError when nothing can be asked at all.
        """
        ...

    def recall(self, asks: Sequence[Ask]) -> None:
        """Told of requests that an earlier run has answered for good, so that a cap can count them."""
        ...


class TransformersGenerator:
    """Loads on the first request. model: hub id or folder. device: "auto" takes CUDA where there is one."""

    silent = True

    def __init__(self, model: str, settings: GenerateSettings, device: str = "auto"):
        self.model = model
        self.settings = settings
        self.device = device
        self.block = settings.batch_size
        self._loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None = None

    def identity(self) -> dict[str, Any]:
        return {"by": "transformers", **local_identity(self.model, self.settings)}

    def reply(self, asks: Sequence[Ask]) -> list[Completion]:
        """Raises: TacosError when the model cannot be loaded."""
        if self._loaded is None:
            self._loaded = load(self.model, self.settings.dtype, self.settings.template, self.device)
        model, tokenizer = self._loaded
        prompts = cut([prompt_ids(tokenizer, ask.messages) for ask in asks], self.settings.max_length)
        return [Completion(text=text) for text in complete(model, tokenizer, prompts, asks, self.settings)]

    def recall(self, asks: Sequence[Ask]) -> None:
        """Nothing to pay, nothing to count."""


class LLMGenerator:
    """Any client of `tacos.llm`: replies come from its cache, and are paid into its ledger under its cap.

    block: requests handed to the client at a time; more than its `concurrency`, so that it never waits for long.
    """

    silent = False

    def __init__(self, llm: LLM, settings: GenerateSettings, block: int = 128):
        self.llm = llm
        self.settings = settings
        self.block = block

    def identity(self) -> dict[str, Any]:
        """Template, dtype and prompt length are the server's business, and not known here."""
        kept = self.settings.model_dump(include={"top_p", "max_new_tokens"})
        return {"by": "llm", "model": self.llm.model, **kept}

    def reply(self, asks: Sequence[Ask]) -> list[Completion]:
        """Raises: LLMError when the endpoint fails as a whole, or its cap is reached."""
        replies = client.complete(self.llm, [self._request(ask) for ask in asks])
        return [r if r.text is None else r.model_copy(update={"text": r.text.strip()}) for r in replies]

    def recall(self, asks: Sequence[Ask]) -> None:
        """What they cost stands in the client's cache, from where it goes on this run's bill again."""
        requests = [self._request(ask) for ask in asks]
        known = self.llm.known(requests)
        client.complete(self.llm, [r for r, paid in zip(requests, known, strict=True) if paid])

    def _request(self, ask: Ask) -> Request:
        sampling = Sampling(
            temperature=ask.temperature, top_p=self.settings.top_p, max_tokens=self.settings.max_new_tokens
        )
        # The protocol has no seed; another repeat is another draw, where there is one to be made.
        repeat = ask.seed if ask.temperature > 0 else 0
        return Request(messages=ask.messages, sampling=sampling, repeat=repeat)


def local_identity(model: str, settings: GenerateSettings) -> dict[str, Any]:
    """What changes the answers of weights in this process."""
    without = {"temperature", "temperatures", "batch_size"}  # temperatures are named question by question
    return {"model": named_by_content(model), **settings.model_dump(exclude=without)}


def cut(prompts: Sequence[list[int]], limit: int) -> list[list[int]]:
    """The last `limit` tokens of each prompt; says so where that loses any."""
    long = sum(len(prompt) > limit for prompt in prompts)
    if long:
        log.warning("%d of %d prompts are over %d tokens and lose their oldest", long, len(prompts), limit)
    return [prompt[-limit:] for prompt in prompts]


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    asks: Sequence[Ask],
    settings: GenerateSettings,
) -> list[str]:
    """A reply per prompt, drawn by its seed.

    A batch has one temperature, and prompts of like length, so that little is padded.
    """
    replies = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    for temperature in sorted({ask.temperature for ask in asks}):
        alike = [i for i in order if asks[i].temperature == temperature]
        sampling = Sampling(temperature=temperature, top_p=settings.top_p, max_tokens=settings.max_new_tokens)
        for rows in batches(alike, settings.batch_size):
            seeds = [asks[i].seed for i in rows]
            texts = complete_batch(model, tokenizer, [prompts[i] for i in rows], seeds, sampling)
            for i, text in zip(rows, texts, strict=True):
                replies[i] = text
    return replies


def complete_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    seeds: Sequence[int],
    sampling: Sampling,
) -> list[str]:
    import torch
    from transformers import LogitsProcessorList

    ids, mask = pad_left(prompts, pad_id(tokenizer))
    processors = LogitsProcessorList()
    if sampling.temperature > 0:  # the draw is a processor that leaves one token, for `generate` to take
        processors.append(RowSampler(seeds, ids.shape[1], sampling.max_tokens, sampling))
    generator: Any = model
    with torch.inference_mode():
        out = generator.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=sampling.max_tokens,
            pad_token_id=pad_id(tokenizer),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            logits_processor=processors,
        )
    return [text.strip() for text in tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)]


def pad_left(prompts: Sequence[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and attention mask, both (n_prompts, longest) int64."""
    import torch

    width = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)


def load(
    model_dir: str, dtype: str, template: str, device: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Raises: TacosError naming the model when it cannot be loaded."""
    lm = load_lm(model_dir, dtype, template, device)
    generation = lm.model.generation_config
    generation.eos_token_id = stop_tokens(lm.tokenizer, generation.eos_token_id)
    return lm.model, lm.tokenizer


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return int(pad or 0)


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
