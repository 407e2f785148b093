"""One score per sample from a language model: TACOS without comparison (its ablation), or direct rating as AlpaGasus.

    {"by": "rating", "llm": "scorer"}                                               1-100, the criteria of comparing
    {"by": "rating", "llm": "scorer", "prompt": "rate_accuracy", "low": 0, "high": 5}   accuracy alone

A reply that cannot be read is asked for again, and then is a missing score, never the lowest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from tacos.cost import Cost
from tacos.llm.asking import Asking, check_scale
from tacos.llm.base import Request, Sampling
from tacos.llm.estimate import Asked
from tacos.llm.parse import parse_score
from tacos.llm.reading import ask
from tacos.llm.settings import LLMSettings
from tacos.part import Estimate, Scorer, Setup, scorer
from tacos.selection import Scores
from tacos.stage import Job
from tacos.types import Pool, Sample

FIELDS = ("prompt", "response", "low", "high")
"""What a rating prompt is filled with."""
EXPECTED_REPLY = 80
"""Tokens; short feedback and a score."""


@scorer(
    "rating",
    summary="one score per sample from an LLM",
    paper="arXiv 2307.08701",
    needs="an LLM",
    cost=Cost(calls=1),
)
class SampleRating(Asking, Scorer):
    """Who rates, and on which scale."""

    verb = "rate"

    llm: str = "scorer"
    """Which of the configured `llms` rates."""
    prompt: str = "rate"
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=512)
    low: float = Field(1, ge=0)
    """Lowest score of the scale."""
    high: float = Field(100, gt=0)
    """Highest score of the scale."""

    @model_validator(mode="after")
    def _a_scale(self) -> SampleRating:
        check_scale(self.low, self.high)
        return self

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        return f"rating ({self.asks(llms)})"

    def identity(self, setup: Setup) -> dict[str, Any]:
        self.check(FIELDS, "score")
        return {"low": self.low, "high": self.high, **self.asked(setup.llm(self.llm, "score.llm"))}

    def estimate(self, setup: Setup, per_row: int) -> Estimate:
        llm = setup.llm(self.llm, "score.llm")

        def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
            return Asked(llm, (self.rate_request(sample) for sample in pool), EXPECTED_REPLY, llm=self.llm)

        return estimate

    def rate_request(self, sample: Sample) -> Request:
        return self.request(
            prompt=sample.prompt, response=sample.response, low=f"{self.low:g}", high=f"{self.high:g}"
        )

    def score(self, pool: Pool, job: Job) -> Scores:
        def read(reply: str) -> float:
            return parse_score(reply, self.low, self.high)

        llm = job.tools.llm(self.llm)
        rows = ask(llm, len(pool), lambda i: self.rate_request(pool[i]), read, self.reask)
        values = np.array([np.nan if row.value is None else row.value for row in rows], dtype=np.float64)
        return Scores(values, {i: row.error for i, row in enumerate(rows) if row.error is not None})
