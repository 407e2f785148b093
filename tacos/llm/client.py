"""The client every stage talks to: cache, ledger, spend cap and progress around any backend.

Known replies come from the cache. The rest go to the backend, each question once and as far as the cap
allows, and every reply enters cache and ledger as it arrives.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacos.errors import ConfigError, LLMError, SpendCapError
from tacos.llm.backend import Backend
from tacos.llm.base import LLM, Completion, LLMSettings, Request
from tacos.llm.cache import ReplyCache, request_key
from tacos.llm.spend import SpendGate, estimate_usage
from tacos.tracking import Ledger, Usage

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["CachedLLM", "build_llm", "complete", "estimate_usage"]

HOPELESS = 20
"""Give up when this many calls failed and none was answered."""


class CachedLLM:
    """An `LLM` over a backend; made by `build_llm`, or by hand with a scripted backend in tests.

    cache: None asks everything anew.
    progress: draw a bar on stderr.
    """

    def __init__(
        self,
        backend: Backend,
        cache: ReplyCache | None,
        ledger: Ledger,
        settings: LLMSettings,
        progress: bool = False,
    ):
        self.model = backend.model
        self.backend = backend
        self.cache = cache
        self.ledger = ledger
        self.settings = settings
        self.progress = progress
        self._gate = SpendGate(settings)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answers in the order of `requests`; a row that fails carries its error.

        Equal requests are asked once; all rows but the first come back marked `cached`.

        Raises: LLMError when the endpoint cannot be reached or more than `max_failed_share` of the
            distinct requests failed (a single failure among several is let pass); SpendCapError when
            the next call could exceed a cap. Replies that arrived before are in the cache, so running
            again continues.
        """
        keys = [request_key(self.model, r, self.settings.structured) for r in requests]
        known = self.cache.get(keys) if self.cache else {}
        wanted = {key: r for key, r in zip(keys, requests, strict=True) if key not in known}
        replayed = sum((self.settings.used(reply) for reply in known.values()), Usage())
        self.ledger.add(replayed + Usage(cached_calls=len(requests) - len(wanted) - len(known)))
        self._gate.count(known)
        fresh = await self._ask(wanted, len(set(keys))) if wanted else {}
        return _in_order(keys, known, fresh)

    async def _ask(self, wanted: Mapping[bytes, Request], distinct: int) -> dict[bytes, Completion]:
        """Send in waves: one wave normally; more when the cap holds calls back until others settle."""
        run = _Run(wanted, distinct, self.settings.max_failed_share)
        with _progress_bar(self.progress) as bar:
            task = bar.add_task(self.model, total=distinct, completed=distinct - len(wanted))
            while run.queue and not run.hopeless:
                if not await self._wave(run, lambda: bar.advance(task)):
                    raise SpendCapError(self._cap_message(len(run.queue)))
        if run.hopeless:
            raise LLMError(self._failed_message(run))
        return run.answers

    async def _wave(self, run: _Run, on_reply: Any) -> int:
        """Everything the gate lets out now; returns how many calls that was."""
        sent: list[bytes] = []

        def admitted() -> Iterator[Request]:
            while run.queue and not run.hopeless and self._gate.admit(run.wanted[run.queue[0]]):
                sent.append(run.queue.popleft())
                yield run.wanted[sent[-1]]

        try:
            async with aclosing(self.backend.stream(admitted())) as replies:
                async for reply in replies:
                    key = sent[reply.index]
                    self._keep(key, run.wanted[key], reply.completion)
                    run.record(key, reply.completion)
                    on_reply()
        finally:
            self._gate.release()
        return len(sent)

    def _keep(self, key: bytes, request: Request, completion: Completion) -> None:
        self.ledger.add(self._gate.settle(key, request, completion))
        if self.cache and completion.text is not None:
            self.cache.put(key, completion)

    def _cap_message(self, left: int) -> str:
        return (
            f"{self.model}: the spend cap is reached, {self._gate.describe()} spent and {left:,} calls left; "
            "raise the cap or ask for less, and run again: the replies so far are kept in the cache"
        )

    def _failed_message(self, run: _Run) -> str:
        error, count = run.errors.most_common(1)[0]
        failed = sum(run.errors.values())
        done = failed + run.answered
        return (
            f"{self.model}: {failed:,} of {done:,} calls failed, {len(run.queue):,} not sent "
            f"(max_failed_share={self.settings.max_failed_share:g}); most often ({count:,}): {error}; "
            "fix the cause and run again: the replies so far are kept in the cache"
        )


