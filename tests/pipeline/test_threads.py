"""The same picks whatever the number of threads, so that machines of different sizes can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_limits

from tacos.config import parse
from tacos.pipeline.select import select
from tacos.pipeline.settings import SelectSettings


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_one_thread_and_two_select_the_same(tmp_path: Path) -> None:
    """All embedded parts: embeddings, clusters, the fitted quality model, comparisons and what they are read out to."""
    picks = []
    for number in (1, 2):
        said: dict[str, Any] = {
            "pool": {"builtin": {"size": 80, "test_size": 6, "corpus_size": 1}},
            "method": "tacos",
            "budget": 20,
            "embedder": {"workers": 1, "device": "cpu"},
            "tracking": {"mode": "disabled"},
        }
        said |= {name: str(tmp_path / str(number) / name) for name in ("artifacts", "runs")}
        out = tmp_path / f"{number}.jsonl"
        with threads(number):
            select(parse(SelectSettings, said), out)
        picks.append([json.loads(line)["id"] for line in out.read_text().splitlines()])
    assert picks[0] == picks[1] and len(picks[0]) == 20
