"""Comparative scoring inside groups (TACOS, arXiv 2507.03673, section on comparative scoring, figure 3).

Samples of a group are paired and one call scores both, so that each is read against a neighbour on
the same subject. Pairs are (0,1), (2,3), ... in stored order as in the released code, or in seeded
random order; each further round draws new partners. The released code drops an odd last sample;
here it meets one that was already scored, and only its own new score counts (`odd="drop"` for parity).

A score is about its own sample, and the other one calibrates the scale, as in the released prompt. That prompt
(`configs/select/tacos_released.yaml`) scores from 0 and asks for an explanation per criterion; ours from 1 (figure 3)
with one short feedback.

A score that cannot be read is missing. The released code wrote 0, which put every unread sample
below every bad one.

A sample in several groups is scored in each; its group score decides inside the group, the mean of
its scores decides across groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tacos.cost import Cost
from tacos.llm.asking import Asking
from tacos.llm.base import LLM, Request, Sampling
from tacos.llm.estimate import Asked
from tacos.llm.parse import parse_pair_scores
from tacos.llm.reading import ask
from tacos.llm.settings import LLMSettings
from tacos.part import Estimate, Scorer, Setup, scorer
from tacos.scoring.learned import LearnedSettings
from tacos.scoring.pairing import Pair, PairScores, make_pairs
from tacos.scoring.pool_quality import PoolQuality
from tacos.selection import Groups, Scores
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.types import Pool, Sample

FIELDS = ("prompt_1", "response_1", "prompt_2", "response_2", "low", "high")
"""What a comparing prompt is filled with."""
EXPECTED_REPLY = 120
"""Tokens; short feedback and two scores."""


@scorer(
    "comparative",
    summary="two samples of a group in one call, each scored against the other",
    paper="arXiv 2507.03673",
    needs="groups; an LLM, or embeddings without one",
    cost=Cost(calls=0.5, embeddings=2, note="calls with llm, for each group and round; embeddings without"),
)
class Comparative(Asking, Scorer):
    """Who compares, and which pairs."""

    verb = "compare"
    seeded = True
    within_groups = True

    llm: str | None = None
    """Which of the configured `llms` compares; None compares by a quality model fitted on the pool itself."""
    prompt: str = "compare"
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=512)
    pairing: Literal["stored", "random"] = "stored"
    rounds: int = Field(1, ge=1)
    """Times each sample is scored in a group, each time with another partner, as far as there are any;
    above 1 implies random order."""
    low: int = Field(1, ge=0)
    """Lowest score: 1 as in the paper's figure 3; the released prompt file has 0."""
    high: int = Field(100, ge=1)
    odd: Literal["rematch", "drop"] = "rematch"
    """The last sample of an odd group meets a scored one again, or stays without a score."""
    quality: LearnedSettings = LearnedSettings()
    """The quality model, where no LLM compares."""

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        who = self.asks(llms) if self.llm else "quality model fitted on the pool, embedded, no LLM"
        return f"comparative ({who})"

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        return {} if self.llm else {"quality": PoolQuality(fit=self.quality).build(setup)}

    def identity(self, setup: Setup) -> dict[str, Any]:
        made = self.model_dump(include={"pairing", "rounds", "odd", "low", "high"})
        if self.llm is None:
            return made
        self.check(FIELDS, "score")
        return made | self.asked(setup.llm(self.llm, "score.llm"))

    def estimate(self, setup: Setup, per_row: int) -> Estimate | None:
        if self.llm is None:
            return None
        return pair_estimate(self, setup.llm(self.llm, "score.llm"), setup.seed, per_row)

    def pairs(self, groups: Groups, seed: int) -> list[Pair]:
        """Every call to make."""
        shuffle = self.pairing == "random" or self.rounds > 1
        return make_pairs(groups, seed, self.rounds, shuffle, self.odd == "rematch")

    def score(self, pool: Pool, job: Job) -> Scores:
        groups = tables.groups_of(job.inputs, len(pool))
        pairs = self.pairs(groups, job.seed)
        answers = self.comparator(job).compare(pool, pairs)
        write_pairs(job.out, pool, pairs, answers)
        job.metrics["pairs"] = len(pairs)
        return read_out(len(pool), groups, pairs, answers)

    def comparator(self, job: Job) -> Comparator:
        if self.llm is not None:
            return LLMComparator(self, job.tools.llm(self.llm))
        quality = tables.read_scores(job.inputs["quality"]).values
        return LearnedComparator(quality, self.low, self.high)


