"""The vLLM backend's own part, with a stand-in for the package: who gets the engine, and what happens when it dies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from tacos.errors import ConfigError, LLMError
from tacos.llm.backends.engine import release, start_options
from tacos.llm.backends.vllm import answer_logprobs
from tacos.llm.base import Request, Sampling
from tacos.llm.build import build_llm
from tacos.llm.client import complete
from tacos.llm.settings import LLMSettings, VLLMEngine
from tacos.usage import Ledger

from .helpers import ask, texts


class FakeEngine:
    """Answers one request a step, the last first; dies after `lives` replies."""

    def __init__(self, log: list[str], name: str, lives: int):
        self.log, self.name, self.lives = log, name, lives
        self.waiting: dict[str, Any] = {}
        self.model_config = SimpleNamespace(max_model_len=256)
        self.vllm_config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=2))
        self.engine_core = SimpleNamespace(shutdown=lambda: log.append(f"stop {name}"))
        log.append(f"start {name}")

    def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any) -> None:
        self.waiting[name] = (prompt["prompt_token_ids"], params)
        assert len(self.waiting) <= 4  # twice max_num_seqs

    def step(self) -> list[Any]:
        if self.lives == 0:
            raise RuntimeError("a worker died")
        self.lives -= 1
        name, (tokens, params) = self.waiting.popitem()
        said = SimpleNamespace(
            text=f" {len(tokens)} {params['seed']}", token_ids=[1], finish_reason="stop", logprobs=None
        )
        return [SimpleNamespace(request_id=name, finished=True, outputs=[said])]

    def abort_request(self, names: list[str]) -> None:
        for name in names:
            del self.waiting[name]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Engines that were started and stopped, in order."""
    events: list[str] = []

    def start(**options: Any) -> Any:
        lives = LIVES.pop(0) if LIVES else -1
        return SimpleNamespace(llm_engine=FakeEngine(events, Path(options["model"]).name, lives))

    kinds = SimpleNamespace(
        RequestOutputKind=SimpleNamespace(FINAL_ONLY=2), StructuredOutputsParams=lambda json: json
    )
    fake = SimpleNamespace(LLM=start, SamplingParams=lambda **options: options, sampling_params=kinds)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    yield events
    release()


LIVES: list[int] = []
"""Replies that the next engines give before they die."""


def settings(model: Path, **changes: Any) -> LLMSettings:
    return LLMSettings(backend="vllm", model=str(model), **changes)


def asks(count: int, temperature: float = 0.0) -> list[Request]:
    return [ask("x" * i, sampling=Sampling(temperature=temperature, max_tokens=4)) for i in range(count)]


def test_replies_come_back_to_their_rows(tiny_model: Path, log: list[str]) -> None:
    replies = complete(build_llm(settings(tiny_model), Ledger(), None), [*asks(9), ask("x" * 999)])
    shorts = [int((reply.text or "").split()[0]) for reply in replies[:-1]]
    assert shorts == sorted(shorts) and len(set(shorts)) == 9
    assert "context is 256" in (replies[-1].error or "")
    assert all("None" in (text or "") for text in texts(replies[:-1]))  # greedy rows have no seed
    hot = complete(build_llm(settings(tiny_model), Ledger(), None), asks(9, temperature=1.0))
    assert len({(reply.text or "").split()[1] for reply in hot}) == 9


def test_a_process_has_one_engine(tiny_model: Path, tmp_path: Path, log: list[str]) -> None:
    from . import tiny_llama

    other = tiny_llama.build(tmp_path / "other", seed=1)
    for model in (tiny_model, tiny_model, other, tiny_model):
        complete(build_llm(settings(model), Ledger(), None), asks(2))
    assert log == ["start tiny", "stop tiny", "start other", "stop other", "start tiny"]
    complete(build_llm(settings(other, engine=VLLMEngine(max_num_seqs=4)), Ledger(), None), [])
    release()
    assert log[5:] == ["stop tiny"]  # nothing was asked, so nothing was started


def test_what_a_dead_engine_has_answered_is_kept(tiny_model: Path, tmp_path: Path, log: list[str]) -> None:
    LIVES.append(5)
    cache = tmp_path / "cache.sqlite"
    with pytest.raises(LLMError, match=r"stopped working \(a worker died\).* run again"):
        complete(build_llm(settings(tiny_model), Ledger(), cache), asks(9))
    again = Ledger()
    replies = complete(build_llm(settings(tiny_model), again, cache), asks(9))
    assert all(reply.text for reply in replies)
    assert (again.total.calls, again.total.cached_calls) == (4, 5)
    assert log == ["start tiny", "stop tiny", "start tiny"]


def test_without_vllm_the_extra_is_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"pip install 'tacos-select\[vllm\]'"):
        complete(build_llm(settings(tiny_model), Ledger(), None), asks(1))


def test_only_the_weights_are_identity(tiny_model: Path, tmp_path: Path) -> None:
    plain, adapter = settings(tiny_model), tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    run = settings(tiny_model, dtype="float16", engine=VLLMEngine(tensor_parallel_size=2, max_model_len=128))
    adapted = settings(tiny_model, engine=VLLMEngine(lora=str(adapter)))
    assert plain.identity() == run.identity() != adapted.identity()
    assert plain.identity() == LLMSettings(model=str(tiny_model)).identity()
    with pytest.raises(ValidationError, match="engine is for backend: vllm"):
        LLMSettings(model="m", engine=VLLMEngine(lora="x"))


@pytest.mark.parametrize(("rank", "room"), [(4, 8), (16, 16), (65, 128), (513, None)])
def test_room_for_an_adapter_follows_its_rank(tmp_path: Path, rank: int, room: int | None) -> None:
    from peft import LoraConfig

    LoraConfig(r=rank).save_pretrained(tmp_path)
    engine = VLLMEngine(lora=str(tmp_path))
    if room is None:
        with pytest.raises(ConfigError, match="has rank 513; vLLM knows 512 at most"):
            start_options("m", "auto", engine)
    else:
        assert start_options("m", "auto", engine)["max_lora_rank"] == room


def test_a_folder_without_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a LoRA adapter"):
        start_options("m", "auto", VLLMEngine(lora=str(tmp_path)))


def test_log_probabilities_are_those_of_the_answers_first_token() -> None:
    def place(*tokens: tuple[int, str, float]) -> dict[int, Any]:
        return {
            id_: SimpleNamespace(decoded_token=text, logprob=value, rank=rank)
            for rank, (id_, text, value) in enumerate(tokens, 1)
        }

    thought, verdict = (
        place((1, "<think>", -0.1), (3, "B", -3.0)),
        place((2, "A", -0.2), (3, "B", -2.0), (4, "C", -9.0)),
    )
    end = place((5, "</think>", -0.1))
    said = SimpleNamespace(text="<think></think>A", token_ids=[1, 5, 2], logprobs=[thought, end, verdict])
    assert answer_logprobs(said, 2) == {"A": -0.2, "B": -2.0}
    assert answer_logprobs(SimpleNamespace(text="A", token_ids=[2], logprobs=None), 2) is None
