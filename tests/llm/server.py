"""A chat-completions server that fails on purpose, on 127.0.0.1 and a free port, in a thread.

What it does is set by `plan`: (content of the last message, how often it was asked, from 1) -> Fault.
It counts every request by content, so tests can say what was asked twice.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any

from aiohttp import web


class Fault(StrEnum):
    """What happens to one request."""

    OK = "ok"
    LIMITED = "429"
    LIMITED_AFTER = "429 with Retry-After"
    BROKEN = "500"
    UNAVAILABLE = "503"
    REFUSED = "400"
    TOO_LONG = "400, as vLLM says that a prompt is too long"
    BROKE = "429, as OpenAI says that there is no money left"
    UNAUTHORISED = "401, echoing the key"
    SILENT = "no answer in time"
    RESET = "connection reset"
    GARBAGE = "200 with a body that is not JSON"
    EMPTY = "200 with no choices"
    NOTHING = "200 with no body"
    TRUNCATED = "200 with half of the body it announced"


Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
"""Status, body (bytes as they are, else JSON), headers."""
RETRY_AFTER_S = 7
Plan = Callable[[str, int], Fault]


def always_ok(content: str, times: int) -> Fault:
    return Fault.OK


class FaultServer:
    """Use as a context manager. Answers "echo: <content>", or what `answer` makes of the content; 10 prompt
    and 5 completion tokens each."""

    def __init__(
        self,
        plan: Plan = always_ok,
        delay_s: float = 0.0,
        answer: Callable[[str], str] = "echo: {}".format,
        port: int = 0,
    ):
        self.port = port
        self.plan = plan
        self.answer = answer
        self.delay_s = delay_s
        self.asked: Counter[str] = Counter()
        """Requests by content of their last message."""
        self.answered: Counter[str] = Counter()
        """Requests that got an OK."""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.respond: Callable[[dict[str, Any], int], Answer] | None = None
        """(request, how often its content was asked, from 1) -> what is sent instead of all else."""
        self.capacity: int | None = None
        """More calls than this at a time are answered 429."""
        self.usage = dict(_USAGE)
        """Tokens that a call is charged with."""
        self.gone = False
        """Answer everything 503, as a proxy does whose server is gone."""
        self.on_hit: Callable[[int], None] = lambda count: None
        """Called, in the server's thread, with the number of requests so far."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def hits(self) -> int:
        return self.asked.total()

    @property
    def charged(self) -> int:
        """Tokens of everything that was answered, whether somebody still listened or not."""
        return self.answered.total() * sum(self.usage.values())

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> FaultServer:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._handle)
        app.router.add_get("/v1/models", self._list_models)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        content = body["messages"][-1]["content"]
        self.asked[content] += 1
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.on_hit(self.hits)
        times = self.asked[content]
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.respond is not None:
            self.in_flight -= 1
            return _response(self.respond(body, times))
        crowded = self.capacity is not None and self.in_flight > self.capacity
        try:
            await asyncio.sleep(0 if crowded else self.delay_s)
            fault = Fault.LIMITED if crowded else self.plan(content, times)
            fault = Fault.UNAVAILABLE if self.gone else fault
            if fault is Fault.OK:
                self.answered[content] += 1
            return await self._act(fault, content, request)
        finally:
            self.in_flight -= 1

    async def _list_models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": []}, status=503 if self.gone else 200)

    async def _act(self, fault: Fault, content: str, request: web.Request) -> web.StreamResponse:
        match fault:
            case Fault.LIMITED:
                return web.json_response({"error": {"message": "slow down"}}, status=429)
            case Fault.LIMITED_AFTER:
                headers = {"Retry-After": str(RETRY_AFTER_S)}
                return web.json_response({"error": {"message": "slow down"}}, status=429, headers=headers)
            case Fault.BROKEN:
                return web.Response(status=500, text="<html>oops</html>")
            case Fault.UNAVAILABLE:
                return web.Response(status=503, text="no upstream")
            case Fault.TOO_LONG:
                text = "This model's maximum context length is 4096 tokens. However, you requested 9000."
                return web.json_response({"error": {"message": text, "code": 400}}, status=400)
            case Fault.BROKE:
                error = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
                return web.json_response({"error": error}, status=429)
            case Fault.REFUSED:
                return web.json_response({"error": {"message": "content refused"}}, status=400)
            case Fault.UNAUTHORISED:
                sent = request.headers.get("Authorization", "")
                return web.json_response({"error": {"message": f"bad key: {sent}"}}, status=401)
            case Fault.SILENT:
                await asyncio.sleep(3600)
            case Fault.RESET:
                assert request.transport is not None
                request.transport.abort()
            case Fault.GARBAGE:
                return web.Response(text='{"choices": [{"mess', content_type="application/json")
            case Fault.NOTHING:
                return web.Response(body=b"")
            case Fault.TRUNCATED:
                return await self._half(request)
            case Fault.EMPTY:
                return web.json_response({"choices": [], "usage": self.usage})
        message = {"role": "assistant", "content": self.answer(content)}
        return web.json_response({"choices": [{"index": 0, "message": message}], "usage": self.usage})

    async def _half(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"choices": [{"message": {"content": "echo')
        assert request.transport is not None
        request.transport.abort()
        return response


def _response(answer: Answer) -> web.Response:
    status, body, headers = (*answer, {})[:3]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.Response(status=status, body=content, headers=headers, content_type="application/json")


def reply(text: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion. more: further fields of the choice, or of the message under `message`."""
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish, **more}], "usage": _USAGE}


_USAGE = {"prompt_tokens": 10, "completion_tokens": 5}


def dead_port() -> int:
    """A port on 127.0.0.1 where nobody listens, and which the system gives nobody who asks for any free one: tests
    beside this one do."""
    while True:
        port = random.SystemRandom().randrange(10_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
