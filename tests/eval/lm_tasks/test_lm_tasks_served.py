"""Models behind a server, and whole runs of the command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from eval.lm_tasks.run import run_tasks_served
from eval.lm_tasks.settings import LMTasksSettings
from tacos.errors import ConfigError, LLMError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Request
from tests.cli.helpers import last_json, tacos
from tests.eval.lm_tasks.own_tasks import CHOICE, GROUP, REPLY
from tests.llm.server import FaultServer

pytest.importorskip("lm_eval")


def settings(own: Path, *tasks: str, **more: Any) -> LMTasksSettings:
    return LMTasksSettings(tasks=tasks, include_path=(str(own),), **more)


def lm_eval(*words: str | Path) -> Result:
    return tacos("eval", "lm-eval", *words)


def sums_up(request: Request) -> str:
    """ "3 + 2 =" -> "5", and a stop string with more behind it."""
    question = request.messages[-1].content.removeprefix("Q: ").split(" =")[0]
    return f"{sum(int(part) for part in question.split(' + '))}\n\nthat is 99"


def test_a_server_answers_tasks_that_generate(own_tasks: Path, tmp_path: Path) -> None:
    llm = ScriptedLLM(sums_up, model="served")
    made = run_tasks_served(llm, settings(own_tasks, REPLY), tmp_path)
    figures = made.run.task(REPLY).figures
    assert figures["exact_match,whole"].value == figures["exact_match,digits"].value == 1.0
    assert (made.run.model, made.samples[0].responses) == ("served", [["1"]])


def test_conversations_reach_a_server_as_messages(own_tasks: Path, tmp_path: Path) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> str:
        asked.append(request)
        return sums_up(request)

    how = settings(own_tasks, REPLY, apply_chat_template=True, system_instruction="Sum up.", limit=2)
    run_tasks_served(ScriptedLLM(answer), how, tmp_path)
    assert [message.role for message in asked[0].messages] == ["system", "user"]
    assert asked[0].sampling.max_tokens == 12 and asked[0].sampling.temperature == 0


def test_what_a_server_is_not_told_of_is_said(own_tasks: Path, tmp_path: Path) -> None:
    def notes(**kwargs: Any) -> tuple[str, ...]:
        how = settings(own_tasks, REPLY, limit=1, gen_kwargs=kwargs)
        return run_tasks_served(ScriptedLLM(sums_up), how, tmp_path).run.notes

    (note,) = notes(repetition_penalty=1.2, no_repeat_ngram_size=3)
    assert note.startswith("the server is not told of no_repeat_ngram_size, repetition_penalty:")
    assert notes(num_beams=1, temperature=0.0) == ()


def test_what_a_server_cannot_do_is_refused(own_tasks: Path, tmp_path: Path) -> None:
    llm = ScriptedLLM(sums_up)
    with pytest.raises(ConfigError, match=f"{CHOICE}: the log-probability of a given text is needed"):
        run_tasks_served(llm, settings(own_tasks, REPLY, CHOICE), tmp_path)
    with pytest.raises(ConfigError, match="sums_large, sums_small: the log-probability"):
        run_tasks_served(llm, settings(own_tasks, GROUP), tmp_path)
    assert llm.calls == 0


def test_a_missing_reply_is_no_answer(own_tasks: Path, tmp_path: Path) -> None:
    broken = ScriptedLLM(lambda request: ValueError("too busy"))
    with pytest.raises(LLMError, match=r"12 of 12 requests have no reply, the first: .*too busy"):
        run_tasks_served(broken, settings(own_tasks, REPLY), tmp_path)
    assert not (tmp_path / "tasks.json").exists()


def test_the_command_asks_a_server_once(
    own_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with FaultServer() as server:
        server.answer = lambda content: "5"
        words = ("--model", "mine", "--tasks", REPLY, "--include-path", own_tasks, "--out", "out", "--json")
        words += ("answering.by=llm", "llms.mine.model=m", f"llms.mine.endpoint={server.endpoint}")
        first = last_json(lm_eval(*words))
        asked = server.hits
        assert last_json(lm_eval(*words)) == first and server.hits == asked > 0
    figure = first["models"]["mine"]["tasks"][REPLY]["exact_match,whole"]
    assert (figure["n"], 0 < figure["value"] < 1) == (12, True)


def test_the_command_runs_a_model_and_reads_its_records(
    own_tasks: Path, tiny: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--model", tiny["gpt2"], "--tasks", CHOICE, REPLY, "--include-path", own_tasks, "--limit", 5)
    made = last_json(lm_eval(*words, "--out", "out", "--json", "lm_tasks.batch_size=2"))
    tasks = made["models"]["gpt2"]["tasks"]
    assert set(tasks) == {CHOICE, REPLY} and tasks[CHOICE]["acc_norm"]["n"] == 5
    assert "5 of 12 questions" in made["problems"][0]
    stored = last_json(lm_eval("--samples", "out/samples.jsonl", "--json"))
    assert stored["models"] == made["models"]
    chat = last_json(lm_eval(*words, "--apply-chat-template", "--num-fewshot", 1, "--name", "c", "--json"))
    assert chat["models"]["c"]["about"][CHOICE]["num_fewshot"] == 1
    assert Path("runs/lm-eval-c/samples.jsonl").is_file()
    refused = lm_eval("--model", "m", "--tasks", CHOICE, "answering.by=vllm")
    assert refused.exit_code == 2 and "answering.by=vllm" in refused.stderr
