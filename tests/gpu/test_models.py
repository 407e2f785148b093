"""On a CUDA device: what local models and embedders say there is what they say on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tacos.llm.backends.engine import release
from tacos.llm.base import Sampling
from tacos.llm.build import build_llm
from tacos.llm.client import complete
from tacos.llm.settings import LLMSettings, VLLMEngine
from tacos.models.batches import Supervised, hidden_states, token_losses
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.models.local import load_lm
from tacos.usage import Ledger
from tests.llm import tiny_llama
from tests.llm.helpers import ask
from tests.llm.vllm_engine import NEEDS_VLLM

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
TEXTS = ["How far is the moon?", "Write a poem about rain.", "Sort these numbers: 3, 1, 2.", "Why? " * 40]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random, with heads of 32 dimensions, which all kernels know."""
    folder = tmp_path_factory.mktemp("llama") / "model"
    model, tokenizer = tiny_llama.make(TEXTS * 20, 0, context=256, heads=2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rows() -> list[Supervised]:
    rng = np.random.default_rng(0)
    return [Supervised(rng.integers(3, 250, n).tolist(), [0] * 2 + [1] * (n - 2)) for n in (200, 7, 60, 61)]


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-3), ("bfloat16", 0.05)])
def test_losses_are_those_of_a_cpu(llama: Path, rows: list[Supervised], dtype: str, near: float) -> None:
    found = dict(token_losses(load_lm(str(llama), dtype, device="cuda"), rows, budget=256))
    for row, loss in token_losses(load_lm(str(llama), "float32", device="cpu"), rows):
        assert found[row] == pytest.approx(loss, abs=near)


def test_hidden_states_are_those_of_a_cpu(llama: Path, rows: list[Supervised]) -> None:
    found = dict(hidden_states(load_lm(str(llama), "float32", device="cuda"), rows, budget=256))
    for row, state in hidden_states(load_lm(str(llama), "float32", device="cpu"), rows):
        assert found[row] == pytest.approx(state, abs=1e-3)


def test_embeddings_are_near_those_of_a_cpu(minilm: Embedder) -> None:
    here = Embedder(EmbedderSettings(device="cpu"))(TEXTS)
    for dtype, near in (("float32", 0.9999), ("bfloat16", 0.99)):
        there = Embedder(EmbedderSettings(device="cuda", dtype=dtype))(TEXTS)
        assert (here * there).sum(axis=1).min() > near


@NEEDS_VLLM
def test_vllm_in_this_process_answers_greedily_what_transformers_does(llama: Path) -> None:
    requests = [ask(text, sampling=Sampling(temperature=0.0, max_tokens=1)) for text in TEXTS[:3]]
    said = []
    engine = {"engine": VLLMEngine(enforce_eager=True, gpu_memory_utilization=0.3)}
    for backend, options in (("transformers", {}), ("vllm", engine)):
        chosen = LLMSettings(backend=backend, model=str(llama), dtype="float32", **options)
        said.append([reply.text for reply in complete(build_llm(chosen, Ledger(), None), requests)])
    release()
    assert said[0] == said[1] and None not in said[0]
