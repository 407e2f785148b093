"""A command that is told to end says so, ends its W&B run, and can be run again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tacos.cli.console import not_stopped
from tacos.errors import Terminated
from tests.llm.server import FaultServer
from tests.pipeline.helpers import reply_to
from tests.pipeline.test_kill import config, finished, process, ready
from tests.wandb_log import runs


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_selection(how: signal.Signals, code: int, tmp_path: Path) -> None:
    folder, half_way = ready(tmp_path / "x"), threading.Event()
    with FaultServer(answer=reply_to, delay_s=0.02) as server:
        server.on_hit = lambda count: half_way.set() if count >= 40 else None
        env = os.environ | {"WANDB_MODE": "offline"}
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        first = process(config(folder, server.endpoint), env=env, **piped)
        assert half_way.wait(120)
        first.send_signal(how)
        _, told = first.communicate(timeout=60)
        assert first.returncode == code
        assert "tacos: stopped; finished stages are kept, run the same command to resume" in told
        assert "Traceback" not in told
        (run,) = runs(next((folder / "runs").glob("select-*")))
        assert run["exit"] == code
        asked = server.hits
        finished(config(folder, server.endpoint))
        assert server.hits < asked + 120


def test_a_task_that_is_stopped_with_the_command_is_not_told() -> None:
    def record(error: BaseException) -> logging.LogRecord:
        return logging.LogRecord(
            "asyncio", logging.ERROR, "x", 1, "never retrieved", (), (type(error), error, None)
        )

    assert not not_stopped(record(Terminated())) and not not_stopped(record(KeyboardInterrupt()))
    assert not_stopped(record(ValueError())) and not_stopped(logging.makeLogRecord({}))


def test_a_reader_that_goes_away_is_no_bug() -> None:
    """As `| head` does, once it has its lines."""
    read, write = os.pipe()
    os.close(read)
    with process(["methods"], stdout=write, stderr=subprocess.PIPE) as told:
        assert told.communicate(timeout=60) == (None, "")
    os.close(write)
