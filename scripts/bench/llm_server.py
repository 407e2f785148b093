"""A mock chat-completions server for `llm.py`: fast enough not to be what is measured, and faulty on request.

    python scripts/bench/llm_server.py [--latency-ms 50] [--core 0] [--fault-share 0.1]

HTTP/1.1 by hand on `asyncio.Protocol` (on uvloop where it is installed): no framework, one write per reply.
Every reply is the same list of tags of some 200 tokens, but for the first tag, which is the first "row 123"
of the request, so that a client can be caught mixing replies up. It prints its port on the first line, and
GET /stats answers {"asked", "answered", "repeats", "in_flight_most"}.

With `--fault-share 0.1` one try in ten fails, each time in another way of `FAULTS`, whatever the row.
Rows that end in 999 are refused for good, as too long: an HTTP 400.

Standard library only, so that any interpreter can run it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import re
from collections import Counter

ROW = re.compile(rb"row (\d+)")
TAGS = [
    {
        "tag": name,
        "explanation": f"The request asks for {name.lower()}, as its wording shows in several places.",
    }
    for name in (
        "Creative writing",
        "Summarisation",
        "Fact checking",
        "Code review",
        "Travel planning",
        "Arithmetic",
    )
]
FAULTS = ("500", "429", "429 after", "503", "reset", "silent", "not json", "truncated", "empty")


def _reply() -> tuple[bytes, bytes]:
    """What stands before and after the row's number."""
    first = {"tag": "row @", "explanation": "Which row of the benchmark this is."}
    message = {"role": "assistant", "content": json.dumps([first, *TAGS])}
    body = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "mock",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 320, "completion_tokens": 200, "total_tokens": 520},
    }
    before, after = json.dumps(body).encode().split(b"@")
    return before, after


BEFORE, AFTER = _reply()


def http(status: str, body: bytes, headers: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


class Server:
    """Shared by all connections: the settings, and what was asked and answered."""

    def __init__(self, latency_s: float, fault_share: float, seed: int = 0):
        self.latency_s = latency_s
        self.fault_share = fault_share
        self.random = random.Random(seed)
        self.asked = 0
        self.answered: Counter[bytes] = Counter()
        self.in_flight = self.most = 0

    def stats(self) -> bytes:
        total = sum(self.answered.values())
        found = {"asked": self.asked, "answered": total, "repeats": total - len(self.answered)}
        return http("200 OK", json.dumps(found | {"in_flight_most": self.most}).encode())

    def reset(self) -> bytes:
        self.asked = self.in_flight = self.most = 0
        self.answered.clear()
        return http("200 OK", b"{}")


class Connection(asyncio.Protocol):
    def __init__(self, server: Server):
        self.server = server
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pending = data = self.pending + data if self.pending else data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            return
        if data.startswith(b"GET"):
            self.pending = b""
            return self.write(self.server.reset() if b"/reset" in data[:40] else self.server.stats())
        at = data.lower().find(b"content-length:", 0, head)
        if at < 0:  # no body; nobody here needs chunked ones
            return self.write(http("411 Length Required", b""))
        length = int(data[at + 15 : data.find(b"\r\n", at)])
        if len(data) < head + 4 + length:
            return
        self.pending = b""
        self.asked(data[head + 4 :])

    def asked(self, body: bytes) -> None:
        server = self.server
        server.asked += 1
        server.in_flight += 1
        server.most = max(server.most, server.in_flight)
        found = ROW.search(body)
        row = found[1] if found else b"0"
        if server.latency_s:
            asyncio.get_running_loop().call_later(server.latency_s, self.answer, row)
        else:
            self.answer(row)

    def answer(self, row: bytes) -> None:
        self.server.in_flight -= 1
        if self.transport.is_closing():
            return
        if self.server.fault_share and self.fails(row):
            return
        if self.server.fault_share:
            self.server.answered[row] += 1
        self.write(http("200 OK", BEFORE + row + AFTER))

    def fails(self, row: bytes) -> bool:
        """Whether this try goes wrong, which is then done."""
        if row.endswith(b"999"):
            text = b'{"error": {"message": "the prompt is longer than the context of 4096 tokens"}}'
            self.write(http("400 Bad Request", text))
            return True
        if self.server.random.random() >= self.server.fault_share:
            return False
        fault, good = self.server.random.choice(FAULTS), BEFORE + row + AFTER
        match fault:
            case "500" | "503":
                self.write(http(f"{fault} Broken", b"<html>oops</html>"))
            case "429":
                self.write(http("429 Too Many Requests", b'{"error": {"message": "slow down"}}'))
            case "429 after":
                self.write(http("429 Too Many Requests", b"{}", "Retry-After: 1\r\n"))
            case "reset":
                self.transport.abort()  # type: ignore[attr-defined]
            case "silent":
                pass
            case "not json":
                self.write(http("200 OK", good[: len(good) // 2]))
            case "truncated":
                self.write(http("200 OK", good)[:-100])
                self.transport.close()
            case "empty":
                self.write(http("200 OK", b""))
        return True

    def write(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


async def serve(server: Server, port: int) -> None:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", port)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--fault-share", type=float, default=0.0)
    parser.add_argument("--core", type=int)
    args = parser.parse_args()
    if args.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {args.core})
    gc.disable()  # nothing here makes cycles that matter, and pauses would be measured
    run = asyncio.run
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        pass
    run(serve(Server(args.latency_ms / 1000, args.fault_share), args.port))


if __name__ == "__main__":
    main()
