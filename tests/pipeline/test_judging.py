"""The judge of an experiment: asked in words of one's own, read by what they ask for."""

from __future__ import annotations

from pathlib import Path

from tacos.store.files import read_jsonl
from tests.eval.test_collect import run_trained
from tests.llm.server import FaultServer, reply


def test_an_experiment_is_judged_with_a_prompt_of_ones_own(tmp_path: Path) -> None:
    prompt = tmp_path / "theirs.txt"
    prompt.write_text("$question\n1: $answer_1\n2: $answer_2\nTwo scores on the first line, then why.")
    with FaultServer() as server:
        server.respond = lambda body, times: (200, reply("9 7\nThe first one is much more", "length"))
        judge = {"by": "llm", "prompt": str(prompt), "system": "Be fair.", "sampling": {"max_tokens": 512}}
        results = run_trained(
            tmp_path,
            llms={"judge": {"model": "m", "endpoint": server.endpoint}},
            eval={"generate": {"max_new_tokens": 4}, "judge": judge},
        )
    (run,) = [run for run in results.runs if run.arm == "longest"]
    assert run.measures["winning_score"].counts == {
        "win": 0,
        "tie": 3,
        "lose": 0,
    }  # the first wins, in both orders
    (reviews,) = (tmp_path / "artifacts" / "judge").glob("*/reviews.jsonl")
    assert {row["order_1"]["raw"] for row in read_jsonl(reviews)} == {"9 7\nThe first one is much more"}
    assert {body["max_tokens"] for body in server.bodies} == {512}
    system, user = server.bodies[0]["messages"]
    assert system["content"] == "Be fair." and user["content"].endswith(
        "Two scores on the first line, then why."
    )
