"""Requests per second and CPU per request of ways to ask a chat-completions server, side by side in one run.

    python -m scripts.bench.llm [--rounds 5] [--latency-ms 0 50] [--memory] [--faults 20000] [--cache 1000000]

A mock server (`llm_server.py`) runs in another process on one core, all clients on another. Every way asks
the same tagging prompts and gets a reply of some 200 tokens:

    openai, one by one   a loop over the official SDK's blocking client
    openai, 64 at once   its AsyncOpenAI under a semaphore of 64
    aiohttp, 64 at once  the bare HTTP client, replies decoded and thrown away
    tacos, 64 at once    `CachedLLM.stream`: cache written, ledger kept, every reply parsed into tags
    distilabel           a pipeline of its OpenAILLM, 64 inputs a batch, its start of some 3 s included

The ways take turns for `--rounds` rounds, each time in a fresh process; medians are printed. `openai` and
`distilabel` are no dependencies of tacos: where one is not installed, its row is left out with a line.

`--memory`, `--faults` and `--cache` measure other things, see `llm_scale.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scripts.bench import llm_scale
from scripts.bench.usage import cpu_seconds
from tacos.llm.base import Request, Sampling
from tacos.llm.build import build_llm
from tacos.llm.parse import parse_tags
from tacos.llm.settings import LLMSettings
from tacos.prompts import fill
from tacos.types import Message
from tacos.usage import Ledger

AT_ONCE = 64
MODEL = "mock"
SAMPLING = {"temperature": 0.6, "top_p": 1.0, "max_tokens": 1024}
SHARED = Sampling(**SAMPLING)
INSTRUCTION = "Write a short poem for a colleague who retires after forty years of teaching. " * 3


def prompt(row: int) -> str:
    return fill("tag", prompt=f"{INSTRUCTION} This is row {row} of the benchmark.")


def request(row: int) -> Request:
    return Request(messages=(Message(role="user", content=prompt(row)),), sampling=SHARED)


def check(row: int, text: str | None) -> None:
    """A reply must belong to its row."""
    if text is None or f'"row {row}"' not in text[:40]:
        raise SystemExit(f"row {row} got the reply {text!r:.80}")


@dataclass
class Mock:
    """A running mock server."""

    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, int]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}/stats") as reply:
            return json.loads(reply.read())


@contextmanager
def mock_server(python: str, core: int | None, *options: str) -> Iterator[Mock]:
    pinned = [] if core is None else ["--core", str(core)]
    command = [python, str(Path(__file__).with_name("llm_server.py")), *pinned, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Mock(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


# The ways. Each asks rows first .. first + count - 1 and checks what it got.


def sdk_one_by_one(base: str, first: int, count: int) -> None:
    from openai import OpenAI

    client = OpenAI(base_url=base, api_key="none")
    for row in range(first, first + count):
        messages: Any = [{"role": "user", "content": prompt(row)}]
        reply = client.chat.completions.create(model=MODEL, messages=messages, **SAMPLING)  # type: ignore[call-overload]
        check(row, reply.choices[0].message.content)


def sdk_at_once(base: str, first: int, count: int) -> None:
    from openai import AsyncOpenAI

    async def run() -> None:
        limit = asyncio.Semaphore(AT_ONCE)

        async def ask(client: Any, row: int) -> None:
            async with limit:
                messages = [{"role": "user", "content": prompt(row)}]
                reply = await client.chat.completions.create(model=MODEL, messages=messages, **SAMPLING)
            check(row, reply.choices[0].message.content)

        async with AsyncOpenAI(base_url=base, api_key="none") as client:
            await asyncio.gather(*(ask(client, row) for row in range(first, first + count)))

    asyncio.run(run())


def bare_aiohttp(base: str, first: int, count: int) -> None:
    import aiohttp
    import orjson

    async def run() -> None:
        rows = iter(range(first, first + count))

        async def worker(session: aiohttp.ClientSession) -> None:
            for row in rows:
                body = {"model": MODEL, "messages": [{"role": "user", "content": prompt(row)}], **SAMPLING}
                async with session.post(f"{base}/chat/completions", data=orjson.dumps(body)) as response:
                    reply = orjson.loads(await response.read())
                check(row, reply["choices"][0]["message"]["content"])

        headers = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(worker(session) for _ in range(AT_ONCE)))

    asyncio.run(run())


def ours(base: str, first: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = LLMSettings(
            model=MODEL,
            endpoint=base,
            concurrency=AT_ONCE,
            api_key_env="UNSET",
            price_per_million_input=0.15,
            price_per_million_output=0.6,
        )
        ledger = Ledger()
        llm = build_llm(settings, ledger, Path(folder) / "replies.sqlite")

        async def run() -> int:
            tags = 0
            async for reply in llm.stream((request(row) for row in range(first, first + count)), count):
                check(first + reply.index, reply.completion.text)
                tags += len(parse_tags(reply.completion.text or ""))
            return tags

        assert asyncio.run(run()) == 7 * count == 7 * ledger.total.calls


def distilabel(base: str, first: int, count: int) -> None:
    os.environ["DISTILABEL_LOG_LEVEL"] = "CRITICAL"
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    kwargs = {"temperature": 0.6, "top_p": 1.0, "max_new_tokens": 1024}
    with Pipeline("bench") as pipeline:
        rows = [{"row": row, "instruction": prompt(row)} for row in range(first, first + count)]
        llm = OpenAILLM(model=MODEL, base_url=base, api_key="none", generation_kwargs=kwargs)
        ask = TextGeneration(llm=llm, input_batch_size=AT_ONCE)
        LoadDataFromDicts(data=rows, batch_size=AT_ONCE) >> ask
    found = pipeline.run(use_cache=False)["default"]["train"]
    assert len(found) == count
    for row in found:
        check(row["row"], row["generation"])


@dataclass
class Way:
    """One way to ask, how many rows a round (at 0 ms; slow ways take fewer), and what was measured."""

    name: str
    ask: Callable[[str, int, int], None]
    count: int
    needs: str = ""
    seconds: list[float] = field(default_factory=list)
    """Wall-clock seconds per request, one per round."""
    cpu: list[float] = field(default_factory=list)

    def installed(self) -> bool:
        found = not self.needs or bool(find_spec(self.needs))
        if not found:
            print(f"{self.name}: left out, {self.needs} is not installed")
        return found

    def measure(self, base: str, count: int) -> None:
        """In a process of its own: what one way imports must not slow another's garbage collector."""
        command = [sys.executable, "-m", "scripts.bench.llm", "--one", self.name, base, str(count)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self.name} failed:\n{done.stderr[-3000:]}")
        seconds, cpu = json.loads(done.stdout.splitlines()[-1])
        self.seconds.append(seconds / count)
        self.cpu.append(cpu / count)


