"""Embeddings: numbers, batches, shards that outlive a kill, and several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from tacos.errors import ConfigError
from tacos.models import embedder as module
from tacos.models.batches import buckets
from tacos.models.embedded import embedded, text_reading
from tacos.models.embedder import Embedder, EmbedderSettings, packaged_minilm
from tacos.models.flops import parameters_at_work
from tacos.models.onednn import OneDNNLinear
from tacos.ray_cluster import RayActors
from tacos.store import kept
from tacos.usage import Ledger
from tests.models.embedding import FLOAT32, POOL, ROWS, run, written


@contextmanager
def threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_bfloat16_is_near_float32(minilm: Embedder) -> None:
    exact = Embedder(FLOAT32)(POOL.responses)
    found = Embedder(EmbedderSettings(dtype="bfloat16", device="cpu"))(POOL.responses)
    assert found.dtype == np.float32 and np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    errors = 1 - (found * exact).sum(1)
    assert 1e-7 < errors.mean() < 2e-4 and errors.max() < 1e-3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_vectors_do_not_hang_on_threads(minilm: Embedder, dtype: Any) -> None:
    made = Embedder(EmbedderSettings(dtype=dtype, device="cpu"))
    with threads(1):
        one = made(POOL.responses)
    with threads(2):
        two = made(POOL.responses)
    assert two == pytest.approx(one, abs=1e-6)


def test_linear_layers_by_onednn_say_what_torchs_say(minilm: Embedder) -> None:
    texts, made = list(POOL.responses), Embedder(FLOAT32)
    plain = SentenceTransformer(str(packaged_minilm()), device="cpu", model_kwargs={"dtype": "float32"})
    assert made(texts) == pytest.approx(plain.encode(texts, normalize_embeddings=True), abs=2e-6)
    if torch.backends.mkldnn.is_available():
        linear = [layer for layer in made.model.modules() if isinstance(layer, torch.nn.Linear)]
        assert linear and all(type(layer) is OneDNNLinear for layer in linear)
    assert parameters_at_work(made.model) == parameters_at_work(plain)


def test_raw_vectors_are_those_of_unit_length_at_their_own(minilm: Embedder) -> None:
    raw = minilm(POOL.prompts, unit=False)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert raw / lengths == pytest.approx(minilm(POOL.prompts), abs=1e-5)
    assert minilm([]).shape == (0, 0)


def test_batches_hold_texts_of_like_length() -> None:
    assert buckets([3, 9, 4, 20, 8, 2], 18) == [[3], [1, 4], [2, 0, 5]]


def test_auto_is_bfloat16_where_a_cpu_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, native, numbers in (
        ("cpu", True, "bfloat16"),
        ("cpu", False, "float32"),
        ("cuda", True, "float32"),
    ):
        monkeypatch.setattr(module, "pick_device", lambda asked, here=device: here)
        monkeypatch.setattr(module, "native_bfloat16", lambda asked, can=native: can)
        settings = EmbedderSettings(dtype="auto")
        assert settings.numbers() == settings.identity()["dtype"] == numbers
    elsewhere = FLOAT32.model_copy(update={"workers": 3, "batch_tokens": 9, "ray": RayActors()})
    assert (
        embedded(written(), elsewhere, "pair").fingerprint == embedded(written(), FLOAT32, "pair").fingerprint
    )


def test_a_killed_stage_goes_on_from_its_last_shard(
    minilm: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "CHUNK", 8)
    whole, alone = run(tmp_path / "whole", FLOAT32)
    read: list[int] = []
    real = Embedder.__call__

    def dying(self: Embedder, texts: list[str], *more: Any, **named: Any) -> np.ndarray:
        if len(read) == 2:
            read.append(0)
            raise KeyboardInterrupt
        read.append(len(texts))
        return real(self, texts, *more, **named)

    monkeypatch.setattr(Embedder, "__call__", dying)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", FLOAT32)
    resumed, both = run(tmp_path / "killed", FLOAT32)
    assert read == [8, 8, 0, 8]
    assert (resumed == whole).all() and whole.shape == (ROWS, 384)
    assert both.usage.forward_tokens == alone.usage.forward_tokens > 0
    assert both.outcome.metrics == alone.outcome.metrics


@pytest.mark.slow
def test_two_processes_embed_as_one_does(minilm: Embedder, tmp_path: Path) -> None:
    one, alone = run(tmp_path / "one", FLOAT32)
    two, both = run(tmp_path / "two", FLOAT32.model_copy(update={"workers": 2, "batch_tokens": 64}))
    assert two == pytest.approx(one, abs=1e-6)
    assert both.fingerprint == alone.fingerprint
    assert both.usage.forward_tokens == alone.usage.forward_tokens
    assert both.outcome.metrics == alone.outcome.metrics


def test_another_machine_embeds_in_the_same_numbers_by_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    chosen = EmbedderSettings(model=str(tmp_path), device="cpu")
    reading = text_reading(chosen.model_copy(update={"dtype": "auto"}), "pair", None)
    assert reading.settings.dtype == reading.settings.numbers()
    (tmp_path / "model.safetensors").write_bytes(b"two")
    with pytest.raises(ConfigError, match=r"has local@\w+ as .* put the same files at the same path"):
        reading.load("cpu", Ledger())
