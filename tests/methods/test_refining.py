"""Refinement: what was selected is rewritten; a text that cannot be had stays as it was, and says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Completion, Request
from tacos.llm.parse import ParseError
from tacos.methods.refining import Refine, RewriteInstruction, RewriteResponse
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.plan import plan
from tacos.pipeline.settings import SelectSettings
from tacos.store.files import read_jsonl
from tacos.types import make_sample
from tests.pipeline.helpers import scripted_tools

TALK = {
    "id": "talk",
    "instruction": "Bye",
    "output": "See you soon",
    "history": [["Hi", "Hello, can I help you?"]],
}
ROWS: list[dict[str, Any]] = [
    {"id": "whole", "instruction": "Name a fruit.", "output": "Apple, I think <answer>"},
    {"id": "with-input", "instruction": "Sort these.", "input": "b, a", "output": "a, b, sorted"},
    {"id": "chatty", "instruction": "Name a colour.", "output": "Blue is a colour"},
    {"id": "cut", "instruction": "Tell a story.", "output": "Once upon a time there was"},
    TALK,
]


def rewriting(request: Request) -> str | Completion:
    """The text in capitals, behind a draft; nothing readable for "chatty", and half a response for "cut"."""
    text = request.messages[-1].content
    if "Name a colour" in text:
        return "I would rather not."
    first, last = ("Response:", None) if request.prompt == "refine_response" else ("Instruction:", "Input (")
    old = text.rpartition(f"\n\n{first}\n\n")[2].partition(last or "\0")[0].strip()
    reply = f"It lacks much. <refined>draft</refined>\n<refined>\n{old.upper()}\n</refined> Done."
    if "upon a time" in text:
        return Completion(text=reply[:40], finish_reason="length", prompt_tokens=9, completion_tokens=9)
    return reply


def settings(folder: Path, **refine: Any) -> SelectSettings:
    pool = folder / "pool.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    data = {
        "pool": {"source": str(pool)},
        "method": "full",
        "llms": {"refiner": {"backend": "scripted", "model": "scripted"}},
        "refine": refine,
        "artifacts": str(folder / "artifacts"),
    }
    return parse(SelectSettings, data)


def refined(folder: Path, chosen: SelectSettings, model: ScriptedLLM) -> dict[str, dict[str, Any]]:
    store = ArtifactStore(folder / "artifacts")
    stage = selection_stage(chosen)
    tools = scripted_tools(folder / "replies.sqlite", model, max_failed_share=1.0)
    return {row["id"]: row for row in read_jsonl(store.run(stage, tools) / "selection.jsonl")}


def texts(row: dict[str, Any]) -> list[str]:
    return [message["content"] for message in row["messages"]]


def test_response_and_instruction_are_rewritten_and_the_input_stays(tmp_path: Path) -> None:
    rows = refined(tmp_path, settings(tmp_path), ScriptedLLM(rewriting))
    assert texts(rows["with-input"]) == ["SORT THESE.\n\nb, a", "A, B, SORTED"]
    assert rows["with-input"]["input"] == "b, a"
    before = rows["with-input"]["refinement"]
    assert [m["content"] for m in before["original"]] == ["Sort these.\n\nb, a", "a, b, sorted"]
    assert before["response"] is None and before["instruction"] is None
    assert texts(rows["whole"]) == ["NAME A FRUIT.", "APPLE, I THINK <ANSWER>"]  # its mark came through whole


def test_what_cannot_be_read_or_was_cut_keeps_the_original_and_is_counted(tmp_path: Path) -> None:
    model = ScriptedLLM(rewriting)
    chosen = settings(tmp_path)
    rows = refined(tmp_path, chosen, model)
    assert texts(rows["chatty"]) == ["Name a colour.", "Blue is a colour"]
    assert (
        rows["chatty"]["refinement"]["response"] == "no text between <refined> and </refined>, asked 2 times"
    )
    assert texts(rows["cut"])[1] == "Once upon a time there was"
    assert "cut off at the token limit" in rows["cut"]["refinement"]["response"]
    assert texts(rows["talk"])[-2:] == ["Bye", "See you soon"]
    assert rows["talk"]["refinement"]["response"] == "more than one round of conversation"
    store = ArtifactStore(tmp_path / "artifacts")
    response, instruction = list(selection_stage(chosen).walk())[-2:]
    assert (response.name, instruction.name) == ("refine_response", "refine_instruction")
    assert store.record(response).outcome.rows_failed == 3


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    first = ScriptedLLM(rewriting)
    before = refined(tmp_path, settings(tmp_path), first)
    again = ScriptedLLM(rewriting)
    assert refined(tmp_path, settings(tmp_path), again) == before
    assert first.calls and not again.calls


def test_a_step_can_be_left_out_and_the_marks_are_the_users(tmp_path: Path) -> None:
    prompt = tmp_path / "mine.txt"
    prompt.write_text("Rewrite between [A] and [B]: $response")

    def marked(request: Request) -> str:
        return "[A]better[B]"

    chosen = settings(
        tmp_path, instruction=None, response={"prompt": str(prompt), "begin": "[A]", "end": "[B]"}
    )
    rows = refined(tmp_path, chosen, ScriptedLLM(marked))
    assert texts(rows["whole"]) == ["Name a fruit.", "better"]
    assert "instruction" not in rows["whole"]["refinement"]


def test_the_plan_prices_refinement_before_there_is_a_selection(tmp_path: Path) -> None:
    planned = {stage.stage: stage for stage in plan(settings(tmp_path))}
    assert planned["refine_response"].estimate.calls == planned["refine_instruction"].estimate.calls == 4
    assert planned["refine_response"].estimate.completion_tokens > 4 * 100


def test_a_prompt_without_a_place_for_the_sample_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Rewrite $answer")
    with pytest.raises(ConfigError, match=r"refine.response.prompt: \$answer is filled by nothing"):
        selection_stage(settings(tmp_path, response={"prompt": str(tmp_path / "mine.txt")}))


@pytest.mark.parametrize(
    "reply", ["no marks", "<refined>never closed", "<refined>\n \n</refined>", "</refined>a<refined>"]
)
def test_a_reply_without_a_closed_text_is_unreadable(reply: str) -> None:
    with pytest.raises(ParseError, match="no text between"):
        RewriteResponse().read(reply)


def test_the_prompts_fit_their_fields() -> None:
    sample = make_sample("Sort <answer>.", "a $5 price", input="b, a")
    for step in (RewriteResponse(), RewriteInstruction()):
        asked = step.request(
            prompt=sample.prompt, instruction=sample.instruction, input=sample.input, response=sample.response
        )
        assert "Sort <answer>." in asked.messages[0].content and "a $5 price" in asked.messages[0].content
        assert (
            asked.sampling.temperature == 0.7
            and asked.sampling.top_p == 0.8
            and asked.sampling.max_tokens == 512
        )
    assert [step.llm for step in Refine(llm="a", instruction=RewriteInstruction(llm="b")).steps] == ["a", "b"]
