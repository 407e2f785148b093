"""Scores of a pool by the stages of a scorer, as a run makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tacos.artifacts import ArtifactStore
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.models.embedder import EmbedderSettings
from tacos.part import Scorer, Setup
from tacos.selection import Scores
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.types import Pool
from tests.pipeline.helpers import scripted_tools


def load(pool: Pool) -> Stage:
    def work(job: Job) -> Outcome:
        pool.write(job.out / tables.POOL)
        return Outcome(rows_in=len(pool), rows_out=len(pool))

    return Stage("load", work, {"rows": [sample.model_dump(mode="json") for sample in pool]})


def setup(pool: Pool, base: Any = "") -> Setup:
    return Setup(load(pool), 3, 0, EmbedderSettings(), {}, base)


def scored(part: Scorer, pool: Pool, root: Path, base: Any = "") -> Scores:
    """root: where the artifacts are kept."""
    tools = scripted_tools(root / "replies.sqlite", ScriptedLLM(lambda request: ""))
    return tables.read_scores(ArtifactStore(root / "artifacts").run(part.build(setup(pool, base)), tools))
