"""Waiting for a stage that another process works on says whose it is and since when."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tacos.store import held as module
from tacos.store.held import held

HOLD = """
import sys
from pathlib import Path
from tacos.store.held import held
with held(Path(sys.argv[1]), "tag"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_one_who_waits_says_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    folder = tmp_path / "abc"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    threading.Timer(0.5, lambda: other.communicate("")).start()
    with held(folder, "tag"):
        said = (
            f"tag abc: waiting for process {other.pid} on {socket.gethostname()}, which works on it since 20"
        )
        assert said in caplog.text
        assert f"process {os.getpid()} on" in (tmp_path / "abc.owner").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["abc.lock"]


def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    folder = tmp_path / "abc"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    other.kill()
    other.wait()
    with held(folder, "tag"):
        pass
