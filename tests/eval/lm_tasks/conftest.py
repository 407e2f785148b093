"""Fixtures of the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eval.lm_tasks.own_tasks import own_tasks, tiny

__all__ = ["own_tasks", "tiny"]


@pytest.fixture(autouse=True, scope="session")
def data_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `datasets` makes of JSON files goes into a folder of the tests."""
    import datasets.config

    before, folder = datasets.config.HF_DATASETS_CACHE, tmp_path_factory.mktemp("datasets")
    datasets.config.HF_DATASETS_CACHE = Path(os.fspath(folder))
    yield
    datasets.config.HF_DATASETS_CACHE = before
