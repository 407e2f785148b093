"""The same questions asked once more: what a model says a second time, for test and retest.

A reply is kept under its question and the `repeat` index (`tacos.llm.request_key`), so the second asking is paid once,
too, and a run that was stopped goes on. At temperature 0 a server may say the same again; that is then the finding.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence

from tacos.llm.base import LLM, Reply, Request

REPEAT = 100
"""Added to `Request.repeat`; replies that cannot be read are asked again under indices below it."""


def asked_anew(request: Request) -> Request:
    return request.model_copy(update={"repeat": request.repeat + REPEAT})


class SecondAsking:
    """A model as it is, with every request under another repeat index."""

    def __init__(self, llm: LLM):
        self.llm = llm
        self.model, self.settings, self.retry_unread = llm.model, llm.settings, llm.retry_unread

    def stream(self, requests: Iterable[Request], total: int | None = None) -> AsyncGenerator[Reply, None]:
        return self.llm.stream(map(asked_anew, requests), total)

    def known(self, requests: Sequence[Request]) -> list[bool]:
        return self.llm.known([asked_anew(request) for request in requests])

    def forget(self, requests: Iterable[Request]) -> None:
        self.llm.forget(map(asked_anew, requests))
