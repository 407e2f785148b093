"""The reliability trial as a table: pytest tests/test_trial.py -s

What a trial of version 0.1 found stands under "before"; the other column is measured here.
"""

from __future__ import annotations

import gzip
import random
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tacos.data.read import read_pool
from tacos.errors import PoolError, SpendCapError
from tacos.llm.base import Completion
from tacos.llm.cache import ReplyCache
from tacos.llm.client import complete
from tests.llm.helpers import asks, client
from tests.llm.server import FaultServer
from tests.llm.test_cap import spender
from tests.store.test_intact import Selection

pytestmark = pytest.mark.slow
Row = tuple[str, str, str, bool]
"""What was tried, before, now, and whether that is what is promised."""


def charged(server: FaultServer, cap: int) -> str:
    return f"{server.charged:,} of {cap:,} tokens"


def alone(usage: dict[str, int], cap: int, most: int, cache: Path | None = None) -> tuple[str, int]:
    """64 calls in flight of one process, at `usage` each."""
    with FaultServer(delay_s=0.005) as server:
        server.usage = usage
        with pytest.raises(SpendCapError):
            complete(client(server.endpoint, cache, concurrency=64, max_tokens_total=cap), asks(4000, most))
        return charged(server, cap), server.charged


def one_process(folder: Path) -> Row:
    said, spent = alone({"prompt_tokens": 10, "completion_tokens": 5}, 10_000, 20)
    return "64 calls in flight", "10,000 of 10,000 tokens", said, spent <= 10_000


def two_processes(folder: Path) -> Row:
    with FaultServer(delay_s=0.005) as server:
        both = [spender(server, folder / "two.sqlite", first=5000 * n, cap=10_000) for n in range(2)]
        for process in both:
            process.communicate(timeout=120)
        return (
            "two processes, one cache",
            "19,740 of 10,000",
            charged(server, 10_000),
            server.charged <= 10_000,
        )


def six_kills(folder: Path) -> Row:
    with FaultServer(delay_s=0.03) as server:
        for _ in range(6):
            enough, goal = threading.Event(), server.hits + 60
            server.on_hit = lambda count, goal=goal, enough=enough: enough.set() if count >= goal else None  # type: ignore[misc]
            process = spender(server, folder / "six.sqlite", count=9000, cap=15_000)
            assert enough.wait(60)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        spender(server, folder / "six.sqlite", count=9000, cap=15_000).communicate(timeout=120)
        return "six kills", "208,110 of 150,000", charged(server, 15_000), server.charged <= 15_000


def no_limit(folder: Path) -> Row:
    said, spent = alone({"prompt_tokens": 10, "completion_tokens": 400}, 20_000, 20)
    return "max_tokens is ignored", "133,900 of 20,000", said, spent <= 20_000 + 410


def long_prompts(folder: Path) -> Row:
    said, spent = alone({"prompt_tokens": 30, "completion_tokens": 5}, 10_000, 5)
    return "prompts of 4 times their estimate", "23,010 of 10,000", said, spent <= 10_000 + 35


def flips(folder: Path) -> Row:
    selection, rng, other = Selection(folder), random.Random(11), 0
    for _ in range(40):
        path = rng.choice([file for file in selection.files() if file.stat().st_size])
        content = bytearray(path.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        other += selection.run() != selection.first
    return (
        "40 flipped bits in artifacts",
        "5 changed the selection",
        f"{other} changed the selection",
        other == 0,
    )


def lost_replies(folder: Path) -> Row:
    path, count = folder / "replies.sqlite", 3000
    cache = ReplyCache(path)
    keys = [number.to_bytes(32, "big") for number in range(count)]
    for key in keys:
        cache.put(key, Completion(text="a reply of some words " * 8, prompt_tokens=10, completion_tokens=5))
    cache.close()
    content = bytearray(path.read_bytes())
    content[4096 : 3 * 4096] = b"\xff" * 8192
    path.write_bytes(content)
    lost = count - len(ReplyCache(path).get(keys))
    return (
        "8 kB of the reply cache overwritten",
        "3,000 replies paid again",
        f"{lost:,} replies lost",
        lost < 100,
    )


def blanks(folder: Path) -> Row:
    path = folder / "blank.jsonl.gz"
    with gzip.open(path, "wb", 1) as handle:
        for _ in range(500):
            handle.write(b" " * 1_000_000)
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PoolError, match="white space"):
        read_pool(str(path))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    said = f"refused after {time.perf_counter() - started:.1f} s, {grown:.0f} MB more"
    return "500 MB of blanks in a gzip", "over 120 s, 1.2 GB", said, grown < 300


TRIALS: tuple[Callable[[Path], Row], ...] = (
    one_process,
    two_processes,
    six_kills,
    no_limit,
    long_prompts,
    flips,
    lost_replies,
    blanks,
)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.__name__)
def test_trial(trial: Callable[[Path], Row], tmp_path: Path) -> None:
    what, before, now, kept = trial(tmp_path)
    print(f"\n| {what} | {before} | {now} |")
    assert kept, now
