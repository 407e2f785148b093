"""Designs and read-outs through the stages: what is asked, what is kept, what a report gets to know."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from eval.results import ArmRun
from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Request
from tacos.models.embedder import EmbedderSettings
from tacos.part import Setup
from tacos.pipeline.certainty import certainty_of
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.plan import plan
from tacos.pipeline.settings import SelectSettings
from tacos.scoring.calls import COMPARISONS, LATE
from tacos.scoring.comparative import Comparative
from tacos.stage import Stage, Tools
from tacos.store import tables
from tests.pipeline.helpers import LLMS, reply, scripted_tools, write_pool

ROWS = 240


def noisy(request: Request) -> str:
    """The length, and noise that hangs on the call's words."""
    said = json.loads(reply(request))
    rng = np.random.default_rng(zlib.crc32(request.messages[-1].content.encode()))
    for name in ("score_1", "score_2"):
        if name in said:
            said[name] = int(np.clip(0.3 * said[name] + 20 + rng.normal(0, 8), 1, 100))
    if "scores" in said:
        said["scores"] = [int(np.clip(0.3 * s + 20 + rng.normal(0, 8), 1, 100)) for s in said["scores"]]
    return json.dumps(said)


def settings(root: Path, budget: int = 40, **score: Any) -> SelectSettings:
    pool = root / "p.jsonl"
    data = {
        "pool": {"source": str(pool if pool.exists() else write_pool(pool, ROWS))},
        "method": "tacos",
        "budget": budget,
        "llms": LLMS,
        "artifacts": str(root / "a"),
        "group": {"by": "embedding", "k": 4},
        "score": {"llm": "scorer", "readout": {"prior": False}, **score},
    }
    return parse(SelectSettings, data)


def run(root: Path, chosen: SelectSettings, kept: str = "a") -> tuple[Stage, ArtifactStore, Tools]:
    stage, store = selection_stage(chosen), ArtifactStore(root / kept)
    tools = scripted_tools(root / "replies.sqlite", ScriptedLLM(noisy))
    store.run(stage, tools)
    return stage, store, tools


def compared(stage: Stage) -> Stage:
    return next(s for s in stage.walk() if s.name == "compare")


@pytest.mark.parametrize("design", [{"rounds": 2}, {"size": 4, "rounds": 2}, {"rounds": 1.5, "late": 0.5}])
def test_what_is_planned_is_asked_and_kept(tmp_path: Path, design: dict[str, Any]) -> None:
    chosen = settings(tmp_path, design=design)
    stage, store, tools = run(tmp_path, chosen)
    kept = pq.read_table(store.folder(compared(stage)) / COMPARISONS)
    calls = len(set(kept.column("call").to_pylist()))
    size = design.get("size", 2)
    asked = tools.ledger.total
    assert asked.calls + asked.cached_calls == calls == pytest.approx(2 * ROWS / size, abs=8)
    late = sum(number == LATE for number in kept.column("round").to_pylist())
    assert late == pytest.approx(design.get("late", 0) * ROWS, abs=8)
    scores = tables.read_scores(store.folder(compared(stage)))
    shutil.rmtree(store.folder(compared(stage)))
    (planned,) = (p for p in plan(chosen) if p.stage == "compare")
    assert planned.estimate.calls == pytest.approx(calls, abs=2)  # two of a pair may meet again by chance
    assert scores.scored == ROWS and scores.std_errors is not None and (scores.std_errors > 0).all()


def test_a_run_again_pays_nothing_and_late_calls_alone_hang_on_the_budget(tmp_path: Path) -> None:
    chosen = settings(tmp_path, design={"late": 0.5})
    _, _, first = run(tmp_path, chosen, "a")
    _, _, again = run(tmp_path, chosen, "b")
    asked, cached = first.ledger.total, again.ledger.total
    assert cached.calls == 0 and cached.cached_calls == asked.calls + asked.cached_calls
    _, _, other = run(tmp_path, settings(tmp_path, budget=120, design={"late": 0.5}), "a")
    assert 0 < other.ledger.total.calls <= ROWS / 4 + 4  # the calls before the late ones are known
    same = (selection_stage(settings(tmp_path, budget=b, design={})) for b in (40, 120))
    assert len({compared(stage).fingerprint for stage in same}) == 1
    setup = Setup(compared(selection_stage(chosen)), None, 0, EmbedderSettings(), chosen.llms)
    assert isinstance(chosen.score, Comparative)
    with pytest.raises(ConfigError, match="looks for the cut-off"):
        chosen.score.identity(setup)


def test_a_selection_tells_how_sure_it_is(tmp_path: Path) -> None:
    stage, store, _ = run(tmp_path, settings(tmp_path, design={"rounds": 4}))
    told = certainty_of(stage, store)
    assert told["certainty"].expected_above > 0.6 and 0 < told["certainty"].within_noise <= 1
    assert 0 < told["quota_gap"].shared <= 1
    assert told["calibration"].n > 100 and 0.85 < told["calibration"].coverage["0.95"] <= 1
    assert set(told) <= set(ArmRun.model_fields)


def test_a_prior_reads_the_texts_and_asks_no_more(tmp_path: Path) -> None:
    stage, store, tools = run(tmp_path, settings(tmp_path, readout={"prior": True}))
    assert {"prompts", "responses"} <= set(compared(stage).inputs)
    told = store.record(compared(stage)).outcome.metrics["readout"]
    assert told["prior_r2"] > 0.1  # this judge likes length, which features read
    assert not told["told_apart"] and tools.ledger.total.calls == pytest.approx(ROWS / 2, abs=4)


def test_what_changes_an_answer_is_in_the_fingerprint_and_nothing_else(tmp_path: Path) -> None:
    def name(**score: Any) -> str:
        return compared(selection_stage(settings(tmp_path, **score))).fingerprint

    plain = name(readout={"by": "mixed", "prior": False}, design={})
    changed = (
        {"rounds": 2},
        {"order": "stored"},
        {"bridges": 0},
        {"size": 3},
        {"late": 0.5},
        {"odd": "drop"},
    )
    assert len({plain, *(name(design=design) for design in changed)}) == 1 + len(changed)
    assert len({plain, *(name(readout={"by": by, "prior": False}) for by in ("mean", "bradley_terry"))}) == 3
    assert name(design={"cut": "pool"}) == plain  # of no late call
    assert name(design={"cut": "pool", "late": 0.5}) != name(design={"late": 0.5})
    assert name(readout={"by": "mean", "prior": True}) == name(readout={"by": "mean", "prior": False})
