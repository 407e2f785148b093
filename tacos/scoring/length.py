"""Length of the response: the baseline that is hard to beat (arXiv 2402.04833), and the confounder of most scorers."""

from __future__ import annotations

from typing import Any

from tacos.models.lengths import response_lengths
from tacos.part import Scorer, Setup, scorer
from tacos.selection import Scores
from tacos.stage import Job
from tacos.store.fingerprint import named_by_content
from tacos.types import Pool


@scorer("length", summary="length of the response", paper="arXiv 2402.04833", needs="nothing")
class Length(Scorer):
    """What length is measured in."""

    by_length = True

    tokenizer: str | None = None
    """Count tokens of this tokenizer (hub id or folder), as the paper does with the base model's;
    None counts words and punctuation marks, which needs no download and orders nearly the same; where a script has no
    spaces, characters."""

    def identity(self, setup: Setup) -> dict[str, Any]:
        return {"unit": named_by_content(self.tokenizer) if self.tokenizer else "words"}

    def score(self, pool: Pool, job: Job) -> Scores:
        lengths = response_lengths(pool.responses, self.tokenizer, "score.tokenizer")
        job.metrics["mean"] = float(lengths.mean())
        return Scores(lengths)
