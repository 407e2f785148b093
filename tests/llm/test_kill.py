"""A run that is killed with SIGKILL and started again pays for no stored reply twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from .helpers import asks, client, echoes, texts
from .server import FaultServer

CONCURRENCY = 8
RUN = """
import sys
from pathlib import Path
from tacos.llm.base import LLMSettings, Request
from tacos.llm.client import build_llm, complete
from tacos.tracking import Ledger
from tacos.types import Message

settings = LLMSettings(model="m", endpoint=sys.argv[1], concurrency=8)
llm = build_llm(settings, Ledger(), Path(sys.argv[2]))
complete(llm, [Request(messages=(Message(role="user", content=f"question {i}"),)) for i in range(400)])
"""


def test_sigkill_in_mid_run(tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    reached = threading.Event()
    with FaultServer(delay_s=0.005) as server:
        server.on_hit = lambda count: reached.set() if count == 200 else None
        run = subprocess.Popen([sys.executable, "-c", RUN, server.endpoint, str(cache)])
        assert reached.wait(60)
        run.kill()
        run.wait()
        before = server.hits
        assert 200 <= before < 400

        from tacos.llm.client import complete

        requests = asks(400)
        assert texts(complete(client(server.endpoint, cache), requests)) == echoes(requests)
        twice = [content for content, count in server.asked.items() if count > 1]
        assert len(twice) <= CONCURRENCY  # only what was in flight when it was killed
        assert server.hits == 400 + len(twice)
        assert max(server.asked.values()) <= 2
