"""Everything offline, seeded, and small."""

from __future__ import annotations

import gc
import os
import signal

# A shell starts what it puts into the background with this signal ignored, and programs of tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Before any test module imports transformers, datasets or wandb.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "disabled"  # "offline" in tests of what is tracked, which every command is
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Read when Ray is imported, which vLLM does too: loopback only, no token in the home directory, no statistics.
os.environ |= {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}

from pathlib import Path

import hypothesis
import numpy as np
import pytest

from tacos.models.embedder import Embedder, EmbedderSettings, packaged_minilm
from tacos.types import Pool, make_sample

# The same inputs in every run; `pytest --hypothesis-profile default` draws new ones. No test is failed by its time.
hypothesis.settings.register_profile("seeded", derandomize=True, deadline=None)
hypothesis.settings.load_profile("seeded")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests first: at the end of the run no core waits for another's last long one."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Keep what tests and libraries have made by now out of garbage collection: every training ends with a full one,
    which would look through a million objects for half a second."""
    gc.collect()
    gc.freeze()


def small_pool(n: int = 6) -> Pool:
    return Pool.from_samples(
        make_sample(f"Question number {i}?", "word " * (i + 1) + "end.", id=f"s{i}") for i in range(n)
    )


class LetterEmbedder(Embedder):
    """Letter counts as unit vectors: an embedder whose numbers can be worked out by hand."""

    def __init__(self, settings: EmbedderSettings | None = None) -> None:
        super().__init__(settings or EmbedderSettings(model="letters"))
        self.calls: list[list[str]] = []

    def __call__(self, texts, max_tokens=None, unit=True, what=""):  # type: ignore[no-untyped-def]
        self.calls.append(list(texts))
        letters = "abcdefghijklmnopqrstuvwxyz"
        counts = np.array([[t.lower().count(c) for c in letters] for t in texts], dtype=np.float32)
        return counts / np.maximum(1e-9, np.linalg.norm(counts, axis=1, keepdims=True)) if unit else counts


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights & Biases into files of this machine."""
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture
def pool() -> Pool:
    return small_pool()


@pytest.fixture(scope="session")
def minilm() -> Embedder:
    """The real default embedder; skips where it is not packaged, since tests have no network."""
    if packaged_minilm() is None:
        pytest.skip("needs the offline extra")
    return Embedder(EmbedderSettings())


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny LLaMA with random weights, to be read and not written to."""
    from tests.scoring import tiny_models

    return str(tiny_models.build(tmp_path_factory.mktemp("models") / "llama", "llama"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data for tests, where it exists: TACOS_SHARED, or a folder `shared` beside the checkout."""
    folder = Path(os.environ.get("TACOS_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("no shared data folder; set TACOS_SHARED")
    return folder
