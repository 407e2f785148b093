"""vLLM in this process: no server to start, and the engine is never idle while there is work.

Prompts are laid out as by `tacos.llm.backends.transformers` (`prompts.py`), which gives the same greedy replies on
the same weights. The engine is fed continuously: up to twice as many requests as it runs at once are in it, a new one
is taken for each that is answered, and each reply goes to the cache at once, so a killed run loses only those.

    max_num_seqs 256, 52,000 requests: 512 are taken; a reply arrives and is stored; request 513 is taken; ...

`LLM.chat` on blocks would wait for the longest reply of each. Measured 2026-11-21 with a tiny model on a CPU, 1,000
requests of 57 tokens on average and 308 at most, 32 at once, median of 3: 221 requests/s, against 129 in blocks of
64 and 175 in blocks of 256.

Shared beginnings of prompts are computed once (prefix caching), so requests in the order of their clusters gain.
Above temperature 0 each request draws from its own seed (of the question and its repeat), in vLLM's own
generator: other draws than the transformers backend's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import ExitStack
from itertools import chain
from typing import Any, TypeVar

from tacos.errors import LLMError, first_line
from tacos.llm.backends.engine import import_vllm, lent_engine, lora_request, tokenizer_source
from tacos.llm.backends.prompts import PromptRow, Prompts, closing_token
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.reasoning import answer_start
from tacos.llm.request_key import request_key
from tacos.llm.settings import LLMSettings
from tacos.models.local import load_tokenizer
from tacos.text import whole_characters

T = TypeVar("T")
AHEAD = 2
"""Requests in the engine, as a multiple of those it runs at once, so that one is always waiting."""
SEEDS = 2**63
"""vLLM keeps seeds in signed 64 bits."""


class VLLMBackend:
    """Starts the engine on the first request, or joins the one that runs (`tacos.llm.backends.engine`).

    A JSON schema is enforced where `settings.structured`; `settings.concurrency` is not used.
    """

    def __init__(self, settings: LLMSettings):
        self.settings = settings
        self.model = settings.named()
        self._tokenizer: Any = None

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """See `Backend.stream`.

        Raises: ConfigError where vLLM is not installed; LLMError when the engine does not start, or dies.
        """
        source = enumerate(requests)
        first = next(source, None)
        if first is None:
            return
        with ExitStack() as stack:
            running = await _in_thread(lambda: self._borrow_engine(stack))
            for index, request in chain([first], source):
                if refused := running.add(index, request):
                    yield refused
                while running.full:
                    for reply in await _in_thread(running.step):
                        yield reply
            while running.rows:
                for reply in await _in_thread(running.step):
                    yield reply
            running.prompts.say()

    def _borrow_engine(self, stack: ExitStack) -> _Running:
        """Borrow the engine for as long as the stack is open."""
        chosen = self.settings.engine
        llm = stack.enter_context(lent_engine(self.settings.model, self.settings.dtype, chosen))
        if self._tokenizer is None:
            source = tokenizer_source(self.settings.model, chosen)
            self._tokenizer = load_tokenizer(source, self.settings.template)
        running = _Running(llm, self._tokenizer, self)
        stack.callback(running.abort)
        return running


async def _in_thread(work: Callable[[], T]) -> T:
    """`asyncio.to_thread`, but a cancelled caller waits for the thread: an engine cannot be left half-way."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class _Running:
    """Requests in the engine during one `stream`. rows: request id -> its row."""

    def __init__(self, llm: Any, tokenizer: Any, backend: VLLMBackend):
        self.engine = llm.llm_engine
        self.backend = backend
        self.stops = closing_token(tokenizer)
        self.lora = lora_request(backend.settings.engine)
        context = int(self.engine.model_config.max_model_len)
        self.prompts = Prompts(tokenizer, backend.settings, context)
        self.limit = AHEAD * int(self.engine.vllm_config.scheduler_config.max_num_seqs)
        self.rows: dict[str, PromptRow] = {}

    @property
    def full(self) -> bool:
        return len(self.rows) >= self.limit

    def add(self, index: int, request: Request) -> Reply | None:
        """Hand one to the engine; a reply at once for one that it refuses."""
        row = self.prompts.row(index, request)
        if isinstance(row, Reply):
            return row
        name = f"tacos-{id(self)}-{index}"
        prompt = {"type": "token", "prompt_token_ids": row.tokens}  # as vLLM's own renderer gives it
        try:
            self.engine.add_request(name, prompt, self._sampling(row), lora_request=self.lora)
        except Exception as error:  # a schema that its grammar does not know, above all
            _raise_if_dead(error)
            return Reply(index, Completion(error=f"vLLM refuses the request: {first_line(error)}"))
        self.rows[name] = row
        return None

    def step(self) -> list[Reply]:
        """One step of the engine; the replies that it finished. Raises: LLMError when it is broken."""
        try:
            outputs = self.engine.step()
        except Exception as error:
            self.rows.clear()
            raise _dead(error) from error
        done = [output for output in outputs if output.finished and output.request_id in self.rows]
        return [read_output(self.rows.pop(output.request_id), output) for output in done]

    def abort(self) -> None:
        """Take what is left out of the engine, when nobody waits for it any more."""
        if self.rows:
            self.engine.abort_request(list(self.rows))
            self.rows.clear()

    def _sampling(self, row: PromptRow) -> Any:
        """The request says all: the model's own generation settings (top-k, repetition penalty) are not used."""
        vllm = import_vllm()
        kinds = vllm.sampling_params
        request, sampling = row.request, row.request.sampling
        schema = request.json_schema if self.backend.settings.structured else None
        temperature, top_p = sampling.drawn
        drawn = temperature > 0  # a greedy request has no seed: it would cost a generator for nothing
        return vllm.SamplingParams(
            temperature=temperature,
            top_p=top_p if drawn else 1.0,
            max_tokens=row.limit,
            stop_token_ids=self.stops,
            seed=row_seed(self.backend.model, request) if drawn else None,
            logprobs=request.top_logprobs,
            structured_outputs=None if schema is None else kinds.StructuredOutputsParams(json=schema),
            output_kind=kinds.RequestOutputKind.FINAL_ONLY,
        )


