"""A finished run for tests of what is shown of runs: real selections, made-up results, answers and verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.settings import SelectSettings
from tacos.stage import Job, Outcome, Stage
from tacos.store.files import write_json, write_jsonl
from tacos.viewing.run_stages import write_stages
from tests.eval.fixtures import ARMS, make_results
from tests.pipeline.helpers import LLM_TACOS, LLMS, reply, scripted_tools, write_pool

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"
NAMES = ("tacos", "longest", "random")


def made_run(root: Path, name: str = "shown", results: bool = True) -> Path:
    """Three arms over 24 rows of four topics and a hostile one, with results, answers and verdicts; and a refined one
    that the results do not know."""
    pool = write_pool(root / "p.jsonl")
    with pool.open("a") as file:
        row = {"id": "bad", "source": "set 0", "instruction": f"Cook {HOSTILE} for me", "output": HOSTILE}
        file.write(json.dumps(row | {"input": ""}) + "\n")
    store, tools = ArtifactStore(root / "artifacts"), scripted_tools(root / "r.sqlite", ScriptedLLM(_reply))
    steps = {
        method: {"select": selection_stage(_settings(pool, method, more))}
        for method, more in (("tacos", LLM_TACOS), ("longest", {}), ("random", {}))
    }
    refined = selection_stage(_settings(pool, "tacos-refined", {**LLM_TACOS, "refine": {"llm": "scorer"}}))
    steps["refined"] = {"select": refined.inputs["selection"], "refine": refined}
    if results:
        for arm in ("tacos", "random"):
            steps[arm]["answer"] = _answering(arm)
        steps["tacos"]["judge"] = Stage("judge", _judged, {}, {"answers": steps["tacos"]["answer"]})
    for stage in (stage for own in steps.values() for stage in own.values()):
        store.run(stage, tools)
    folder = root / "runs" / name
    write_stages(folder, store.root, [(arm, 0, own) for arm, own in steps.items()])
    (folder / "config.yaml").write_text("name: shown\n")
    if results:
        arms = tuple(arm for arm in ARMS if arm.name in NAMES)
        made = make_results(arms=arms, seeds=1).model_copy(update={"name": name})
        write_json(folder / "results.json", made)
        questions = [{"id": f"q{i}", "turns": [f"Question {i}?"], "answer": str(i)} for i in range(3)]
        write_jsonl(
            next((store.root / "load").glob("*/pool.parquet")).with_name("questions.jsonl"), questions
        )
        (folder / "plots").mkdir()
        (folder / "plots" / "lengths.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def _settings(pool: Path, method: str, more: dict[str, Any]) -> SelectSettings:
    return parse(
        SelectSettings, {"pool": {"source": str(pool)}, "method": method, "budget": 8, "llms": LLMS, **more}
    )


def _reply(request: Any) -> str:
    try:
        return reply(request)
    except StopIteration:  # the hostile row is of no topic
        return '```json\n[{"tag": "Cooking", "explanation": "asks for it"}]\n```'


def _answering(arm: str) -> Stage:
    """Three answers, the first of them hostile."""

    def work(job: Job) -> Outcome:
        said = {f"q{i}": f"{arm} says {i}" for i in range(3)} | {"q0": HOSTILE}
        write_jsonl(job.out / "answers.jsonl", ({"question_id": q, "turns": [t]} for q, t in said.items()))
        return Outcome(rows_in=3, rows_out=3)

    return Stage("answer", work, {"arm": arm})


def _judged(job: Job) -> Outcome:
    """The judge changes its mind on q1 with the order, and prefers tacos on q2."""
    scores = {"q0": ((5, 5), (5, 5), "tie"), "q1": ((8, 2), (8, 2), "tie"), "q2": ((9, 1), (1, 9), "win")}
    rows = [
        {"question_id": q, "order_1": _order(*one), "order_2": _order(*two), "result": result}
        for q, (one, two, result) in scores.items()
    ]
    write_jsonl(job.out / "reviews.jsonl", rows)
    return Outcome(rows_in=3, rows_out=3)


def _order(first: int, second: int) -> dict[str, Any]:
    return {"score_1": first, "score_2": second, "error": None, "raw": None}
