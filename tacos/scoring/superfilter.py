"""Superfiltering: IFD by a small model, which ranks nearly as a large one does (arXiv 2402.00530).

    ppl(A | Q)   exp of the mean loss of the answer's tokens after "{instruction}\\n{input}\\n", no template
    ppl(A)       the same of the answer alone, whose first token is not scored, as nothing stands before it
    score        ppl(A | Q) / ppl(A), a ratio of perplexities; exp(2.1 - 2.5) = 0.67

The highest below 1 are selected; a row at 1 or above is dropped with that reason (`ceiling: null` keeps it).

Quirks of the released code, kept: GPT-2; 1,024 tokens, where a longer row is cut in both passes at the same number of
scored tokens; the two passes score different tokens of the answer, since the first is scored in one of them only. A row
whose answer cannot be scored has the ratio 0 or NaN there, and is missing here. Its number of rows is a share of 52,002
whatever the pool; here the budget says how many. `superfiltering-d` is this score with facility location.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacos.cost import Cost
from tacos.part import Setup, scorer
from tacos.scoring.answer_loss import AnswerScorer, ratio_scores
from tacos.scoring.local_scorer import read
from tacos.selection import Scores
from tacos.stage import Job
from tacos.types import Pool

GPT2 = "openai-community/gpt2"


@scorer(
    "superfilter",
    summary="IFD by a small model, as a ratio of perplexities",
    paper="arXiv 2402.00530",
    needs="a local model",
    cost=Cost(passes=2),
)
class Superfilter(AnswerScorer):
    """Which model, in which form."""

    model: str | None = GPT2
    ceiling: float | None = 1.0
    """Rows with this ratio or a higher one are dropped; None drops none."""

    def identity(self, setup: Setup) -> dict[str, Any]:
        return {"ceiling": self.ceiling}

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,), above 0 and below `ceiling`."""

        def ratio(asked: float, alone: float) -> float:
            return float(np.exp(asked - alone))

        ceiling = float("inf") if self.ceiling is None else self.ceiling
        why = f"its ratio is not below {ceiling:g}: the instruction does not help"
        return ratio_scores(self.by, read(job, "losses"), ratio, lambda value: value >= ceiling, why)
