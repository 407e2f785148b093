"""IFD, instruction-following difficulty: how much an instruction helps with its answer (Cherry, arXiv 2308.12032).

    s(A | Q)   mean loss of the answer's tokens after the instruction
    s(A)       the same after "### Response:" alone
    IFD        s(A | Q) / s(A), a ratio of losses; 0.62 / 0.80 = 0.775

High is difficult: the instruction makes its answer hardly likelier. Above 1 it makes it less likely, which is taken for
a mismatch, and the row is dropped with that reason (`ceiling: null` keeps it). The highest are selected.

The paper first gives the base model a little experience: it is trained for 1 epoch on 1,000 rows, 10 from each of 100
clusters of prompts, and that model scores (`experience.py`; the preset `ifd`). `experience: null` lets the base as it
is score, as the authors themselves do for LLaMA 2.

Quirks of the released code, kept: prompt and answer are tokenised as one text; every token of the answer is scored in
both passes; no end token. Its 512 tokens cut a long row with LLaMA's tokenizer (three tokens and the beginning open the
response there) and skip it with others; here `overflow` says which, and `skip` is the default. It returns rows in the
order of the pool, and its "5%" is `sample_rate 0.06` of the rows that are left; here the budget says how many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from tacos.cost import Cost
from tacos.llm.settings import LLMSettings
from tacos.part import Setup, scorer
from tacos.scoring.answer_loss import AnswerScorer, Overflow, Template, ratio_scores
from tacos.scoring.experience import Experience
from tacos.scoring.local_scorer import read
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.types import Pool


@scorer(
    "ifd",
    summary="how little the instruction helps with its answer",
    paper="arXiv 2308.12032",
    needs="a local model",
    cost=Cost(passes=2),
)
class Ifd(AnswerScorer):
    """Which model, in which template; `alpaca` as released."""

    template: Template = "alpaca"
    max_tokens: int = Field(512, ge=8)
    overflow: Overflow = "skip"
    experience: Experience | None = None
    """The base is trained a little before it scores; null: `model`, or the base, scores as it is."""
    ceiling: float | None = 1.0
    """Rows with a higher ratio are dropped; None drops none."""

    @model_validator(mode="after")
    def _one_model(self) -> Ifd:
        if self.experience and self.model:
            raise ValueError(
                "experience trains the base of the run: leave model out, or set experience to null"
            )
        return self

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        return f"{self.name} after experience" if self.experience else self.name

    def read_model(self, setup: Setup, model: str | None) -> Stage | str:
        base = super().read_model(setup, model)
        if self.experience is None:
            return base
        return self.experience.stage(setup, self, self.template, self.max_tokens, f"score.by={self.by}")

    def identity(self, setup: Setup) -> dict[str, Any]:
        return {"ceiling": self.ceiling}

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,), above 0 and at most `ceiling`."""

        def ratio(asked: float, alone: float) -> float:
            return asked / alone if alone else float("nan")

        ceiling = float("inf") if self.ceiling is None else self.ceiling
        why = f"its IFD is above {ceiling:g}: the instruction does not help"
        return ratio_scores(self.by, read(job, "losses"), ratio, lambda value: value > ceiling, why)
