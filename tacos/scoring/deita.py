"""Deita: complexity times quality, by two models that were trained to rate (arXiv 2312.15685).

    c, q     sum over r = 1..6 of r * softmax(logits of "1".."6" as the next token)_r, of each turn
    score    sum over turns of c * q;   two turns with c = 2, q = 3 and c = 4, q = 5: 26

c sees a turn's instruction alone, q its instruction and response; earlier turns are not shown. The two scorers are
LLaMA-13B models, by name `hkust-nlp/deita-complexity-scorer` and `hkust-nlp/deita-quality-scorer`. Either may be left
out, and the other alone is the score.

Quirks of the released code: its sum favours conversations of many turns (`turns: mean` is the mean, as MIG's authors
load it). Where a rating token is missing it says 3.0 in silence; here that row is missing, and so is one that the model
cannot hold. The filter by likeness (cosine at most 0.9 to all accepted rows) is an allocator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from tacos.models.local import LocalModel
from tacos.part import Setup, scorer
from tacos.scoring.local_scorer import LocalScorer, Work, read, turns
from tacos.scoring.rating_tokens import rated, softmax
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.store.kept import Kept
from tacos.types import Pool

# What the two models were trained on, and rate by to the letter: https://github.com/hkust-nlp/deita, Apache-2.0.
COMPLEXITY = (
    "You are a helpful assistant. Please identify the complexity score of the following user query. \n"
    "##Query: {instruction}  \n##Complexity: "
)
QUALITY = (
    "You are a helpful assistant. Please identify the quality score of the Response corresponding to the Question. \n"
    " #Question#:\n{instruction}\n#Response#:\n{response} \n##Quality: "
)
HIGHEST = 6


@scorer(
    "deita",
    summary="complexity times quality, by two trained models",
    paper="arXiv 2312.15685",
    needs="two local models",
    cost="2 forward passes per turn",
)
class Deita(LocalScorer):
    """Which two models."""

    complexity: str | None = "hkust-nlp/deita-complexity-scorer"
    """Hub id or folder; None leaves complexity out."""
    quality: str | None = "hkust-nlp/deita-quality-scorer"
    """Hub id or folder; None leaves quality out."""
    turns: Literal["sum", "mean"] = "sum"
    """How the turns of a conversation are put together."""

    @model_validator(mode="after")
    def _one_at_least(self) -> Deita:
        if self.complexity is None and self.quality is None:
            raise ValueError("complexity and quality are both null: name a model for one of them")
        return self

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        asked = {"complexity": (self.complexity, COMPLEXITY), "quality": (self.quality, QUALITY)}
        return {
            name: self.reading(setup, name, model, {"text": text}, self._work(text))
            for name, (model, text) in asked.items()
            if model
        }

    def _work(self, text: str) -> Work:
        def work(lm: LocalModel, rows: Pool, what: str) -> Iterator[tuple[int, Kept]]:
            asked = [[text.format(**turn) for turn in _turns(sample)] for sample in rows]
            return rated(lm, asked, HIGHEST, lambda logits: [expectation(logits)], self.batch_tokens, what)

        return work

    def identity(self, setup: Setup) -> dict[str, Any]:
        return {"turns": self.turns}

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,): 1 to 36 a turn, or 1 to 6 by one model alone."""
        found = [read(job, name) for name in ("complexity", "quality") if name in job.inputs]
        values = np.full(len(pool), np.nan)
        errors: dict[int, str] = {}
        for row, kept in enumerate(zip(*found, strict=True)):
            if why := next((each.error for each in kept if each.error), None):
                errors[row] = why
                continue
            products = np.prod([each.values for each in kept], axis=0)  # (n_turns,)
            values[row] = products.sum() if self.turns == "sum" else products.mean()
        return Scores(values, errors)


def _turns(sample: Any) -> list[dict[str, str]]:
    """The instruction and the response of each turn."""
    found = []
    for before, answer in turns(sample):
        said = [message.content for message in before if message.role == "user"]
        found.append({"instruction": said[-1] if said else "", "response": answer})
    return found


def expectation(logits: np.ndarray) -> float:
    """(6,) -> 1 to 6."""
    return float(softmax(logits) @ np.arange(1, len(logits) + 1))
