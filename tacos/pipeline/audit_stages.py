"""The stages of an audit: pools made for it, each scored by the scorer's ordinary stage.

    sample     rows of the pool, drawn by the seed          scored, and scored again     (and scored by a second scorer)
    probes     the sample, altered copies of some of its    altered
               rows, and the sides of given pairs
    shown      pairs of rows, for scorers that compare      swapped: each pair in both orders, and nobody else

Whatever scores can so be audited: answers come from the reply cache, finished stages are kept, and a run that was
stopped goes on. An altered copy is a row like any other: it may meet its original in a comparing call, as two versions
of one sample may in a pool, which happens to about one copy in a thousand. What is fitted on its pool (`pool_quality`)
is fitted on the copies, too: of 1,000 rows with 200 altered they are two thirds of it, of 10,000 a sixth.

Scored again is with another seed and, of a language model, with every question asked anew; of a scorer that does
neither there is no second scoring, since it would be the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tacos.llm.anew import REPEAT, SecondAsking, asked_anew
from tacos.llm.estimate import Asked
from tacos.part import Grouper, Scorer
from tacos.pipeline.audit_settings import AuditSettings
from tacos.pipeline.graph import selecting_setup
from tacos.pipeline.pool import load_stage
from tacos.scoring.comparative import Comparative
from tacos.scoring.designs import Design
from tacos.scoring.file import FileScores
from tacos.scoring.iqs.pairs import QualityPairs, read_pairs
from tacos.scoring.probes import probes
from tacos.scoring.readout.readout import Readout
from tacos.selection import Groups
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import write_jsonl
from tacos.types import Pool, Sample, make_sample

PROBES = "probes.jsonl"
MOST_PROBED = 200
"""Rows that are altered, in every kind and grade; at most a fifth of the sample."""
MOST_SHOWN = 200
"""Pairs of the sample that are shown in both orders, where none are given."""


class BothOrders(Grouper):
    """Rows 0 and 1, 1 and 0, 2 and 3, 3 and 2, ...: with partners in stored order, every pair in both orders."""

    name = "both_orders"

    @property
    def per_row(self) -> int:
        return 2

    def group(self, pool: Pool, job: Job) -> Groups:
        pairs = [[row, row + 1] for row in range(0, len(pool) - 1, 2)]
        members = tuple(np.array(shown) for pair in pairs for shown in (pair, pair[::-1]))
        return Groups(tuple(map(str, range(len(members)))), members)


class AuditStages:
    """Built from settings; nothing is done before a store runs them."""

    def __init__(self, settings: AuditSettings):
        self.settings, self.scorer = settings, settings.score
        self.load = load_stage(settings.pool)
        self.pairs: QualityPairs | None = read_pairs(Path(settings.pairs)) if settings.pairs else None
        self.sample = _sample(self.load, settings.rows, settings.seed)
        self.setup = replace(
            selecting_setup(settings, self.load, max(1, settings.rows // 2), settings.seed), pool=self.sample
        )

    @property
    def compares_by_asking(self) -> bool:
        """Whether the order in which a call shows its samples can matter."""
        return isinstance(self.scorer, Comparative) and self.scorer.llm is not None

    @cached_property
    def scored(self) -> Stage:
        return self.scorer.build(self.setup, self.settings.group)

    @cached_property
    def again(self) -> Stage | None:
        """None of a scorer of which nothing is drawn and nobody is asked."""
        other = self.scorer.build(replace(self.setup, seed=self.settings.seed + 1), self.settings.group)
        if other.estimate is not None:
            return _anew(other)
        return other if other.fingerprint != self.scored.fingerprint else None

    @cached_property
    def second(self) -> Stage | None:
        other = self.settings.second
        return other.build(self.setup, self.settings.group) if other else None

    @cached_property
    def probes(self) -> Stage:
        given = None if self.compares_by_asking else self.pairs
        return _probes(self.load, self.sample, given, self.settings)

    @cached_property
    def altered(self) -> Stage | None:
        """None of scores from a file, which cannot know the copies."""
        if isinstance(self.scorer, FileScores):
            return None
        return self.scorer.build(replace(self.setup, pool=self.probes), self.settings.group)

    @cached_property
    def shown(self) -> Stage:
        return _shown(self.sample, self.pairs, self.settings.seed)

    @cached_property
    def swapped(self) -> Stage | None:
        """None of scorers that do not ask for comparisons."""
        if not isinstance(self.scorer, Comparative) or self.scorer.llm is None:
            return None
        as_shown = {
            "design": Design(order="stored", size=self.scorer.design.size),
            "readout": Readout(by="mean"),
        }
        scorer: Scorer = self.scorer.model_copy(update=as_shown)
        return scorer.build(replace(self.setup, pool=self.shown), BothOrders())

    @property
    def made(self) -> list[Stage]:
        """The pools: nobody is asked for them."""
        return [
            self.sample,
            *([self.probes] if self.altered else []),
            *([self.shown] if self.swapped else []),
        ]

    @property
    def targets(self) -> dict[str, Stage]:
        """What is measured -> the scoring that it needs, the first one first."""
        found = {
            "scored": self.scored,
            "scored again": self.again,
            "altered rows": self.altered,
            "both orders": self.swapped,
            "second scorer": self.second,
        }
        return {name: stage for name, stage in found.items() if stage is not None}


def _sample(load: Stage, rows: int, seed: int) -> Stage:
    def work(job: Job) -> Outcome:
        pool = job.pool()
        drawn = np.random.default_rng(seed).permutation(len(pool))[:rows]
        pool.take(np.sort(drawn)).write(job.out / tables.POOL)
        return Outcome(rows_in=len(pool), rows_out=len(drawn))

    return Stage("sample", work, {"rows": rows, "seed": seed}, {"pool": load})


def _probes(load: Stage, sample: Stage, pairs: QualityPairs | None, settings: AuditSettings) -> Stage:
    def work(job: Job) -> Outcome:
        pool = job.pool()
        donors = Pool.read(job.inputs["donors"] / tables.POOL)
        made = list(probes(pool, donors, min(MOST_PROBED, len(pool) // 5), settings.seed))
        rows = [*pool, *(copy for _, copy in made), *sides(pairs)]
        Pool.from_samples(rows).write(job.out / tables.POOL)
        write_jsonl(job.out / PROBES, (probe.model_dump() for probe, _ in made))
        return Outcome(rows_in=len(pool), rows_out=len(rows), metrics={"altered": len(made)})

    known = {"seed": settings.seed, "most": MOST_PROBED, "pairs": pairs.names() if pairs else []}
    return Stage("probes", work, known, {"pool": sample, "donors": load})


def _shown(sample: Stage, pairs: QualityPairs | None, seed: int) -> Stage:
    def work(job: Job) -> Outcome:
        pool = job.pool()
        drawn = np.random.default_rng(seed).permutation(len(pool))[: 2 * min(MOST_SHOWN, len(pool) // 2)]
        found = Pool.from_samples(sides(pairs)) if pairs else pool.take(drawn)
        found.write(job.out / tables.POOL)
        return Outcome(rows_in=len(pool), rows_out=len(found))

    known = {"pairs": pairs.names()} if pairs else {"seed": seed, "most": MOST_SHOWN}
    return Stage("shown", work, known, {"pool": sample})


def sides(pairs: QualityPairs | None) -> list[Sample]:
    """The better side of each pair, and then the worse one."""
    found = []
    for number, pair in enumerate(pairs.pairs if pairs else ()):
        asked = (pair.prompt, pair.prompt if pair.worse_prompt is None else pair.worse_prompt)
        for side, prompt, answer in zip(("better", "worse"), asked, (pair.better, pair.worse), strict=True):
            found.append(make_sample(prompt, answer, id=f"pair-{number}~{side}"))
    return found


def _anew(stage: Stage) -> Stage:
    """The same stage with every question of its own asked once more."""
    estimate = stage.estimate

    def work(job: Job) -> Outcome:
        tools = job.tools
        return stage.work(replace(job, tools=replace(tools, llm=lambda name: SecondAsking(tools.llm(name)))))

    def again(pool: Pool, done: Mapping[str, Path]) -> Asked:
        assert estimate is not None
        asked = estimate(pool, done)
        return replace(asked, requests=map(asked_anew, asked.requests))

    return replace(stage, work=work, estimate=again, settings={**stage.settings, "repeat": REPEAT})
