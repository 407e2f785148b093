"""A transformers model in this process, for a laptop or a GPU node without a server.

Prompts are laid out by the tokenizer's chat template. A tokenizer without one gets `PLAIN`, which a
base model can follow:

    ### System:
    ...

    ### User:
    ...

    ### Assistant:

Requests are sorted by length and answered in batches, the longest first, so that memory runs out at
once if at all. Temperature 0 is greedy; otherwise each row draws from its own seed (`sampling.py`).
The model's own generation settings (repetition penalty, top-k) are not used: the request says all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from threading import Lock
from typing import Any

from tacos.llm.backend import clean_text
from tacos.llm.backends.sampling import RowSampler
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.cache import request_key
from tacos.models.device import pick_device
from tacos.models.local import load_tokenizer, placed, weights
from tacos.store.fingerprint import named_by_content
from tacos.types import Message

AHEAD = 64
"""Batches that are sorted by length together; the requests beyond are not held yet."""
PLAIN = "### {role}:\n{content}\n\n"


class TransformersBackend:
    """Loads on the first request, and works in a thread so that the event loop stays free.

    model: hub id or local folder; a folder is named by its content too, because a model trained again
        in the same place must not be given the old one's cached replies.
    batch_size: most requests at a time.
    device: "auto" takes CUDA, then Apple's MPS, then the CPU.
    dtype: "auto" is that of the files, or float32 where the device would have to emulate it.
    """

    def __init__(self, model: str, batch_size: int = 32, device: str = "auto", dtype: str = "auto"):
        self.source = model
        self.model = named_by_content(model)
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self._loaded: tuple[Any, Any] | None = None
        self._lock = Lock()

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """See `Backend.stream`. Raises: TacosError when the model cannot be loaded."""
        source = enumerate(requests)
        while block := list(islice(source, AHEAD * self.batch_size)):
            model, tokenizer = await asyncio.to_thread(self._load)
            context = getattr(model.config, "max_position_embeddings", None) or 10**9
            rows: list[Row] = []
            for index, request in block:
                row = encode_request(tokenizer, context, index, request)
                if isinstance(row, Reply):
                    yield row
                else:
                    rows.append(row)
            for batch in _batches(rows, self.batch_size):
                for reply in await asyncio.to_thread(self._answer, batch):
                    yield reply

    def _load(self) -> tuple[Any, Any]:
        """(model, tokenizer), loaded once."""
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self.source, pick_device(self.device), self.dtype)
            return self._loaded

    def _answer(self, batch: list[Row]) -> list[Reply]:
        try:
            texts = _generate(*self._load(), batch, self.model)
        except Exception as error:  # out of memory, a kernel's refusal: these rows fail, the rest go on
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            return [Reply(row.index, Completion(error=reason)) for row in batch]
        return [
            Reply(row.index, Completion(text=text, prompt_tokens=len(row.tokens), completion_tokens=count))
            for row, (text, count) in zip(batch, texts, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Row:
    """A request made ready. `limit`: tokens it may generate, by its settings and the context left."""

    index: int
    request: Request
    tokens: list[int]
    limit: int


def lay_out(tokenizer: Any, messages: Iterable[Message]) -> tuple[str, bool]:
    """The prompt as text, and whether the tokenizer shall add its special tokens itself."""
    turns = [m.model_dump() for m in messages]
    if tokenizer.chat_template:
        return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True), False
    shown = (PLAIN.format(role=turn["role"].title(), content=turn["content"]) for turn in turns)
    return "".join(shown) + "### Assistant:\n", True


def encode_request(tokenizer: Any, context: int, index: int, request: Request) -> Row | Reply:
    """The row, or the reply that says why it cannot be asked; nothing is cut off in silence.

    context: tokens that the model can hold, prompt and reply together.
    """
    try:
        text, special = lay_out(tokenizer, request.messages)
    except Exception as error:  # templates raise jinja errors for roles they do not know
        return Reply(index, Completion(error=f"the chat template refuses the messages: {error}"))
    tokens = tokenizer(text, add_special_tokens=special)["input_ids"]
    room = context - len(tokens)
    if room < 1 or not tokens:
        reason = f"the prompt is {len(tokens)} tokens; the model's context is {context}"
        return Reply(index, Completion(error=reason))
    return Row(index, request, tokens, min(request.sampling.max_tokens, room))


def _batches(rows: list[Row], size: int) -> Iterator[list[Row]]:
    """Rows with the same sampling and limit together, the longest prompts first."""

    def kind(row: Row) -> tuple[float, float, int]:
        sampling = row.request.sampling
        return sampling.temperature, sampling.top_p, row.limit

    for _, group in groupby(sorted(rows, key=lambda row: (kind(row), -len(row.tokens))), kind):
        alike = list(group)
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def _generate(model: Any, tokenizer: Any, batch: list[Row], name: str) -> list[tuple[str, int]]:
    """(text, generated tokens) per row of a batch that shares sampling and limit."""
    import torch
    from transformers import LogitsProcessorList

    inputs = tokenizer.pad({"input_ids": [row.tokens for row in batch]}, return_tensors="pt").to(model.device)
    length, limit, sampling = inputs["input_ids"].shape[1], batch[0].limit, batch[0].request.sampling
    processors = LogitsProcessorList()
    if sampling.temperature > 0:
        processors.append(RowSampler(_seeds(batch, name), length, limit, sampling))
    with torch.inference_mode():
        output = model.generate(
            **inputs, max_new_tokens=limit, do_sample=False, num_beams=1, logits_processor=processors
        )
    return [_decode(tokenizer, model, tokens) for tokens in output[:, length:].tolist()]


def _decode(tokenizer: Any, model: Any, tokens: list[int]) -> tuple[str, int]:
    """Text and length of a reply up to its end token, which is counted but not shown."""
    stops = model.generation_config.eos_token_id
    stops = set(stops if isinstance(stops, list) else [stops])
    count = next((at + 1 for at, token in enumerate(tokens) if token in stops), len(tokens))
    text = tokenizer.decode(tokens[:count], skip_special_tokens=True)
    return clean_text(text).strip(), count


def _seeds(batch: list[Row], name: str) -> list[int]:
    return [int.from_bytes(request_key(name, row.request)[:8], "big") for row in batch]


def _load(source: str, device: str, dtype: str) -> tuple[Any, Any]:
    """Raises: TacosError naming the model and what to do."""
    from transformers import GenerationConfig

    tokenizer: Any = load_tokenizer(source)
    tokenizer.padding_side = "left"
    model: Any = placed(weights("causal", source, dtype=dtype), dtype, device)
    own = model.generation_config
    eos = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    make: Any = GenerationConfig  # untyped in transformers
    model.generation_config = make(
        bos_token_id=own.bos_token_id, eos_token_id=eos, pad_token_id=tokenizer.pad_token_id
    )
    return model, tokenizer
