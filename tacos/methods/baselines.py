"""The rows that every table needs: random, full, and longest (arXiv 2402.04833)."""

from __future__ import annotations

import re

import numpy as np

from tacos import steps
from tacos.allocation.top import Top, Uniform
from tacos.errors import TacosError
from tacos.methods.base import method
from tacos.stage import Job, Outcome, Stage
from tacos.store.fingerprint import named_by_content
from tacos.types import Groups, Pick, Record, Scores

WORD = re.compile(r"\w+|[^\w\s]")


class RandomSettings(Record):
    """Nothing to set; the draw follows the run's seed."""


@method("random", RandomSettings, "uniform draw; use several seeds")
def random(settings: RandomSettings, bench: steps.Bench) -> Stage:
    return steps.select(bench, "random", Uniform(bench.seed), {"by": "uniform", "seed": bench.seed})


class FullSettings(Record):
    """Nothing to set; the budget is not applied."""


class _Everything:
    """All rows in stored order."""

    def allocate(self, groups: Groups, scores: Scores, budget: int) -> list[Pick]:
        return [Pick(index=int(row), reason="whole pool") for row in groups.covered]


@method("full", FullSettings, "every row of the pool, whatever the budget")
def full(settings: FullSettings, bench: steps.Bench) -> Stage:
    everything = steps.Bench(bench.pool, None, bench.seed, bench.embedder, bench.llms)
    return steps.select(everything, "full", _Everything(), {"by": "all"})


class LongestSettings(Record):
    """What length is measured in."""

    tokenizer: str | None = None
    """Count tokens of this tokenizer (hub id or folder), as the paper does with the base model's;
    None counts words and punctuation marks, which needs no download and orders nearly the same."""


@method("longest", LongestSettings, "the longest responses", "arXiv 2402.04833")
def longest(settings: LongestSettings, bench: steps.Bench) -> Stage:
    def work(job: Job) -> Outcome:
        pool = job.pool()
        lengths = response_lengths(pool.responses, settings.tokenizer)
        steps.write_scores(job.out / "scores.parquet", pool, Scores(lengths))
        return Outcome(rows_in=len(pool), rows_out=len(pool), metrics={"mean": float(lengths.mean())})

    unit = named_by_content(settings.tokenizer) if settings.tokenizer else "words"
    scores = Stage("length", work, {"unit": unit}, {"pool": bench.pool})
    return steps.select(bench, "longest", Top(), {"by": "top"}, scores=scores)


def response_lengths(responses: list[str], tokenizer: str | None) -> np.ndarray:
    """Length of each response, (n,) float64, in tokens of `tokenizer` or in words and marks."""
    if tokenizer is None:
        return np.array([len(WORD.findall(text)) for text in responses], dtype=np.float64)
    from transformers import AutoTokenizer

    try:
        encode = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        raise TacosError(f"cannot load the tokenizer {tokenizer!r}: {str(error).splitlines()[0]}") from error
    ids = encode(responses, add_special_tokens=False)["input_ids"]
    return np.array([len(row) for row in ids], dtype=np.float64)
