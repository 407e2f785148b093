"""A selection that is killed while an LLM scores: nothing paid is asked again, the answer is the same."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from tacos.cli.app import app
from tests.llm.server import FaultServer
from tests.pipeline.helpers import LLM_TACOS, reply_to, write_pool

CONCURRENCY = 4
ROWS, PAIRS = 80, 40


def config(folder: Path, endpoint: str) -> list[str]:
    llm = {"model": "m", "endpoint": endpoint, "concurrency": CONCURRENCY}
    settings = {
        "llms": {"tagger": llm, "scorer": llm},
        **LLM_TACOS,
        "budget": 10,
        "artifacts": str(folder / "artifacts"),
        "runs": str(folder / "runs"),
    }
    path = folder / "select.yaml"
    path.write_text(yaml.safe_dump(settings))
    out = str(folder / "out.jsonl")
    pool = str(folder / "pool.jsonl")
    return ["select", pool, "--config", str(path), "--out", out, "--json"]


def process(words: list[str], **how: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "tacos", *words], text=True, **how)


def finished(words: list[str]) -> dict[str, Any]:
    """The command in this process, to its end."""
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output[-3000:]
    return json.loads(made.stdout.splitlines()[-1])


def ready(folder: Path) -> Path:
    folder.mkdir()
    write_pool(folder / "pool.jsonl", ROWS)
    return folder


def test_sigkill_while_scoring(tmp_path: Path) -> None:
    killed, whole = ready(tmp_path / "killed"), ready(tmp_path / "whole")
    half_way = threading.Event()
    with FaultServer(answer=reply_to, delay_s=0.01) as server:
        server.on_hit = lambda count: half_way.set() if count >= ROWS + PAIRS // 2 else None
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        first = process(config(killed, server.endpoint), **quiet)
        assert half_way.wait(120)
        first.kill()
        first.wait()
        assert not (killed / "out.jsonl").exists()
        again = finished(config(killed, server.endpoint))
        twice = [content for content, count in server.asked.items() if count > 1]
        assert len(twice) <= CONCURRENCY  # in flight when it was killed: never answered to us
        assert server.hits == ROWS + PAIRS + len(twice)
    with FaultServer(answer=reply_to) as server:
        finished(config(whole, server.endpoint))
    assert (killed / "out.jsonl").read_bytes() == (whole / "out.jsonl").read_bytes()
    assert again["selected"] == 10