class Comparator(Protocol):
    """Pairs of rows in, scores out, in order."""

    def compare(self, pool: Pool, pairs: Sequence[Pair]) -> list[PairScores]: ...


def pair_estimate(settings: Comparative, llm: LLMSettings, seed: int, per_row: int) -> Estimate:
    """Exact pairs where the groups are known; before that every sample is taken to stand in `per_row` of them."""

    def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
        pairs = settings.pairs(tables.groups_of(done, len(pool)), seed)
        requests = (compare_request(pool[p.first], pool[p.second], settings) for p in pairs)
        return Asked(llm, requests, EXPECTED_REPLY, 1 if "groups" in done else per_row)

    return estimate


def read_out(n: int, groups: Groups, pairs: Sequence[Pair], answers: Sequence[PairScores]) -> Scores:
    """Mean score per sample and group over rounds (`within`), and over all its calls (`values`)."""
    given: dict[tuple[int, int], list[float]] = {}
    errors: dict[int, str] = {}
    for pair, answer in zip(pairs, answers, strict=True):
        sides = [(pair.first, answer.first)]
        if pair.counts_second:
            sides.append((pair.second, answer.second))
        for row, value in sides:
            if value is None:
                errors[row] = answer.error or "no score"
            else:
                given.setdefault((pair.group, row), []).append(value)
    within = tuple(
        np.array([np.mean(given[g, int(row)]) if (g, int(row)) in given else np.nan for row in members])
        for g, members in enumerate(groups.members)
    )
    values = _mean_by_row(n, given)
    missing = {row: why for row, why in errors.items() if np.isnan(values[row])}
    for row in np.flatnonzero(np.isnan(values)).tolist():
        missing.setdefault(row, "not compared: alone in its group, or in none")
    return Scores(values, missing, within, sum(answer.error is not None for answer in answers))


def _mean_by_row(n: int, given: dict[tuple[int, int], list[float]]) -> np.ndarray:
    total, count = np.zeros(n), np.zeros(n)
    for (_, row), values in given.items():
        total[row] += sum(values)
        count[row] += len(values)
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0)


def write_pairs(folder: Path, pool: Pool, pairs: Sequence[Pair], answers: Sequence[PairScores]) -> None:
    """Every comparison with its answer, `pairs.parquet`, for whoever wants to trace a score."""
    ids, both = pool.ids, list(zip(pairs, answers, strict=True))
    columns: Mapping[str, Any] = {
        "group": [p.group for p in pairs],
        "round": [p.round for p in pairs],
        "first": [ids[p.first] for p in pairs],
        "second": [ids[p.second] for p in pairs],
        "score_first": pa.array([a.first for a in answers], pa.float64()),
        "score_second": pa.array([a.second if p.counts_second else None for p, a in both], pa.float64()),
        "error": pa.array([a.error for a in answers], pa.string()),
    }
    pq.write_table(pa.table(columns), folder / "pairs.parquet")


def compare_request(first: Sample, second: Sample, settings: Comparative) -> Request:
    return settings.request(
        low=str(settings.low),
        high=str(settings.high),
        prompt_1=first.prompt,
        response_1=first.response,
        prompt_2=second.prompt,
        response_2=second.response,
    )


class LearnedComparator:
    """Scores a pair by the quality of each: the rank of q in the pool, spread over the scale."""

    def __init__(self, quality: np.ndarray, low: int = 1, high: int = 100):
        """quality: (n,) of the pool that the pairs point into."""
        ranks = np.argsort(np.argsort(quality, kind="stable"), kind="stable")
        self.scores = low + (high - low) * ranks / max(1, len(quality) - 1)

    def compare(self, pool: Pool, pairs: Sequence[Pair]) -> list[PairScores]:
        return [
            PairScores(first=float(self.scores[p.first]), second=float(self.scores[p.second])) for p in pairs
        ]


class LLMComparator:
    """One chat call per pair; pairs of a group go out next to each other, as they come in."""

    def __init__(self, settings: Comparative, llm: LLM):
        self.settings = settings
        self.llm = llm

    def compare(self, pool: Pool, pairs: Sequence[Pair]) -> list[PairScores]:
        def request(row: int) -> Request:
            return compare_request(pool[pairs[row].first], pool[pairs[row].second], self.settings)

        return [
            PairScores(error=read.error) if read.value is None else read.value
            for read in ask(self.llm, len(pairs), request, self._scores, self.settings.reask)
        ]

    def _scores(self, reply: str) -> PairScores:
        """Raises: ParseError."""
        first, second = parse_pair_scores(reply, self.settings.low, self.settings.high)
        return PairScores(first=first, second=second)