class _Run:
    """The state of one `complete` call: what is still to send, what came back."""

    def __init__(self, wanted: Mapping[bytes, Request], distinct: int, max_failed_share: float):
        self.wanted = wanted
        self.queue = deque(wanted)
        self.answers: dict[bytes, Completion] = {}
        self.errors: Counter[str] = Counter()
        # One bad row of a small call is no reason to stop: running again would stop there for ever.
        spare = 1.0 if max_failed_share > 0 and distinct > 1 else 0.0
        self._allowed = max(max_failed_share * distinct, spare)

    def record(self, key: bytes, completion: Completion) -> None:
        self.answers[key] = completion
        if completion.text is None:
            self.errors[completion.error or "no reason given"] += 1

    @property
    def answered(self) -> int:
        return len(self.answers) - sum(self.errors.values())

    @property
    def hopeless(self) -> bool:
        """Sending more would be wrong: the allowed share is used up, or nothing works at all."""
        failed = sum(self.errors.values())
        nothing_works = failed >= HOPELESS and self.answered == 0 and self._allowed < len(self.wanted)
        return failed > self._allowed or nothing_works


def _in_order(
    keys: Sequence[bytes], known: Mapping[bytes, Completion], fresh: Mapping[bytes, Completion]
) -> list[Completion]:
    """One completion per key. A repeated fresh answer was paid once, so its later rows are `cached`."""
    rows, seen = [], set(known)
    for key in keys:
        completion = known[key] if key in known else fresh[key]
        if key in seen and not completion.cached:
            completion = completion.model_copy(update={"cached": True})
        seen.add(key)
        rows.append(completion)
    return rows


def _progress_bar(show: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not show)


def complete(llm: LLM, requests: Sequence[Request]) -> list[Completion]:
    """`llm.complete` for code that is not async; works inside a running event loop (a notebook) too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(llm.complete(requests))
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, llm.complete(requests)).result()


def build_llm(
    settings: LLMSettings, ledger: Ledger, cache_path: Path | None, device: str = "auto"
) -> CachedLLM:
    """The client for `settings`. Nothing is loaded or contacted before the first request.

    The API key is read here, from the environment variable that `settings.api_key_env` names.

    Raises: ConfigError for settings that cannot work; TacosError when the cache cannot be written.
    """
    prices = (settings.price_per_million_input, settings.price_per_million_output)
    if settings.max_cost_usd is not None and None in prices:
        raise ConfigError(
            f"max_cost_usd of {settings.model!r} needs price_per_million_input and "
            "price_per_million_output; set both, or cap tokens with max_tokens_total"
        )
    backend = _backend(settings, device)
    cache = ReplyCache(cache_path) if cache_path else None
    return CachedLLM(backend, cache, ledger, settings, progress=sys.stderr.isatty())


def _backend(settings: LLMSettings, device: str) -> Backend:
    if settings.backend == "openai":
        from tacos.llm.openai import OpenAIBackend

        return OpenAIBackend(settings, api_key=os.environ.get(settings.api_key_env))
    if settings.backend == "transformers":
        from tacos.llm.transformers import TransformersBackend

        return TransformersBackend(settings.model, batch_size=settings.concurrency, device=device)
    raise ConfigError(
        f"backend {settings.backend!r} is made in code, for tests; use 'openai' or 'transformers'"
    )
