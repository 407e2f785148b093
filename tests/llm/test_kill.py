"""A run that is killed with SIGKILL and started again pays for no stored reply twice, at whatever point."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .helpers import asks, echoes
from .server import FaultServer

CONCURRENCY = 8
ROWS = 400
RUN = """
import asyncio, json, sys
from pathlib import Path
from tacos.llm.base import Request
from tacos.llm.settings import LLMSettings
from tacos.llm.build import build_llm
from tacos.usage import Ledger
from tacos.types import Message

settings = LLMSettings(model="m", endpoint=sys.argv[1], concurrency=8)
llm = build_llm(settings, Ledger(), Path(sys.argv[2]) / "cache.sqlite")
rows = (Request(messages=(Message(role="user", content=f"question {i}"),)) for i in range(400))

async def run():
    table = {}
    async for reply in llm.stream(rows, 400):
        table[reply.index] = reply.completion.text
    Path(sys.argv[2], "table.json").write_text(json.dumps([table[i] for i in range(400)]))

asyncio.run(run())
"""


def start(server: FaultServer, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", RUN, server.endpoint, str(folder)])


def kill_at(server: FaultServer, folder: Path, replies: int) -> None:
    """Run until the server has been asked `replies` more times, or to the end, and kill."""
    reached, target = threading.Event(), server.hits + replies
    server.on_hit = lambda count: reached.set() if count >= target else None
    run = start(server, folder)
    while run.poll() is None and not reached.wait(0.02):
        pass
    run.kill()
    run.wait()


# Each example starts two or three processes, which take most of a second each.
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(kills=st.lists(st.integers(1, 250), min_size=1, max_size=2))
def test_sigkill_at_any_point(tmp_path_factory: pytest.TempPathFactory, kills: list[int]) -> None:
    folder = tmp_path_factory.mktemp("killed")
    with FaultServer(delay_s=0.003) as server:
        for replies in kills:
            kill_at(server, folder, replies)
            assert not (folder / "table.json").exists() or server.hits >= ROWS
        assert start(server, folder).wait(60) == 0
        # Only what was in flight at a kill is asked again: sent, and perhaps answered, but never stored.
        assert set(server.asked) == {request.messages[0].content for request in asks(ROWS)}
        assert ROWS <= server.hits <= ROWS + CONCURRENCY * len(kills)
        assert max(server.asked.values()) <= 1 + len(kills)
    assert json.loads((folder / "table.json").read_text()) == echoes(asks(ROWS))
