"""Servers that are limited, dead, or dead for a while: who gets the calls, who waits, when it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tacos.errors import ConfigError, LLMError
from tacos.llm.backends.call_errors import CallError
from tacos.llm.backends.endpoints import Endpoint, Endpoints
from tacos.llm.backends.openai import OpenAIBackend
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM, complete
from tacos.llm.settings import LLMSettings
from tacos.usage import Ledger

from .helpers import asks, client, echoes, texts
from .server import Fault, FaultServer, dead_port


def waiting_client(*endpoints: str, cache: Path | None = None, **changes: Any) -> CachedLLM:
    """A client that really waits, in hundredths of a second."""
    endpoint: Any = endpoints if len(endpoints) > 1 else endpoints[0]
    chosen = LLMSettings(model="m", endpoint=endpoint, **{"concurrency": 16, "timeout_s": 10.0, **changes})
    backend = OpenAIBackend(chosen, backoff_s=0.02)
    return CachedLLM(backend, ReplyCache(cache) if cache else None, Ledger(), chosen)


def test_calls_are_spread_over_the_endpoints() -> None:
    requests = asks(400)
    with FaultServer(delay_s=0.002) as one, FaultServer(delay_s=0.002) as two:
        answers = complete(waiting_client(one.endpoint, two.endpoint), requests)
    assert texts(answers) == echoes(requests)
    assert one.hits + two.hits == 400
    assert min(one.hits, two.hits) > 100


def test_the_endpoints_are_no_part_of_the_key(tmp_path: Path) -> None:
    with FaultServer() as server:
        complete(waiting_client(server.endpoint, cache=tmp_path / "c.sqlite"), asks(5))
        pair = waiting_client("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", cache=tmp_path / "c.sqlite")
        assert texts(complete(pair, asks(5))) == echoes(asks(5))
    assert pair.settings.identity() == LLMSettings(model="m").identity()


def test_a_dead_member_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    requests = asks(200)
    with FaultServer(delay_s=0.001) as server:
        dead = f"http://127.0.0.1:{dead_port()}/v1"
        assert texts(complete(waiting_client(dead, server.endpoint), requests)) == echoes(requests)
        assert server.hits == 200
    assert f"{dead} is gone" in caplog.text and "1 of 2 endpoints are left" in caplog.text


def test_a_member_that_comes_back_gets_calls_again(caplog: pytest.LogCaptureFixture) -> None:
    """With FaultServer's port taken again, half-way."""
    port, requests = dead_port(), asks(600)
    with FaultServer(delay_s=0.01) as steady:
        late = FaultServer(delay_s=0.01, port=port)
        steady.on_hit = lambda count: threading.Thread(target=late.__enter__).start() if count == 50 else None
        llm = waiting_client(f"http://127.0.0.1:{port}/v1", steady.endpoint)
        assert texts(complete(llm, requests)) == echoes(requests)
        assert late.hits > 50
        assert steady.hits + late.hits == 600
        late.__exit__()
    assert "is there again" in caplog.text


