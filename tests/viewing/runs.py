"""A finished run for tests of what is shown of runs: real selections, made-up results, answers and verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tacos.config import parse
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.pipeline.folder import link_artifacts
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.settings import SelectSettings
from tacos.stage import ArtifactStore
from tacos.store.files import write_json, write_jsonl
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
    stages = {
        f"{method}-seed0-select": selection_stage(_settings(pool, method, more))
        for method, more in (("tacos", LLM_TACOS), ("longest", {}), ("random", {}))
    }
    refined = _settings(pool, "tacos-refined", {**LLM_TACOS, "refine": {"llm": "scorer"}})
    stages["refined-seed0-refine"] = selection_stage(refined)
    for stage in stages.values():
        store.run(stage, tools)
    folder = root / "runs" / name
    link_artifacts(folder, store, stages)
    (folder / "config.yaml").write_text("name: shown\n")
    if results:
        arms = tuple(arm for arm in ARMS if arm.name in NAMES)
        made = make_results(arms=arms, seeds=1).model_copy(update={"name": name})
        write_json(folder / "results.json", made)
        _answered(root, folder, next((store.root / "load").glob("*/pool.parquet")).parent)
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


def _answered(root: Path, folder: Path, load: Path) -> None:
    """Three questions. The judge changes its mind on q1 with the order, and prefers tacos on q2."""
    questions = [{"id": f"q{i}", "turns": [f"Question {i}?"], "answer": str(i)} for i in range(3)]
    write_jsonl(load / "questions.jsonl", questions)
    scores = {"q0": ((5, 5), (5, 5), "tie"), "q1": ((8, 2), (8, 2), "tie"), "q2": ((9, 1), (1, 9), "win")}
    for arm in ("tacos", "random"):
        answers = root / "artifacts" / "answer" / f"{ord(arm[0]):016x}"
        said = {f"q{i}": f"{arm} says {i}" for i in range(3)} | {"q0": HOSTILE}
        answers.mkdir(parents=True)
        write_jsonl(answers / "answers.jsonl", ({"question_id": q, "turns": [t]} for q, t in said.items()))
        _link(folder, f"{arm}-seed0-answer", answers)
    judged = root / "artifacts" / "judge" / ("0" * 16)
    judged.mkdir(parents=True)
    rows = [
        {"question_id": q, "order_1": _order(*one), "order_2": _order(*two), "result": result}
        for q, (one, two, result) in scores.items()
    ]
    write_jsonl(judged / "reviews.jsonl", rows)
    _link(folder, "tacos-seed0-judge", judged)


def _order(first: int, second: int) -> dict[str, Any]:
    return {"score_1": first, "score_2": second, "error": None, "raw": None}


def _link(folder: Path, name: str, target: Path) -> None:
    (folder / "artifacts" / name).symlink_to(target, target_is_directory=True)
