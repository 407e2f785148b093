"""vLLM answering evaluation questions for real: the same greedy answers as transformers, templates included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tacos.answering.answer_file import AnswerRun, answer_file
from tacos.answering.candidate import Candidate, GenerateSettings, in_process
from tacos.llm.settings import VLLMEngine
from tacos.types import Question
from tests.llm.test_vllm import adapt
from tests.llm.vllm_engine import NEEDS_VLLM, engine_on_cpu

pytestmark = [pytest.mark.slow, NEEDS_VLLM]
QUESTIONS = [Question(id=f"q{i}", turns=(f"Add {i} and {i}.", "Again?")[: 1 + i % 2]) for i in range(24)]
GREEDY = GenerateSettings(max_new_tokens=12, template="plain", dtype="float32")
EAGER = VLLMEngine(enforce_eager=True, max_num_seqs=8)


@pytest.fixture(scope="module", autouse=True)
def engine_of_this_module() -> Iterator[None]:
    with engine_on_cpu():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.llm import tiny_llama, work

    return tiny_llama.taught(tmp_path_factory.mktemp("models") / "taught", work.lessons())


def by_vllm(model: Path, settings: GenerateSettings = GREEDY, engine: VLLMEngine = EAGER) -> Candidate:
    return in_process(str(model), settings, by="vllm", engine=engine)


def answers(candidate: Candidate, out: Path, questions: list[Question] = QUESTIONS) -> AnswerRun:
    return answer_file(candidate, questions, out, "m", 0)


def test_greedy_answers_are_those_of_transformers(model: Path, tmp_path: Path) -> None:
    ours = answers(by_vllm(model), tmp_path / "vllm.jsonl")
    theirs = answers(in_process(str(model), GREEDY, "cpu"), tmp_path / "transformers.jsonl")
    assert [a.turns for a in ours.answers] == [a.turns for a in theirs.answers]
    assert len(ours.answers) == 24 and not ours.failed


def test_sampled_answers_do_not_depend_on_those_beside_them(model: Path, tmp_path: Path) -> None:
    hot = GREEDY.model_copy(update={"temperature": 1.0})
    candidate = by_vllm(model, hot)
    all_of_them = answers(candidate, tmp_path / "all.jsonl").answers
    one = answers(candidate, tmp_path / "one.jsonl", QUESTIONS[5:6]).answers
    assert one[0].turns == all_of_them[5].turns
    assert len({answer.turns for answer in all_of_them}) > 12


def test_a_checkpoint_as_an_adapter_answers_as_if_merged(model: Path, tmp_path: Path) -> None:
    adapter, merged = adapt(model, tmp_path)
    lora = EAGER.model_copy(update={"lora": str(adapter)})
    adapted = by_vllm(model, GREEDY, lora)
    plain = by_vllm(model)
    assert adapted.identity != plain.identity == {**adapted.identity, "model": plain.identity["model"]}
    ours = answers(adapted, tmp_path / "adapter.jsonl")
    theirs = answers(in_process(str(merged), GREEDY, "cpu"), tmp_path / "merged.jsonl")
    assert [a.turns for a in ours.answers] == [a.turns for a in theirs.answers]
