"""Candidates in this process: the same answers as ever, limits, and vLLM's part as far as it is ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tacos.answering.answer_file import AnswerRun, answer_file
from tacos.answering.asking import conversation, generate
from tacos.answering.candidate import Candidate, GenerateSettings, in_process, served
from tacos.errors import ConfigError, TacosError
from tacos.llm.backends.engine import release
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.client import CachedLLM
from tacos.llm.settings import VLLMEngine
from tacos.models.chat import end_token, prompt_ids
from tacos.models.local import load_lm, load_tokenizer
from tacos.models.wrapping import alpaca
from tacos.types import Message, Question
from tests.llm.tiny_llama import build


def run(candidate: Candidate, questions: Sequence[Question], out: Path) -> AnswerRun:
    return answer_file(candidate, questions, out, "m")


# transformers


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("tiny") / "model"))


FOXES = [
    Question(id=f"q{i}", turns=("the quick fox " * (1 + i % 7) + str(i), "and the lazy dog?")[: 1 + i % 2])
    for i in range(20)
]
RECORDED: dict[str, tuple[dict[str, Any], dict[int, tuple[str, ...]]]] = {
    "plain": (
        {"template": "plain"},
        {
            1: ("\ufffd-t\ufffd:_\ufffda7:_\ufffd", "=\ufffd\n=\ufffd\n=\ufffd\n=\ufffd"),
            7: ("=\ufffd\x04Q ov\x1bq\x04Q\xe9", "=\ufffd\n=\ufffd\n=\ufffd\n=\ufffd"),
        },
    ),
    "another template": (
        {"template": "vicuna_v1.1"},
        {1: ("_br\ufffd\x1f" + "\ufffd" * 8, "_br\ufffd\x1f\ufffd\ufffd[\ufffdy\ufffd\ufffd\ufffd")},
    ),
    "prompts cut": (
        {"template": "plain", "max_length": 24},
        {1: ("=\ufffd\n=\ufffd\n=\ufffd\n=\ufffd", "owowow]a\x0e(" + "\ufffd" * 5)},
    ),
}
"""Settings, and what a random LLaMA answers by them: recorded when candidates had a generation loop of their own."""


@pytest.fixture(scope="module")
def fox(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("fox") / "model", seed=3, context=1024))


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("batch_size", [3, 64])
def test_greedy_answers_are_those_that_were_recorded(fox: str, name: str, batch_size: int) -> None:
    changes, wanted = RECORDED[name]
    settings = GenerateSettings(max_new_tokens=12, batch_size=batch_size, **changes)
    made = generate(in_process(fox, settings, "cpu"), FOXES, "m")
    assert {i: made[i].turns for i in wanted} == wanted


def test_greedy_answers_are_the_model_s_likeliest_tokens_one_question_at_a_time(fox: str) -> None:
    import torch

    settings = GenerateSettings(max_new_tokens=12, template="plain")
    made = generate(in_process(fox, settings, "cpu"), FOXES, "m")
    lm = load_lm(fox, template="plain", device="cpu")
    for question, answer in zip(FOXES, made, strict=True):
        for turn, said in enumerate(answer.turns):
            ids = prompt_ids(lm.tokenizer, conversation(question, answer.turns[:turn]))
            start = len(ids)
            while len(ids) < start + 12 and ids[-1] != lm.tokenizer.eos_token_id:
                with torch.inference_mode():
                    ids.append(int(lm.model(torch.tensor([ids])).logits[0, -1].argmax()))
            assert lm.tokenizer.decode(ids[start:], skip_special_tokens=True).strip() == said


def test_questions_are_asked_in_the_alpaca_preamble_where_that_is_asked_for() -> None:
    asked = [Message(role="user", content="Name a fruit.")]
    for wrap, wanted in (
        ("auto", "Name a fruit."),
        ("none", "Name a fruit."),
        ("alpaca", alpaca("Name a fruit.")),
    ):
        candidate = served(ScriptedLLM(lambda request: ""), GenerateSettings(wrap=wrap))  # type: ignore[arg-type]
        assert candidate.request(asked, "", 0).messages[0].content == wanted
        assert candidate.identity["wrap"] == wrap


def test_a_model_trained_again_is_another_model(model_dir: str, tmp_path: Path) -> None:
    settings = GenerateSettings(max_new_tokens=4, batch_size=2, template="plain")
    questions, out = FOXES[:5], tmp_path / "a.jsonl"
    done = run(in_process(model_dir, settings, "cpu"), questions, out)
    wider = settings.model_copy(update={"batch_size": 5})
    moved = build(tmp_path / "moved")
    again = run(in_process(str(moved), wider, "cpu"), questions, out)
    assert (len(done.answers), again.kept, again.answers) == (5, 5, done.answers)
    build(moved, seed=1)
    with pytest.raises(TacosError, match="5 of another model"):
        run(in_process(str(moved), wider, "cpu"), questions, out)
    for change in ({"template": "vicuna_v1.1"}, {"max_length": 100}, {"dtype": "float32"}):
        with pytest.raises(TacosError, match="5 of another model"):
            changed = settings.model_copy(update=change)
            run(in_process(model_dir, changed, "cpu"), questions, out)


def test_long_prompts_lose_their_oldest_tokens_and_that_is_said(
    fox: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = Question(id="a", turns=("jumps " * 2000,))
    for limit, wanted in ((24, 24), (4096, 1023)):  # of the settings, and of the model's context
        settings = GenerateSettings(max_new_tokens=2, max_length=limit, template="plain")
        assert generate(in_process(fox, settings, "cpu"), [long], "m")[0].turns
        assert f"1 of 1 prompts are over {wanted} tokens and lose their oldest" in caplog.text
    assert "1 of 1 replies may end before max_tokens, at the context's 1024 tokens" in caplog.text


def test_weights_in_this_process_cost_nothing(fox: str) -> None:
    candidate = in_process(fox, GenerateSettings(max_new_tokens=2, template="plain"), "cpu")
    generate(candidate, FOXES[:2], "m")
    assert isinstance(candidate.llm, CachedLLM) and candidate.llm.cache is None
    assert candidate.llm.known([candidate.request(conversation(FOXES[0], []), "", 0)]) == [False]


# vLLM


class FakeVLLM:
    """Stands in for the module vllm, and records what it is asked; it proves our side only, not vLLM's."""

    def __init__(self, context: int = 256):
        self.started: list[dict[str, Any]] = []
        self.asked: list[tuple[list[int], dict[str, Any]]] = []
        self.waiting: dict[str, list[int]] = {}
        self.model_config = SimpleNamespace(max_model_len=context)
        self.vllm_config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=2))
        self.engine_core = SimpleNamespace(shutdown=lambda: None)
        self.sampling_params = SimpleNamespace(RequestOutputKind=SimpleNamespace(FINAL_ONLY=2))

    def SamplingParams(self, **options: Any) -> dict[str, Any]:  # noqa: N802
        return options

    def LLM(self, **options: Any) -> Any:  # noqa: N802
        self.started.append(options)
        return SimpleNamespace(llm_engine=self)

    def add_request(self, name: str, prompt: Any, params: dict[str, Any], lora_request: Any) -> None:
        assert lora_request is None
        self.asked.append((prompt["prompt_token_ids"], params))
        self.waiting[name] = prompt["prompt_token_ids"]

    def step(self) -> list[Any]:
        name, ids = self.waiting.popitem()
        said = SimpleNamespace(text=f" {len(ids)} tokens ", token_ids=[1, 2], finish_reason="stop")
        return [SimpleNamespace(request_id=name, finished=True, outputs=[said])]


