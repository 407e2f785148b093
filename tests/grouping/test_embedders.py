"""Each step may embed with a model of its own."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.models.embedder import EmbedderSettings
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.settings import SelectSettings
from tacos.pipeline.tools import make_tools
from tacos.stage import Stage, Tools
from tacos.store.tables import read_vectors
from tacos.usage import Ledger
from tests.conftest import LetterEmbedder
from tests.pipeline.helpers import LLM_TACOS, LLMS, reply, scripted_tools, write_pool


def run(folder: Path, group: dict[str, Any]) -> tuple[dict[str, int], ArtifactStore, Stage]:
    """Texts that each model embedded, by its name; the selection's stage and where it is."""
    made: list[LetterEmbedder] = []

    @cache
    def embedder(settings: EmbedderSettings | None = None) -> LetterEmbedder:
        made.append(LetterEmbedder(settings or EmbedderSettings(model="the run's")))
        return made[-1]

    data = {
        "pool": {"source": str(write_pool(folder / "pool.jsonl"))},
        "embedder": {"model": "the run's"},
        "method": "recipe",
        "group": group,
        "score": None,
        "allocate": "uniform",
        "budget": 4,
        "llms": LLMS,
    }
    stage = selection_stage(parse(SelectSettings, data))
    tools: Tools = dataclasses.replace(
        scripted_tools(folder / "replies.sqlite", ScriptedLLM(reply)), embedder=embedder
    )
    store = ArtifactStore(folder / "artifacts")
    store.run(stage, tools)
    return {e.settings.model: len(e.calls) for e in made if e.calls}, store, stage


def tag_vectors(store: ArtifactStore, stage: Stage) -> np.ndarray:
    (normalized,) = [s for s in stage.walk() if s.name == "normalize"]
    return read_vectors(store.folder(normalized))


def test_tags_are_embedded_by_a_model_of_their_own_raw_or_of_unit_length(tmp_path: Path) -> None:
    tags = {"by": "tags", **LLM_TACOS["group"], "embedder": {"model": "phrases"}}
    tags["normalization"] = {"min_count": 1, "order": ["frequency", "rules", "semantic"]}
    asked, store, stage = run(tmp_path, tags)
    assert set(asked) == {"phrases"}
    assert np.linalg.norm(tag_vectors(store, stage), axis=1) == pytest.approx(1.0)
    raw = tags | {"clustering": {"k": 4, "unit_vectors": False}}
    _, _, other = run(tmp_path, raw)
    assert np.linalg.norm(tag_vectors(store, other), axis=1).min() > 1.5


def test_samples_are_embedded_by_a_model_of_their_own(tmp_path: Path) -> None:
    assert set(run(tmp_path, {"by": "embedding", "k": 3, "embedder": {"model": "pairs"}})[0]) == {"pairs"}
    assert set(run(tmp_path, {"by": "embedding", "k": 3})[0]) == {"the run's"}


def test_an_embedder_is_made_once_and_the_run_s_own_is_not_made_twice() -> None:
    settings = parse(SelectSettings, {})
    tools = make_tools(settings, Ledger())
    assert tools.embedder() is tools.embedder(settings.embedder) is tools.embedder(None)
    other = EmbedderSettings(model="other")
    assert tools.embedder(other) is tools.embedder(other) and tools.embedder(other) is not tools.embedder()
