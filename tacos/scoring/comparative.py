"""Comparative scoring inside groups (TACOS, arXiv 2507.03673, section on comparative scoring, figure 3).

    design -> calls -> scores of each call -> read-out
    who meets (`designs.py`)      who says what (`comparators.py`)      what it means (`readout/`)

Samples of a group are shown together and one call scores them all, so that each is read against a neighbour on
the same subject. The paper pairs neighbours in stored order once and takes the score as it is given
(`design: {order: stored, bridges: 0}`, `readout: {by: mean}`); the defaults keep its number of calls, half a one per
sample, draw partners and order, and read the scores with a mixed model. The released code drops an odd last sample;
here it meets one that was already scored, and only its own new score counts (`odd: drop` for parity).

A score is about its own sample, and the other one calibrates the scale, as in the released prompt. That prompt
(`configs/select/tacos_released.yaml`) scores from 0 and asks for an explanation per criterion; ours from 1 (figure 3)
with one short feedback.

A score that cannot be read is missing. The released code wrote 0, which put every unread sample
below every bad one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from tacos.cost import Cost
from tacos.errors import ConfigError, PoolError
from tacos.llm.asking import Asking, check_scale
from tacos.llm.base import Sampling
from tacos.llm.estimate import Asked
from tacos.llm.settings import LLMSettings
from tacos.part import Estimate, Scorer, Setup, scorer
from tacos.scoring.calls import Calls, CallScores, write_comparisons
from tacos.scoring.comparators import CallPrompt, Comparator, LearnedComparator, LLMComparator
from tacos.scoring.designs import Design
from tacos.scoring.learned import LearnedSettings
from tacos.scoring.pool_quality import PoolQuality, pool_vectors, read_pool_vectors
from tacos.scoring.readout.prior import FEWEST, design_matrix
from tacos.scoring.readout.readout import Readout, ReadScores
from tacos.selection import Groups, Scores
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.types import Pool

EXPECTED_REPLY = 60
"""Tokens for each sample; short feedback and a score."""
VERSION = 1
"""Of designs and read-outs: one more where the same settings make other calls, or read them otherwise."""
PAIR_PROMPT, LIST_PROMPT = "compare", "compare_list"


@scorer(
    "comparative",
    summary="two to five samples of a group in one call, each scored against the others",
    paper="arXiv 2507.03673",
    needs="groups; an LLM, or embeddings without one",
    cost=Cost(calls=0.5, embeddings=2, note="calls with llm, for each group and round; embeddings without"),
)
class Comparative(Asking, Scorer):
    """Who compares, which samples meet, and how their scores are read."""

    verb = "compare"
    seeded = True
    within_groups = True

    llm: str | None = None
    """Which of the configured `llms` compares; None compares by a quality model fitted on the pool itself."""
    prompt: str = PAIR_PROMPT
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=512)
    low: int = Field(1, ge=0)
    """Lowest score: 1 as in the paper's figure 3; the released prompt file has 0."""
    high: int = Field(100, ge=1)
    design: Design = Design()
    """Which samples meet, and how often."""
    readout: Readout = Readout()
    """How scores of calls become scores of samples. Without an LLM there is no drift or noise: the mean is taken."""
    fit: LearnedSettings = LearnedSettings()
    """The quality model, where no LLM compares; its embeddings are those of the prior, too."""

    @model_validator(mode="after")
    def _a_scale(self) -> Comparative:
        check_scale(self.low, self.high)
        return self

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        who = self.asks(llms) if self.llm else "quality model fitted on the pool, embedded, no LLM"
        return f"comparative ({who})"

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        if self.llm is None:
            return {"quality": PoolQuality(fit=self.fit).build(setup)}
        return pool_vectors(setup, self.fit) if self.readout.foretells else {}

    def identity(self, setup: Setup) -> dict[str, Any]:
        made: dict[str, Any] = {
            "design": self.design.identity(),
            "low": self.low,
            "high": self.high,
            "version": VERSION,
        }
        if self.design.late:
            if setup.budget is None:
                raise ConfigError(
                    "score.design.late looks for the cut-off, and this method takes everything: set score.design.late=0"
                )
            made["budget"] = setup.budget
        if self.llm is None:
            return made
        call_prompt = self.call_prompt
        call_prompt.asking.check(call_prompt.fields, "score")
        made["readout"] = self.readout.identity()
        return made | call_prompt.asking.asked(setup.llm(self.llm, "score.llm"))

    def estimate(self, setup: Setup, per_row: int) -> Estimate | None:
        if self.llm is None:
            return None
        return call_estimate(self, setup.llm(self.llm, "score.llm"), setup.seed, per_row)

    @property
    def call_prompt(self) -> CallPrompt:
        """How a call is put; lists have a packaged prompt of their own."""
        lists = self.design.size > 2 and self.prompt == PAIR_PROMPT
        asking = self.model_copy(update={"prompt": LIST_PROMPT}) if lists else self
        return CallPrompt(asking, self.design.size, self.low, self.high)

    def score(self, pool: Pool, job: Job) -> Scores:
        """Raises: PoolError where no group has two rows."""
        groups = tables.groups_of(job.inputs, len(pool))
        columns = None
        if self.llm is not None and self.readout.foretells and len(pool) >= FEWEST:
            columns = design_matrix(pool, *read_pool_vectors(job), job.seed)
        calls, answers, read = self.compared(
            pool, groups, self.comparator(job), job.seed, job.budget, columns
        )
        if not len(calls):
            raise PoolError(
                f"none of {len(groups):,} groups has two rows, so nothing can be compared: ask for fewer groups "
                "(group.k; group.clustering.k of tags), or compare over the whole pool (group.by=none)"
            )
        write_comparisons(job.out, pool, calls, answers)
        read.write(job.out)
        job.metrics.update({"calls": len(calls)} | ({"readout": said} if (said := read.summary) else {}))
        return read.scores

    def compared(
        self,
        pool: Pool,
        groups: Groups,
        comparator: Comparator,
        seed: int,
        budget: int | None = None,
        columns: np.ndarray | None = None,
    ) -> tuple[Calls, CallScores, ReadScores]:
        """Every call with its answer, and what they say. budget: read where calls are kept for the cut-off.

        columns: (n_samples, n_columns) that a prior is made from.
        """
        readout = self.readout if self.llm is not None else Readout(by="mean")
        calls = self.design.plan(groups, seed)
        answers = comparator.compare(pool, calls)
        read = readout.read(groups, len(pool), calls, answers, columns, seed)
        if self.design.late and budget is not None:
            late = self.design.late_plan(groups, read.scores, budget, seed)
            answers = answers.then(comparator.compare(pool, late))
            calls = Calls.join([calls, late])
            read = readout.read(groups, len(pool), calls, answers, columns, seed)
        return calls, answers, read

    def comparator(self, job: Job) -> Comparator:
        if self.llm is not None:
            return LLMComparator(self.call_prompt, job.tools.llm(self.llm))
        quality = tables.read_scores(job.inputs["quality"]).values
        return LearnedComparator(quality, self.low, self.high)


def call_estimate(settings: Comparative, llm: LLMSettings, seed: int, per_row: int) -> Estimate:
    """Exact calls where the groups are known; before that every sample is taken to stand in `per_row` of them."""

    def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
        calls = settings.design.expected(tables.groups_of(done, len(pool)), seed)
        requests = (settings.call_prompt.request(pool, calls.shown(number)) for number in range(len(calls)))
        reply = EXPECTED_REPLY * settings.design.size
        return Asked(llm, requests, reply, 1 if "groups" in done else per_row, llm=settings.llm or "")

    return estimate
