"""The short card of a scorer, from the folder that its stage left."""

from __future__ import annotations

from collections.abc import Mapping

from eval.scorer_card import ScorerCard, scorer_card
from tacos.artifacts import ArtifactStore
from tacos.llm.settings import LLMSettings
from tacos.part import Scorer
from tacos.scoring.calls import COMPARISONS, Calls, CallScores, read_comparisons
from tacos.scoring.readout.readout import READOUT
from tacos.stage import Stage
from tacos.store import tables
from tacos.store.files import read_json
from tacos.types import Pool
from tacos.usage import Usage

NOT_THE_SCORERS = ("load", "sample")
"""Stages that cost the same whoever scores."""


def card_of_selection(
    scorer: Scorer | None, llms: Mapping[str, LLMSettings], selection: Stage | None, store: ArtifactStore
) -> ScorerCard | None:
    """Of the scores that a selection was made from; None where there are none. selection: or what refined it."""
    found = [selection, *selection.inputs.values()] if selection else []
    scored = next((stage.inputs.get("scores") for stage in found if stage.name == "select"), None)
    return card_of(scorer.describe(llms), scored, store) if scorer and scored else None


def card_of(scorer: str, stage: Stage, store: ArtifactStore) -> ScorerCard:
    """scorer: in words. stage: finished, with `scores.parquet`."""
    folder, pool = store.folder(stage), pool_of(stage, store)
    rests_on = (s for s in stage.walk() if s.name not in NOT_THE_SCORERS)
    return scorer_card(
        scorer,
        pool,
        tables.read_scores(folder).values,
        sum((store.record(s).usage.as_first_paid() for s in rests_on), Usage()),
        comparisons_of(stage, store),
        read_json(folder / READOUT) if (folder / READOUT).exists() else None,
    )


def comparisons_of(stage: Stage, store: ArtifactStore) -> tuple[Calls, CallScores] | None:
    """Calls and answers; None of a scorer that does not compare."""
    folder = store.folder(stage)
    return read_comparisons(folder, pool_of(stage, store)) if (folder / COMPARISONS).exists() else None


def pool_of(stage: Stage, store: ArtifactStore) -> Pool:
    """The rows that a stage read."""
    return Pool.read(store.folder(stage.inputs["pool"]) / tables.POOL)
