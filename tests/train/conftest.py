from __future__ import annotations

import random
from pathlib import Path

import pytest

from tacos.data.builtin.build import BuiltinSettings, build
from train.tiny import TinySettings, build_tiny

MICRO = TinySettings(vocab_size=400, hidden=32, layers=1, heads=2, steps=4, batch_size=4, block=64)


@pytest.fixture(scope="session")
def micro_pool():
    return build(BuiltinSettings(size=40, seed=1, defect_rate=0, test_size=0, corpus_size=0)).pool


@pytest.fixture(scope="session")
def micro_base(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("micro") / "base"
    rng = random.Random(0)
    corpus = [f"{rng.choice(['The', 'A'])} {rng.choice(['cat', 'dog'])} is here." for _ in range(300)]
    build_tiny(corpus, MICRO, out)
    return out


@pytest.fixture(autouse=True)
def untracked(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
