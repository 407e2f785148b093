"""Chat completions from any server that speaks OpenAI's protocol: OpenAI, vLLM, `transformers serve`, ...

Plain aiohttp: one session, `concurrency` requests in flight. A request is tried again after 408, 429,
5xx, time-outs, resets and replies without a message, waiting as Retry-After says or else
exponentially longer with jitter. What still fails becomes the row's error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from tacos.errors import ConfigError, LLMError
from tacos.llm.backend import Reply, count_tokens, in_parallel, prompt_tokens
from tacos.llm.base import Completion, LLMSettings, Request
from tacos.store.fingerprint import named_by_content

CONNECT_TIMEOUT_S = 15.0
MAX_WAIT_S = 60.0
"""Longest wait of our own; a server's Retry-After is honoured up to MAX_RETRY_AFTER_S."""
MAX_RETRY_AFTER_S = 300.0
_UNREACHABLE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_BROKEN_OFF = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError, ConnectionError)


class CallError(Exception):
    """One try that brought no usable reply.

    again: whether trying again can help. after_s: the server's Retry-After.
    reached: whether a server was there. usage: (prompt, completion) tokens it billed all the same.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool,
        after_s: float | None = None,
        reached: bool = True,
        usage: tuple[int, int] = (0, 0),
    ):
        super().__init__(reason)
        self.again = again
        self.after_s = after_s
        self.reached = reached
        self.usage = usage


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
        if not settings.endpoint.startswith(("http://", "https://")):
            raise ConfigError(f"endpoint {settings.endpoint!r} is no URL; write http://... or https://...")
        self.model = named_by_content(settings.model)  # a folder served again after training is another model
        self.settings = settings
        self.url = settings.endpoint.rstrip("/") + "/chat/completions"
        self._key = (api_key or "").strip()
        self._wait = wait_exponential(backoff_s, max=MAX_WAIT_S) + wait_random(0, backoff_s)
        self._sleep = sleep
        self._unreachable: int | None = None
        """Requests given up in a row without reaching the server; None until it has answered once."""

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """See `Backend.stream`. Raises: LLMError when the server is down."""
        self._unreachable = None
        async with self._session() as session:

            async def ask(item: tuple[int, Request]) -> Reply:
                return Reply(item[0], await self._ask(session, item[1]))

            replies = in_parallel(ask, enumerate(requests), self.settings.concurrency)
            try:
                async for reply in replies:
                    yield reply
            finally:
                await replies.aclose()

    def _session(self) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0),  # `concurrency` is the limit
            timeout=aiohttp.ClientTimeout(
                total=self.settings.timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, self.settings.timeout_s)
            ),
        )

    async def _ask(self, session: aiohttp.ClientSession, request: Request) -> Completion:
        """One request with its retries. Tokens billed for unusable replies are counted in."""
        wasted: list[tuple[int, int]] = []
        try:
            completion: Completion = await self._retrying(wasted)(self._try, session, request)
        except CallError as failure:
            self._check_reachable(failure)
            completion = Completion(error=str(failure))
        sent, got = sum(w[0] for w in wasted), sum(w[1] for w in wasted)
        return completion.model_copy(
            update={
                "prompt_tokens": completion.prompt_tokens + sent,
                "completion_tokens": completion.completion_tokens + got,
            }
        )

    def _retrying(self, wasted: list[tuple[int, int]]) -> AsyncRetrying:
        """A fresh one per request: tenacity keeps its state in the object."""

        def again(error: BaseException) -> bool:
            if isinstance(error, CallError):
                wasted.append(error.usage)
            return isinstance(error, CallError) and error.again

        return AsyncRetrying(
            stop=stop_after_attempt(self.settings.max_attempts),
            wait=self._wait_s,
            retry=retry_if_exception(again),
            sleep=self._sleep,
            reraise=True,
        )

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        own = self._wait(state)
        if isinstance(error, CallError) and error.after_s is not None:
            # Our jittered wait on top, up to a second, so that not all callers come back at once.
            return error.after_s + min(own, 1.0)
        return own

    async def _try(self, session: aiohttp.ClientSession, request: Request) -> Completion:
        """Raises: CallError."""
        try:
            async with session.post(self.url, data=self._body(request), allow_redirects=False) as response:
                status, headers, body = response.status, response.headers, await response.read()
        except _UNREACHABLE as error:
            raise CallError(self._blot(f"cannot connect: {error}"), again=True, reached=False) from None
        except TimeoutError:
            raise CallError(f"no answer within {self.settings.timeout_s:g} s", again=True) from None
        except _BROKEN_OFF as error:
            reason = f"connection lost: {str(error) or type(error).__name__}"
            raise CallError(self._blot(reason), again=True) from None
        except aiohttp.ClientError as error:
            raise CallError(self._blot(f"{type(error).__name__}: {error}"), again=False) from None
        self._unreachable = 0
        if status != 200:
            again = status in (408, 429) or status >= 500
            raise CallError(self._status_text(status, body), again=again, after_s=retry_after(headers))
        return read_reply(body, request)

    def _body(self, request: Request) -> bytes:
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            **request.sampling.model_dump(),
        }
        if self.settings.structured and request.json_schema is not None:
            schema = {"name": "reply", "schema": request.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.top_logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        return orjson.dumps(body)

    def _status_text(self, status: int, body: bytes) -> str:
        hint = f" (is {self.settings.api_key_env} set to a valid key?)" if status in (401, 403) else ""
        return self._blot(f"HTTP {status}{hint}: {excerpt(body)}")

    def _blot(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _check_reachable(self, failure: CallError) -> None:
        """Raises: LLMError when the server never answered, or has been gone for a whole round of requests."""
        if failure.reached:
            return
        if self._unreachable is not None:
            self._unreachable += 1
            if self._unreachable < self.settings.concurrency:
                return
        raise LLMError(
            f"no server answers at {self.settings.endpoint} ({failure}); start it, or correct `endpoint`, "
            "and run again: replies so far are kept in the cache"
        )


def read_reply(body: bytes, request: Request) -> Completion:
    """The completion in a 200 response; tokens are estimated where the server does not report them.

    Raises: CallError when there is no message text in it.
    """
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise CallError(f"the reply is not JSON: {excerpt(body)}", again=True) from None
    usage = reply.get("usage") if isinstance(reply, dict) else None
    sent, got = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    try:
        text = reply["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise CallError("the reply holds no message", again=True, usage=(sent or 0, got or 0))
    return Completion(
        text=text,
        prompt_tokens=prompt_tokens(request) if sent is None else sent,
        completion_tokens=count_tokens(text) if got is None else got,
        logprobs=None if request.top_logprobs is None else _first_logprobs(reply["choices"][0]),
    )


def _first_logprobs(choice: dict[str, Any]) -> dict[str, float] | None:
    """Token -> log-probability at the reply's first place; None from a server that gives none.

    vLLM writes -9999 for impossible tokens, and others null: the former is kept, the latter left out.
    """
    try:
        found = choice["logprobs"]["content"][0]["top_logprobs"]
        pairs = [(entry["token"], entry["logprob"]) for entry in found]
    except (KeyError, IndexError, TypeError):
        return None
    table: dict[str, float] = {}
    for token, value in pairs:
        if isinstance(token, str) and isinstance(value, int | float) and not isinstance(value, bool):
            table.setdefault(token, float(value))  # half characters share a text; the likelier comes first
    return table or None


def _tokens(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and count >= 0 else None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or an HTTP date); None without a readable one."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else None


def excerpt(body: bytes, limit: int = 300) -> str:
    """The server's own message where the body has one, else its first characters, on one line."""
    try:
        text = str(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        text = body.decode("utf-8", "replace")
    line = " ".join(text.split())
    return line[:limit] + ("..." if len(line) > limit else "") or "(empty)"