def test_a_server_that_dies_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Calls in flight are cut off; the others wait, and none is lost."""
    port, requests = dead_port(), asks(400)
    died = threading.Event()
    first = FaultServer(delay_s=0.005, port=port).__enter__()
    first.on_hit = lambda count: died.set() if count == 150 else None
    servers = [first]

    def restart() -> None:
        died.wait(30)
        first.__exit__()
        time.sleep(0.3)
        servers.append(FaultServer(delay_s=0.002, port=port).__enter__())

    thread = threading.Thread(target=restart)
    thread.start()
    llm = waiting_client(first.endpoint, cache=tmp_path / "c.sqlite")
    assert texts(complete(llm, requests)) == echoes(requests)
    thread.join(30)
    asked: Counter[str] = sum((server.asked for server in servers), Counter())
    assert set(asked) == {request.messages[0].content for request in requests}
    assert asked.total() <= 400 + 2 * 16  # at most what was in flight when it died, and its last connections
    assert llm.ledger.total.calls == 400 and llm.ledger.total.failed_calls == 0
    assert "waiting for it" in caplog.text and "is there again" in caplog.text
    servers[1].__exit__()


def test_a_server_that_stays_away_is_given_up(tmp_path: Path) -> None:
    server = FaultServer(delay_s=0.005).__enter__()
    server.on_hit = lambda count: threading.Thread(target=server.__exit__).start() if count == 100 else None
    llm = waiting_client(server.endpoint, cache=tmp_path / "c.sqlite", outage_s=0.3)
    with pytest.raises(LLMError, match=r"no server answers at .*cannot connect.*, waited \d s\); start it"):
        complete(llm, asks(400))
    with FaultServer() as again:
        complete(waiting_client(again.endpoint, cache=tmp_path / "c.sqlite"), asks(400))
        assert 400 <= server.answered.total() + again.hits <= 400 + 16


def test_a_proxy_whose_server_is_gone_for_a_while(server: FaultServer) -> None:
    """503s to everything are waited out, though they last longer than the tries of a request."""
    server.delay_s = 0.002

    def come_back() -> None:
        time.sleep(0.5)
        server.gone = False

    def on_hit(count: int) -> None:
        if count == 100:
            server.gone = True
            threading.Thread(target=come_back).start()

    server.on_hit = on_hit
    llm = waiting_client(server.endpoint, max_attempts=3)
    assert texts(complete(llm, asks(300))) == echoes(asks(300))
    assert llm.ledger.total.failed_calls == 0


def test_a_503_to_one_request_holds_nobody_up(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.UNAVAILABLE if content == "question 3" else Fault.OK
    completions = complete(waiting_client(server.endpoint, max_attempts=3), asks(50))
    assert [i for i, c in enumerate(completions) if c.text is None] == [3]
    assert server.asked["question 3"] == 3


def test_fewer_calls_are_in_flight_after_429(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """A server that takes 4 at a time, and a client that would send 32: all rows are answered."""
    server.capacity, server.delay_s = 4, 0.005
    llm = waiting_client(server.endpoint, concurrency=32, max_attempts=3)
    assert texts(complete(llm, asks(300))) == echoes(asks(300))
    assert server.answered.total() == 300
    assert server.hits < 900
    assert caplog.text.count("answers 429") == 1


def test_halving_and_growing() -> None:
    endpoint = Endpoint("u", 64)
    sent_at = time.monotonic()
    for _ in range(64):  # a burst that went out together is one reason
        endpoint.cut(sent_at)
    assert endpoint.limit == 32
    endpoint.cut(time.monotonic())
    assert endpoint.limit == 16
    for _ in range(17):
        endpoint.ease()
    assert 16.9 < endpoint.limit < 17.1
    for _ in range(5000):
        endpoint.ease()
    assert endpoint.limit == 64
    for _ in range(20):
        endpoint.cut(time.monotonic())
    assert endpoint.limit == 1


def test_no_more_in_flight_than_the_limit() -> None:
    async def there(url: str) -> bool:
        return True

    async def run() -> None:
        endpoints = Endpoints(["a", "b"], 2, there, 1.0, 0.1, asyncio.sleep, answered=True)
        taken = [await endpoints.take() for _ in range(4)]
        assert sorted(e.url for e in taken) == ["a", "a", "b", "b"]
        fifth = asyncio.create_task(endpoints.take())
        await asyncio.sleep(0)
        assert not fifth.done()
        endpoints.succeeded(taken[0])
        assert await fifth is taken[0]
        endpoints.failed(taken[1], CallError("429", again=True, status=429), time.monotonic())
        assert taken[1].limit == 1.0
        await endpoints.close()

    asyncio.run(run())


def test_a_circuit_breaker_stops_a_run_that_went_well_before(server: FaultServer, tmp_path: Path) -> None:
    """The failed share would let 2,000 more calls fail first."""
    server.plan = lambda content, times: Fault.OK if int(content.split()[1]) < 300 else Fault.BROKEN
    llm = client(server.endpoint, tmp_path / "c.sqlite", max_attempts=2)
    with pytest.raises(LLMError, match=r"m: 20 calls in a row failed, the last with: HTTP 500: .*run again"):
        complete(llm, asks(10_000))
    assert server.answered.total() == 300 and server.hits < 300 + 2 * (20 + 8)


def test_refused_rows_do_not_trip_the_breaker(server: FaultServer) -> None:
    """A long stretch of prompts that are too long is no outage."""
    long = range(200, 300)
    server.plan = lambda content, times: Fault.TOO_LONG if int(content.split()[1]) in long else Fault.OK
    completions = complete(client(server.endpoint), asks(1000))
    assert [i for i, c in enumerate(completions) if c.text is None] == list(long)
    assert "maximum context length is 4096 tokens" in (completions[200].error or "")
    assert max(server.asked.values()) == 1


def test_no_money_left_is_no_reason_to_wait(server: FaultServer) -> None:
    server.plan = lambda content, times: Fault.BROKE
    with pytest.raises(LLMError, match="You exceeded your current quota"):
        complete(client(server.endpoint), asks(200))
    assert max(server.asked.values()) == 1


def test_every_endpoint_must_be_a_url() -> None:
    with pytest.raises(ConfigError, match="'localhost:8000' is not a URL"):
        OpenAIBackend(LLMSettings(model="m", endpoint=("http://a/v1", "localhost:8000")))
    with pytest.raises(ConfigError, match="is not a URL"):
        OpenAIBackend(LLMSettings(model="m", endpoint=()))