def row_seed(model: str, request: Request) -> int:
    """0 to 2**63 - 1, of the question and its repeat."""
    return int.from_bytes(request_key(model, request)[:8], "big") % SEEDS


def read_output(row: PromptRow, output: Any) -> Reply:
    """vLLM's `RequestOutput` as a reply."""
    said = output.outputs[0]
    if said.finish_reason in ("abort", "error"):
        return Reply(row.index, Completion(error=f"vLLM gave the request up ({said.finish_reason})"))
    wanted = row.request.top_logprobs
    return Reply(
        row.index,
        Completion(
            text=whole_characters(said.text).strip(),
            finish_reason=said.finish_reason,
            prompt_tokens=len(row.tokens),
            completion_tokens=len(said.token_ids),
            logprobs=None if wanted is None else answer_logprobs(said, wanted),
        ),
    )


def answer_logprobs(said: Any, wanted: int) -> dict[str, float] | None:
    """Token -> log-probability at the answer's first place, the `wanted` likeliest.

    vLLM adds the token that was drawn when it is none of them; that one is left out.
    """
    places = said.logprobs or []
    drawn = [place.get(token) for place, token in zip(places, said.token_ids, strict=False)]
    start = answer_start([(entry and entry.decoded_token) or "" for entry in drawn], said.text)
    if start is None:
        return None
    table: dict[str, float] = {}
    for entry in sorted(places[start].values(), key=lambda entry: entry.rank):
        if entry.rank <= wanted:  # half characters share a text; the likelier comes first
            table.setdefault(whole_characters(entry.decoded_token or ""), float(entry.logprob))
    return table or None


def _raise_if_dead(error: Exception) -> None:
    """A broken engine refuses every request, which is no row's fault."""
    if type(error).__name__ == "EngineDeadError":
        raise _dead(error) from error


def _dead(error: Exception) -> LLMError:
    return LLMError(
        f"the vLLM engine stopped working ({first_line(error)}); its log above says why. Replies so far are kept in "
        "the cache: run again, with a lower engine.max_model_len or engine.max_num_seqs where memory ran out"
    )