def measure_one(name: str, base: str, count: int) -> None:
    """Prints [seconds, CPU seconds]."""
    (way,) = (way for way in WAYS if way.name == name)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    way.ask(base, 0, AT_ONCE)  # imports, and whatever is made at the first call
    began, cpu = time.perf_counter(), cpu_seconds()
    way.ask(base, 0, count)
    print(json.dumps([time.perf_counter() - began, cpu_seconds() - cpu]))


WAYS = (
    Way("openai, one by one", sdk_one_by_one, 100, "openai"),
    Way("openai, 64 at once", sdk_at_once, 600, "openai"),
    Way("aiohttp, 64 at once", bare_aiohttp, 5000),
    Way("tacos, 64 at once", ours, 5000),
    Way("distilabel, 64 a batch", distilabel, 1024, "distilabel"),
)


def compare(python: str, cores: tuple[int | None, int | None], latency_ms: float, rounds: int) -> None:
    chosen = [replace(way, seconds=[], cpu=[]) for way in WAYS if way.installed()]
    with mock_server(python, cores[0], "--latency-ms", str(latency_ms)) as mock:
        for _ in range(rounds):
            for way in chosen:
                slow = latency_ms and way.ask is sdk_one_by_one
                way.measure(mock.base, way.count // 4 if slow else way.count)
    print(f"\n{latency_ms:g} ms latency, medians of {rounds} rounds (lowest to highest)")
    print(f"{'':24}{'requests/s':>12}{'':>20}{'CPU s per 1,000':>17}")
    for way in chosen:
        rates = sorted(1 / s for s in way.seconds)
        spread = f"({rates[0]:,.0f} to {rates[-1]:,.0f})"
        cpu = 1000 * statistics.median(way.cpu)
        print(f"{way.name:24}{statistics.median(rates):>12,.0f}{spread:>20}{cpu:>17.2f}")


def cores() -> tuple[int | None, int | None]:
    """(the server's, the clients'); None where the system cannot pin, or there is but one core."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (None, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency-ms", type=float, nargs="*", default=[0.0, 50.0])
    parser.add_argument(
        "--server-python", default=sys.executable, help="one with uvloop makes a faster server"
    )
    parser.add_argument("--memory", type=int, nargs="*", metavar="ROWS", help="peak memory over so many rows")
    parser.add_argument("--faults", type=int, default=0, metavar="ROWS", help="rows against a faulty server")
    parser.add_argument(
        "--cache", type=int, default=0, metavar="ROWS", help="speed of the cache with so many"
    )
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return measure_one(args.one[0], args.one[1], int(args.one[2]))
    chosen = cores()
    if chosen[1] is not None:
        os.sched_setaffinity(0, {chosen[1]})
    for latency in args.latency_ms if args.rounds else []:
        compare(args.server_python, chosen, latency, args.rounds)
    if args.memory is not None:
        with mock_server(args.server_python, chosen[0]) as mock:
            llm_scale.memory(mock.base, args.memory or [100_000, 300_000])
    if args.faults:
        with mock_server(args.server_python, chosen[0], "--latency-ms", "5", "--fault-share", "0.1") as mock:
            llm_scale.faults(mock.base, args.faults, request, mock.stats)
    if args.cache:
        llm_scale.cache(args.cache)


if __name__ == "__main__":
    main()
