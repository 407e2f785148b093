"""A transformers model in this process, for a laptop or a GPU node without a server.

Prompts are laid out as in training (`prompts.py`). Requests are sorted by length and answered in batches, the longest
first, so that memory runs out at once if at all. Temperature 0 is greedy; otherwise each row draws from its own seed
(`sampling.py`). The model's own generation settings (repetition penalty, top-k) are not used: the request says all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from tacos.llm.backends.prompts import PromptRow, Prompts, closing_token
from tacos.llm.backends.sampling import RowSampler
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.request_key import request_key
from tacos.llm.settings import LLMSettings
from tacos.models.local import LocalModel, load_lm
from tacos.text import whole_characters
from tacos.usage import Ledger

if TYPE_CHECKING:
    import torch

AHEAD = 64
"""Batches that are sorted by length together; the requests beyond are not held yet."""


class TransformersBackend:
    """Loads on the first request, and works in a thread so that the event loop stays free.

    A local folder is named by its content too, because a model trained again in the same place must not be given
    the old one's cached replies. `settings.concurrency` is the most requests at a time.

    device: "auto" takes CUDA, then Apple's MPS, then the CPU. ledger: where its passes are counted.
    """

    def __init__(self, settings: LLMSettings, device: str = "auto", ledger: Ledger | None = None):
        self.settings = settings
        self.model = settings.named()
        self.device = device
        self.ledger = ledger
        self._loaded: LocalModel | None = None
        self._lock = Lock()

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """See `Backend.stream`. Raises: TacosError when the model cannot be loaded."""
        source, size = enumerate(requests), self.settings.concurrency
        while block := list(islice(source, AHEAD * size)):
            lm = await asyncio.to_thread(self._load)
            prompts = Prompts(lm.tokenizer, self.settings, lm.context)
            made = [prompts.row(index, request) for index, request in block]
            prompts.say()
            for refused in (row for row in made if isinstance(row, Reply)):
                yield refused
            for batch in _batches([row for row in made if isinstance(row, PromptRow)], size):
                for reply in await asyncio.to_thread(self._answer, batch):
                    yield reply

    def _load(self) -> LocalModel:
        """Loaded once."""
        with self._lock:
            if self._loaded is None:
                self._loaded = replace(_load(self.settings, self.device), ledger=self.ledger)
            return self._loaded

    def _answer(self, batch: list[PromptRow]) -> list[Reply]:
        try:
            lm = self._load()
            made_all = _generate(lm, batch, self.model)
        except Exception as error:  # out of memory, a kernel's refusal: these rows fail, the rest go on
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            return [Reply(row.index, Completion(error=reason)) for row in batch]
        lm.count(sum(len(row.tokens) for row in batch) + sum(made.completion_tokens for made in made_all))
        return [
            Reply(row.index, made.model_copy(update={"prompt_tokens": len(row.tokens)}))
            for row, made in zip(batch, made_all, strict=True)
        ]


def _batches(rows: list[PromptRow], size: int) -> Iterator[list[PromptRow]]:
    """Rows with the same sampling and limit together, the longest prompts first."""

    def kind(row: PromptRow) -> tuple[float, float, int]:
        sampling = row.request.sampling
        return *sampling.drawn, row.limit

    for _, group in groupby(sorted(rows, key=lambda row: (kind(row), -len(row.tokens))), kind):
        alike = list(group)
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def _generate(lm: LocalModel, batch: list[PromptRow], name: str) -> list[Completion]:
    """Replies to a batch that shares sampling and limit, without the tokens of their prompts."""
    import torch
    from transformers import LogitsProcessorList

    ids, mask = pad_left([row.tokens for row in batch], lm.pad)
    length, limit, sampling = ids.shape[1], batch[0].limit, batch[0].request.sampling
    model: Any = lm.model
    processors = LogitsProcessorList()
    if sampling.drawn[0] > 0:
        processors.append(RowSampler(_seeds(batch, name), length, limit, sampling))
    with torch.inference_mode():
        output = model.generate(
            input_ids=ids.to(lm.device),
            attention_mask=mask.to(lm.device),
            max_new_tokens=limit,
            do_sample=False,
            num_beams=1,
            logits_processor=processors,
        )
    return [_decode(lm, tokens) for tokens in output[:, length:].tolist()]


def pad_left(prompts: Sequence[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and attention mask, both (n_prompts, longest) int64: replies begin where prompts end."""
    import torch

    width = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)


def _decode(lm: LocalModel, tokens: list[int]) -> Completion:
    """A reply up to its end token, which is counted but not shown; cut off where there is none."""
    config: Any = lm.model.generation_config
    end = next((at + 1 for at, token in enumerate(tokens) if token in config.eos_token_id), None)
    text = str(lm.tokenizer.decode(tokens[:end], skip_special_tokens=True))
    return Completion(
        text=whole_characters(text).strip(),
        finish_reason="length" if end is None else "stop",
        completion_tokens=len(tokens) if end is None else end,
    )


def _seeds(batch: list[PromptRow], name: str) -> list[int]:
    return [int.from_bytes(request_key(name, row.request)[:8], "big") for row in batch]


def _load(settings: LLMSettings, device: str) -> LocalModel:
    """Raises: TacosError naming the model and what to do."""
    from transformers import GenerationConfig

    lm = load_lm(settings.model, settings.dtype, settings.template, device)
    own = lm.model.generation_config
    known: Any = own.eos_token_id if own.eos_token_id is not None else lm.tokenizer.eos_token_id
    known = known if isinstance(known, list) else [] if known is None else [known]
    stops = [*known, *closing_token(lm.tokenizer)]
    make: Any = GenerationConfig  # untyped in transformers
    lm.model.generation_config = make(
        bos_token_id=own.bos_token_id, eos_token_id=list(dict.fromkeys(stops)), pad_token_id=lm.pad
    )
    return lm
