"""Fixtures of the LLM tests: a server that can fail, and a tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import tiny_llama, work
from .server import FaultServer


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def taught_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It tags, scores and judges in forms that can be read, and knows nothing (`work.py`)."""
    return tiny_llama.taught(tmp_path_factory.mktemp("models") / "taught", work.lessons())
