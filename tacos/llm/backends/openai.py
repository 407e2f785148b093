"""Chat completions from any server that speaks OpenAI's protocol: OpenAI, vLLM, `transformers serve`, ...

Plain aiohttp: one session, `concurrency` requests in flight over one endpoint or several. A request is
tried again after 408, 5xx, time-outs, resets and replies without a message, after 0.5 s, 1 s, 2 s, ...
with jitter, or as Retry-After says. A 429 is waited out and sends fewer at a time. What still fails
becomes the row's error; a 400, such as a prompt that is too long, does so at once, and so does an error,
a refusal or a filter's work inside a 200 (`wire.py`, `call_errors.py`). What is sent stands in `outgoing.py`.

When one call after another comes to nothing, the run stops and says so (a circuit breaker).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import aiohttp

from tacos.errors import ConfigError, LLMError
from tacos.llm.backend import in_parallel
from tacos.llm.backends.call_errors import GATEWAY, CallError, Sender
from tacos.llm.backends.deadlines import Deadlines
from tacos.llm.backends.endpoints import Endpoint, Endpoints
from tacos.llm.backends.hints import certificate_hint
from tacos.llm.backends.network import Route, route_to, trusted
from tacos.llm.backends.outgoing import call_headers, call_url, request_body
from tacos.llm.backends.wire import read_reply
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.settings import LLMSettings
from tacos.store.fingerprint import named_by_content

CONNECT_TIMEOUT_S = 15.0
LOOK_TIMEOUT_S = 5.0
"""For the question whether a server is there."""
MAX_WAIT_S = 60.0
"""Longest wait of our own between two tries."""
HOPELESS = 20
"""At least so many calls must fail in a row before the run stops."""
_UNTRUSTED = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)
_UNREACHABLE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_BROKEN_OFF = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError, ConnectionError)


class OpenAIBackend:
    """POSTs to `<endpoint>/chat/completions`.

    api_key: sent as a bearer token, and blotted out of anything the server echoes in an error.
    backoff_s: the first wait between tries, in seconds; it doubles each time.
    sleep: how to wait; tests hand in one that does not.

    Raises: ConfigError for an endpoint that is no http(s) URL.
    """

    def __init__(
        self,
        settings: LLMSettings,
        api_key: str | None = None,
        backoff_s: float = 0.5,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        for endpoint in settings.endpoints or ("",):
            if not endpoint.startswith(("http://", "https://")):
                raise ConfigError(f"endpoint {endpoint!r} is not a URL; write http://... or https://...")
        self.model = named_by_content(settings.model)  # a folder served again after training is another model
        self.settings = settings
        self._key = (api_key or "").strip()
        self.backoff_s = backoff_s
        self.sleep = sleep
        self.answered = False
        """Whether a server was ever there; one that was is waited for when it goes away."""

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """See `Backend.stream`. Raises: LLMError when the servers are gone, or when nothing works."""
        async with new_session(self.settings, self._key) as session:
            calls = _Calls(self, session)
            replies = in_parallel(calls.ask, enumerate(requests), self.settings.concurrency)
            try:
                async for reply in replies:
                    yield reply
            finally:
                await replies.aclose()
                await calls.close()
                self.answered = self.answered or calls.endpoints.answered

    def body(self, request: Request) -> bytes:
        return request_body(self.settings, request)

    def wait_s(self, tries: int, after_s: float | None) -> float:
        """How long to wait after the given number of tries, from 1."""
        own = min(self.backoff_s * 2.0 ** min(tries - 1, 30), MAX_WAIT_S)
        own += random.uniform(0, self.backoff_s)
        # On top of Retry-After our own, up to a second, so that not all callers come back at once.
        return own if after_s is None else after_s + min(own, 1.0)

    def blot(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def blot_bytes(self, content: bytes) -> bytes:
        """A reply that echoes the key would carry it into the cache."""
        return content.replace(self._key.encode(), b"[key]") if self._key else content


class _Calls:
    """The calls of one `stream`: its session, its endpoints, and how many came to nothing in a row."""

    def __init__(self, backend: OpenAIBackend, session: aiohttp.ClientSession):
        self.backend = backend
        self.settings = backend.settings
        self.session = session
        self.endpoints = Endpoints(
            [url.rstrip("/") for url in self.settings.endpoints],
            concurrency=self.settings.concurrency,
            there=self._there,
            outage_s=self.settings.outage_s,
            backoff_s=backend.backoff_s,
            sleep=backend.sleep,
            answered=backend.answered,
        )
        self._targets = {e.url: _Target(e.url, backend) for e in self.endpoints.all}
        self.deadlines = Deadlines(self.settings.timeout_s)
        self._in_a_row = 0

    async def close(self) -> None:
        self.deadlines.close()
        await self.endpoints.close()

    async def ask(self, item: tuple[int, Request]) -> Reply:
        """One request with its retries; `item` is its index and itself.

        Raises: LLMError when it is time to stop.
        """
        index, request = item
        body = self.backend.body(request)
        failed: list[CallError] = []
        while isinstance(outcome := await self._once(body, request), CallError):
            failed.append(outcome)
            if not self._worth_another(failed):
                self._note_given_up(outcome)
                given_up = Completion(error=str(outcome), finish_reason=outcome.finish_reason)
                return Reply(index, _with_wasted(given_up, failed))
            outcome.waited_s = self.backend.wait_s(len(failed), outcome.after_s)
            await self.backend.sleep(outcome.waited_s)
        self._in_a_row = 0
        return Reply(index, _with_wasted(outcome, failed) if failed else outcome)

    def _worth_another(self, failed: Sequence[CallError]) -> bool:
        """A 429 is no try while there is patience left: the server would answer if fewer asked."""
        limited = [failure for failure in failed if failure.limited]
        patient = sum(failure.waited_s for failure in limited) < self.settings.outage_s
        tries = len(failed) - len(limited) if patient else len(failed)
        return failed[-1].again and tries < self.settings.max_attempts

    async def _once(self, body: bytes, request: Request) -> Completion | CallError:
        """One try at the endpoint whose turn it is. Raises: LLMError when none is there."""
        endpoint = await self.endpoints.take()
        sent_at = time.monotonic()
        try:
            completion = await self._post(endpoint, body, request)
        except CallError as failure:
            self.endpoints.failed(endpoint, failure, sent_at)
            return failure
        self.endpoints.succeeded(endpoint)
        return completion

    async def _post(self, endpoint: Endpoint, body: bytes, request: Request) -> Completion:
        """Raises: CallError."""
        blot, sender = self.backend.blot, self._targets[endpoint.url].sender
        try:
            status, headers, content = await self.deadlines.within(self._exchange(endpoint, body))
        except _UNTRUSTED as error:
            reason = f"no secure connection to {endpoint.url}: {error} ({certificate_hint(str(error))})"
            raise CallError(blot(reason), again=False) from None
        except aiohttp.ClientHttpProxyError as error:
            reason = f"the proxy refuses the connection: HTTP {error.status} {error.message}"
            raise CallError(
                blot(f"{reason} (check HTTPS_PROXY and NO_PROXY)"), again=error.status >= 500
            ) from None
        except _UNREACHABLE as error:
            raise CallError(blot(f"cannot connect: {error}"), again=True, gone=True) from None
        except TimeoutError:
            raise CallError(f"no answer within {self.settings.timeout_s:g} s", again=True) from None
        except _BROKEN_OFF as error:
            reason = f"connection lost: {str(error) or type(error).__name__}"
            raise CallError(blot(reason), again=True) from None
        except aiohttp.ClientError as error:
            raise CallError(blot(f"{type(error).__name__}: {error}"), again=False) from None
        if status == 200:
            return read_reply(self.backend.blot_bytes(content), request, sender)
        raise sender.failure(status, headers, content)

    async def _exchange(self, endpoint: Endpoint, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer."""
        target = self._targets[endpoint.url]
        async with self.session.post(
            target.url, data=body, allow_redirects=False, **target.proxied
        ) as response:
            return response.status, response.headers, await response.read()

    async def _there(self, url: str) -> bool:
        """Whether anything answers; which model it has, and whether it likes the key, the calls will show."""
        timeout, target = aiohttp.ClientTimeout(total=LOOK_TIMEOUT_S), self._targets[url]
        try:
            async with self.session.get(
                target.models, timeout=timeout, allow_redirects=False, **target.proxied
            ) as response:
                return response.status not in GATEWAY
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _note_given_up(self, failure: CallError) -> None:
        """Raises: LLMError at the end of a long row of calls that came to nothing, whatever was asked."""
        if failure.of_the_row or self.settings.max_failed_share == 1:
            return
        self._in_a_row += 1
        if self._in_a_row >= max(HOPELESS, 2 * self.settings.concurrency):
            raise LLMError(
                f"{self.settings.model}: {self._in_a_row:,} calls in a row failed, the last with: {failure}; "
                "fix the cause and run again: the replies so far are kept in the cache"
            )


