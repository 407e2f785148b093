"""Perplexity of an answer given its prompt: the plainest score of a language model, in three orders.

    ppl(A | Q) = exp(mean loss of the answer's tokens after the prompt)

Papers disagree about which end teaches, so there are three:

    high    the most surprising answers first
    mid     sorted from the highest down, those from the 33% mark on; the rows above it are dropped with that reason
    low     the least surprising first; scores are the negative perplexity, since higher is better
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tacos.cost import Cost
from tacos.part import Setup, scorer
from tacos.scoring.answer_loss import AnswerScorer
from tacos.scoring.local_scorer import read
from tacos.selection import Scores
from tacos.stage import Job
from tacos.types import Pool

MARK = 0.33
"""Share of the scored rows, the highest, that `mid` leaves out."""


@scorer(
    "perplexity",
    summary="perplexity of the answer given the prompt",
    needs="a local model",
    cost=Cost(passes=1),
)
class Perplexity(AnswerScorer):
    """Which model, and which end of the scale."""

    alone = False

    order: Literal["high", "mid", "low"] = "high"

    def identity(self, setup: Setup) -> dict[str, Any]:
        return {"order": self.order}

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,), the perplexity, at least 1, or its negative."""
        found = read(job, "losses")
        values = np.exp([np.nan if row.error else row.values[0] for row in found])
        errors = {i: row.error for i, row in enumerate(found) if row.error}
        if self.order == "low":
            values = -values
        if self.order == "mid":
            order = np.lexsort((np.arange(len(values)), -values))  # missing ones last
            for row in order[: int(MARK * (~np.isnan(values)).sum())].tolist():
                values[row], errors[row] = np.nan, f"among the highest {MARK:.0%} of perplexities"
        return Scores(values, errors)