@pytest.fixture(autouse=True)
def no_engine_of_another_test() -> Iterator[None]:
    yield
    release()


def by_vllm(model: str, engine: VLLMEngine | None = None, **settings: Any) -> Candidate:
    how = GenerateSettings(**{"max_new_tokens": 8, "template": "plain", **settings})
    return in_process(model, how, by="vllm", engine=engine)


def test_vllm_is_asked_with_our_template_stops_and_seeds(
    model_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", fake := FakeVLLM())
    engine = VLLMEngine(tensor_parallel_size=2, max_model_len=256, enforce_eager=True)
    warm = {"temperatures": {"writing": 0.7}, "top_p": 0.9, "dtype": "bfloat16"}
    questions = [
        Question(id="a", turns=("the fox", "the dog"), category="writing"),
        Question(id="b", turns=("fox",)),
    ]
    done = run(by_vllm(model_dir, engine, **warm), questions, tmp_path / "a.jsonl")
    tokenizer = load_tokenizer(model_dir, "plain")
    (first, greedy), (second, drawn), (third, later) = fake.asked
    assert first == prompt_ids(tokenizer, conversation(questions[1], []))  # by temperature
    assert second == prompt_ids(tokenizer, conversation(questions[0], []))
    reply = f"{len(second)} tokens"
    assert third == prompt_ids(tokenizer, conversation(questions[0], [reply]))
    assert done.answers[0].turns[0] == reply
    for how, seeded in ((greedy, False), (drawn, True)):
        assert (how["stop_token_ids"], how["max_tokens"]) == ([end_token(tokenizer)], 8)
        assert (how["temperature"], how["top_p"]) == ((0.7, 0.9) if seeded else (0.0, 1.0))
        assert (how["seed"] is not None) == seeded
    assert len({drawn["seed"], later["seed"]}) == 2 and 0 <= drawn["seed"] < 2**63
    (started,) = fake.started  # for both turns
    options = {"tensor_parallel_size": 2, "max_model_len": 256, "enforce_eager": True, "dtype": "bfloat16"}
    assert options.items() <= started.items() and started["model"] == model_dir
    assert "max_num_seqs" not in started and "enable_lora" not in started


def test_a_seed_of_vllm_follows_the_run_the_question_and_the_turn(
    model_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seeds(seed: int, questions: Sequence[Question]) -> list[int]:
        monkeypatch.setitem(sys.modules, "vllm", fake := FakeVLLM())
        release()
        generate(by_vllm(model_dir, temperature=0.7), questions, "m", seed)
        return [params["seed"] for _, params in fake.asked]

    two = [Question(id=id_, turns=("fox",)) for id_ in "ab"]
    assert seeds(0, two) == seeds(0, two[:1]) + seeds(0, two[1:])
    assert len({*seeds(0, two), *seeds(1, two)}) == 4


def test_vllm_never_gets_a_prompt_that_fills_its_context(
    model_dir: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", fake := FakeVLLM(context=64))
    generate(by_vllm(model_dir), [Question(id="a", turns=("jumps " * 100,))], "m")
    assert len(fake.asked[0][0]) == 63
    assert "1 of 1 prompts are over 63 tokens" in caplog.text
    assert "1 of 1 replies may end before max_tokens" in caplog.text


def test_vllm_that_is_missing_or_does_not_start(model_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"needs the package vllm .*install 'tacos-select\[vllm\]'"):
        generate(by_vllm(model_dir), FOXES, "m")

    def no_gpu(**options: Any) -> Any:
        raise RuntimeError("Device string must not be empty\nmore")

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=no_gpu))
    with pytest.raises(TacosError, match=r"vLLM does not start with .*: Device string must not be empty"):
        generate(by_vllm(model_dir), FOXES, "m")


def test_a_preset_stands_for_settings_and_gives_way_to_those_beside_it() -> None:
    theirs = GenerateSettings.model_validate({"preset": "tacos", "wrap": "none"})
    assert (theirs.temperature, theirs.max_new_tokens, theirs.wrap) == (0.7, 512, "none")
    mt_bench = GenerateSettings.model_validate({"preset": "fastchat"})
    assert [mt_bench.temperature_of(c) for c in ("writing", "stem", "math", "other")] == [0.7, 0.1, 0.0, 0.0]
    assert mt_bench.max_new_tokens == 1024
    with pytest.raises(ValueError, match="unknown preset 'fastchatt': did you mean 'fastchat'"):
        GenerateSettings.model_validate({"preset": "fastchatt"})
    with pytest.raises(ValueError, match=r"unknown preset \['fastchat'\]"):
        GenerateSettings.model_validate({"preset": ["fastchat"]})