def new_session(settings: LLMSettings, key: str, total_s: float | None = None) -> aiohttp.ClientSession:
    """key: "" for none. total_s: for a call; None where `timeout_s` is kept by `Deadlines`.

    Raises: ConfigError for certificates that cannot be read.
    """
    secure = any(url.startswith("https://") for url in settings.endpoints)
    return aiohttp.ClientSession(
        headers=call_headers(settings, key),
        connector=aiohttp.TCPConnector(  # `concurrency` is the limit
            limit=0, ssl=trusted(os.environ) if secure else True
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=min(CONNECT_TIMEOUT_S, settings.timeout_s)),
    )


class _Target:
    """Where the calls to one endpoint go, and how they get there."""

    def __init__(self, endpoint: str, backend: OpenAIBackend):
        settings = backend.settings
        self.url = call_url(endpoint, "/chat/completions", settings)
        self.models = call_url(endpoint, "/models", settings)
        self.proxied = proxied(route_to(self.url))
        self.sender = Sender(backend.blot, settings.key_source, endpoint, settings.outage_s)


def proxied(route: Route) -> dict[str, Any]:
    """The arguments that send a request by way of a proxy."""
    if route.proxy is None:
        return {}
    known = aiohttp.BasicAuth(route.user, route.password or "") if route.user else None
    return {"proxy": route.proxy, "proxy_auth": known}


def _with_wasted(completion: Completion, failed: Sequence[CallError]) -> Completion:
    """With the tokens of replies that were billed and could not be used."""
    sent, got = (sum(failure.usage[side] for failure in failed) for side in (0, 1))
    if not sent and not got:
        return completion
    tokens = {
        "prompt_tokens": completion.prompt_tokens + sent,
        "completion_tokens": completion.completion_tokens + got,
    }
    return completion.model_copy(update=tokens)
