"""What a backend gives the client: replies one by one, as they arrive.

A backend pulls its requests from an iterator when it is ready to send the next one, so whoever hands
in the iterator decides what goes out (`client.CachedLLM` ends it at the spend cap), and every reply
can be stored the moment it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from tacos.llm.base import Reply, Request

T = TypeVar("T")
R = TypeVar("R")


class Backend(Protocol):
    """Where answers come from. `model` names the weights in cache keys and reports."""

    model: str

    def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """One reply per pulled request, in the order they arrive; a row that fails carries its error.

        Raises: LLMError when nothing can be asked at all (server down, model cannot be loaded).
        """
        ...


async def in_parallel(
    work: Callable[[T], Awaitable[R]], items: Iterable[T], limit: int
) -> AsyncGenerator[R, None]:
    """Results of `work`, as they are ready, with at most `limit` at a time; items are pulled lazily.

    Whoever did a piece of work pulls the next item only after the result was dealt with, so no more than
    `limit` items are out of hand at any time: a reply that is stored by the receiver cannot be followed by
    another call before, and a slow receiver holds the work up instead of filling memory.

    The first exception of `work` ends the stream, after the results that came before it.
    """
    source = iter(items)
    loop = asyncio.get_running_loop()
    results: asyncio.Queue[tuple[R, asyncio.Future[None]] | None] = asyncio.Queue()

    async def worker() -> None:
        for item in source:  # shared by all workers: each pull hands out the next item
            result, dealt_with = await work(item), loop.create_future()
            results.put_nowait((result, dealt_with))
            await dealt_with

    workers = [asyncio.create_task(worker()) for _ in range(limit)]
    finished = asyncio.gather(*workers)  # done when all are, or with the first exception
    finished.add_done_callback(lambda _: results.put_nowait(None))
    try:
        while (entry := await results.get()) is not None:
            yield entry[0]
            entry[1].set_result(None)
        await finished
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, finished, return_exceptions=True)


def count_tokens(text: str) -> int:
    """Rough tokens in `text`: a quarter of its UTF-8 bytes, which is characters / 4 for English and
    stays near the truth for scripts that take a token per character."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return -(-size // 4)


def prompt_tokens(request: Request) -> int:
    """Rough tokens of the whole prompt."""
    return sum(count_tokens(message.content) + 4 for message in request.messages)  # 4: the role markers
