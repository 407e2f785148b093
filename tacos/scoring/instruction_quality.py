"""IQS, the quality of an instruction pair by a scorer trained on experts' revisions (CaR, arXiv 2402.18191).

The paper's scorer is an XLM-R with a head (`tacos iqs train --scorer encoder`); ours by default is a light one on
words, text features and frozen embeddings. Without a trained scorer the quality model fitted on the pool itself
ranks: it has seen no expert, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tacos.cost import Cost
from tacos.llm.settings import LLMSettings
from tacos.models.embedded import embedded
from tacos.part import Scorer, Setup, scorer
from tacos.scoring.iqs.base import Vectors
from tacos.scoring.iqs.folder import Card, load, read_card
from tacos.scoring.iqs.light import LightSettings
from tacos.scoring.iqs.text import foreign, joined
from tacos.scoring.learned import NAMED_SHARE, LearnedSettings
from tacos.scoring.pool_quality import PoolQuality
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.types import Pool

log = logging.getLogger(__name__)


@scorer(
    "iqs",
    summary="quality by a scorer trained on expert revisions",
    paper="arXiv 2402.18191",
    needs="a trained scorer; embeddings",
    cost=Cost(embeddings=2, note="an encoder reads each pair once instead"),
)
class InstructionQuality(Scorer):
    """Log-odds, of which only order and differences mean something."""

    scorer: str | None = None
    """Folder that `tacos iqs train` wrote; None ranks by a quality model fitted on the pool itself."""
    fit: LearnedSettings = LearnedSettings()
    """That pool-fitted model."""

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        return f"iqs ({self.scorer or 'quality model fitted on the pool, embedded, no expert'})"

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        if self.scorer is None:
            return {"quality": PoolQuality(fit=self.fit).build(setup)}
        return shared_embeddings(setup, read_card(Path(self.scorer)))

    def identity(self, setup: Setup) -> dict[str, Any]:
        """Raises: TacosError when the scorer's folder is none, or of another version."""
        if self.scorer is None:
            return {"scorer": "fitted on the pool"}
        return {"scorer": read_card(Path(self.scorer)).fingerprint}

    def score(self, pool: Pool, job: Job) -> Scores:
        if self.scorer is None:
            log.warning(
                "no scorer trained on expert pairs is given (score.scorer): pairs are ranked by a quality model that "
                "was fitted on the pool itself; `tacos iqs train` makes one"
            )
            return tables.read_scores(job.inputs["quality"])
        model, card = load(Path(self.scorer), job.tools.embedder(), job.tools.ledger)
        warn_of_another_language(pool, card)
        names = [name for name in ("prompts", "responses") if name in job.inputs]
        vectors = Vectors(*(tables.read_vectors(job.inputs[name]) for name in names)) if names else None
        prompts = [joined(sample.instruction, sample.input) for sample in pool]
        quality = model.score(prompts, pool.responses, vectors)
        unread = np.flatnonzero(np.isnan(quality)).tolist()
        return Scores(quality, dict.fromkeys(unread, "a side of the pair is empty"))


def warn_of_another_language(pool: Pool, card: Card) -> None:
    """A scorer judges wording, so of a language that its pairs are not in it knows next to nothing."""
    pairs = zip(pool.prompts, pool.responses, strict=True)
    rows = foreign([f"{prompt}\n{response}" for prompt, response in pairs], card.common_words)
    if rows > NAMED_SHARE * len(pool):
        log.warning(
            "%d of %d rows (%.0f%%) hold few of the commonest words of %s, on which score.scorer was trained (%s): "
            "they are in another language, or code, and their scores say little: train a scorer on pairs like them",
            rows,
            len(pool),
            100 * rows / len(pool),
            card.trained_on,
            ", ".join(card.common_words[:5]),
        )


def shared_embeddings(setup: Setup, card: Card) -> dict[str, Stage]:
    """Prompts and responses as the scorer would embed them itself, and as other methods do; {} where it needs none, or
    those of another model."""
    if card.kind != "light":
        return {}
    light = LightSettings.model_validate(card.settings)
    if not light.floor_slope or light.embedder.identity() != setup.embedder.identity():
        return {}
    return {
        "prompts": embedded(setup.pool, setup.embedder, "prompt"),
        "responses": embedded(setup.pool, setup.embedder, "response", light.response_tokens),
    }
