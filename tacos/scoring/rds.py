"""RDS+: likeness to query rows by the base model's own hidden states (arXiv 2503.01807).

    e(x)          sum over tokens i of (i + 1) / (1 + 2 + ... + n) * h_i, last layer, prompt and response; unit length
    value(q, x)   cos(e(q), e(x))
    score(x)      max over all query rows

Worked example, states 1 and 4 of two tokens: (1 * 1 + 2 * 4) / 3 = 3.

Quirks of the released code (hamishivi/automated-instruction-selection): the tulu format whatever the model, the
tokenizer's own beginning or none, 2,048 tokens (512 for Alpaca), cut. A batch above 1 pads without a mask there, and
padding weighs most; batch 1 is the rule. One task takes turns between its queries, several take turns between tasks by
their best query (`round_robin`).
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tacos.cost import Cost
from tacos.models.embedder import unit_rows
from tacos.part import Setup, scorer
from tacos.scoring.local_scorer import LocalScorer
from tacos.scoring.states import StatesRun, vectors_of
from tacos.scoring.targeted import TargetedScorer, products
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.types import Pool


@scorer(
    "rds",
    summary="likeness to query rows, by the base's hidden states",
    paper="arXiv 2503.01807",
    needs="query rows, a local model",
    cost=Cost(passes=1),
)
class Rds(StatesRun, LocalScorer, TargetedScorer):
    """Which model, in which template."""

    model: str | None = None
    """Hub id or folder; None is the base of the run."""
    template: str = "tulu"
    """A chat template by name, or `auto`, the tokenizer's own."""
    max_tokens: int = Field(2048, ge=8)

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        queries = self.queries_stage(setup)
        source = self.source(setup, self.model, self.template)
        asked = self.states(queries, source, "weighted", self.max_tokens, few=True)
        rows = self.states(setup.pool, source, "weighted", self.max_tokens)
        return {"queries": queries, "asked": asked, "states": rows}

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,), -1 to 1."""
        queries = Pool.read(job.inputs["queries"] / tables.POOL)
        asked, lost = vectors_of(job, "asked")
        rows, errors = vectors_of(job, "states")
        self.check_read(len(queries), lost, "query rows")
        self.check_read(len(pool), errors, "rows")
        values = products(unit_rows(np.array(asked)), rows) / _lengths(rows)
        return self.scores(self.targets(queries, values, lost), errors)


def _lengths(rows: np.ndarray) -> np.ndarray:
    """(n,) float32, 1 for a row of zeros."""
    found = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return np.where(found > 0, found, 1).astype(np.float32)
