"""What `llm.py` measures besides speed: memory over many rows, faults, and the reply cache at size.

python -m scripts.bench.llm --rounds 0 --memory --faults 20000 --cache 1000000
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tacos.llm.base import Completion, Request
from tacos.llm.build import build_llm
from tacos.llm.cache import ReplyCache
from tacos.llm.settings import LLMSettings
from tacos.usage import Ledger

STREAM = """
import asyncio, resource, sys, time
from pathlib import Path
from scripts.bench.llm import check, request
from tacos.llm.settings import LLMSettings
from tacos.llm.build import build_llm
from tacos.llm.parse import parse_tags
from tacos.usage import Ledger

base, folder, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
llm = build_llm(
    LLMSettings(model="mock", endpoint=base, concurrency=64, api_key_env="UNSET"), Ledger(), folder / "c.sqlite"
)

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

async def run():
    done, began = 0, time.perf_counter()
    async for reply in llm.stream((request(row) for row in range(rows)), rows):
        check(reply.index, reply.completion.text)
        parse_tags(reply.completion.text)
        done += 1
        if done == 2000:
            print(f"{done:>9,} rows  {peak_mib():.1f} MiB", flush=True)
    print(f"{done:>9,} rows  {peak_mib():.1f} MiB  {done / (time.perf_counter() - began):,.0f} rows/s", flush=True)

asyncio.run(run())
"""


def memory(base: str, rows: list[int]) -> None:
    """Peak resident memory of a process that streams so many rows, asked first and then from the cache."""
    print("\npeak memory of one process, after 2,000 rows and at the end")
    for count in rows:
        with tempfile.TemporaryDirectory() as folder:
            for how in ("asked", "from the cache"):
                print(f"{count:,} rows, {how}")
                subprocess.run([sys.executable, "-c", STREAM, base, folder, str(count)], check=True)


def faults(
    base: str, rows: int, request: Callable[[int], Request], stats: Callable[[], dict[str, int]]
) -> None:
    """Every row against a server that fails one try in ten; rows that end in 999 are refused for good."""
    settings = LLMSettings(model="mock", endpoint=base, concurrency=64, timeout_s=5.0, api_key_env="UNSET")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        llm = build_llm(settings, Ledger(), Path(folder) / "replies.sqlite")
        found: dict[int, Completion] = {}

        async def run() -> None:
            async for reply in llm.stream((request(row) for row in range(rows)), rows):
                assert reply.index not in found, f"row {reply.index} came twice"
                found[reply.index] = reply.completion

        asyncio.run(run())
        total = llm.ledger.total
    failed = [row for row, reply in found.items() if reply.text is None]
    otherwise = Counter(found[row].error for row in failed if row % 1000 != 999)
    wrong = [row for row, reply in found.items() if reply.text and f'"row {row}"' not in reply.text[:40]]
    seen = stats()
    print(
        f"\n{rows:,} rows, one try in ten fails: {time.perf_counter() - began:.0f} s, {seen['asked']:,} tries"
    )
    refused = len(failed) - otherwise.total()
    print(f"answered {total.calls:,}, refused for good {refused:,}, failed otherwise {otherwise.total():,}")
    for reason, count in otherwise.items():
        print(f"  {count} x {reason}")
    print(
        f"lost {rows - len(found):,}, mixed up {len(wrong):,}, answered twice by the server {seen['repeats']:,}"
    )


def cache(rows: int, block: int = 200) -> None:
    """Writes and reads per second of replies of 1.5 KB: one commit each, and in blocks."""
    print(f"\nreply cache, {rows:,} replies of 1.5 KB each")
    for name, size in (("one commit each", 1), (f"{block} a commit", block)):
        with tempfile.TemporaryDirectory() as folder:
            store, rates = ReplyCache(Path(folder) / "c.sqlite"), []
            step = max(block, rows // 10 // block * block)
            for start in range(0, rows, step):
                began = time.perf_counter()
                _write(store, range(start, min(start + step, rows)), size)
                rates.append(min(step, rows - start) / (time.perf_counter() - began))
            gib = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**30
            print(
                f"{name}: {statistics.median(rates):,.0f} writes/s (last tenth {rates[-1]:,.0f}), {gib:.2f} GiB"
            )
            print(f"  {_read(store, rows):,.0f} reads/s in blocks of 256, at random")
            store.close()


def _key(row: int) -> bytes:
    return hashlib.sha256(row.to_bytes(8, "big")).digest()


def _write(store: ReplyCache, rows: range, size: int) -> None:
    def replies() -> Iterator[tuple[bytes, Completion]]:
        for row in rows:
            yield _key(row), Completion(text=f"{row:>1500}", prompt_tokens=300, completion_tokens=200)

    if size == 1:
        for key, reply in replies():
            store.put(key, reply)
        return
    everything = list(replies())
    for start in range(0, len(everything), size):
        store.put_many(everything[start : start + size])


def _read(store: ReplyCache, rows: int) -> float:
    wanted = [_key(int.from_bytes(os.urandom(7), "big") % rows) for _ in range(20_000)]
    began = time.perf_counter()
    for start in range(0, len(wanted), 256):
        block = wanted[start : start + 256]
        assert len(store.get(block)) == len(set(block))
    return len(wanted) / (time.perf_counter() - began)
