"""The stages of an audit: pools made for it, each scored by the scorer's ordinary stage.

    sample          rows of the pool, drawn by the seed             scored, scored again, and by a second scorer
    step 1, 2, 3    the sample with some of its answers altered     altered: the others are as they were, and known
    beside          the sample and one side of given pairs          paired: the better sides, and the worse ones
    shown           pairs of rows, for scorers that compare         swapped: each pair in both orders, and nobody else

Whatever scores can so be audited: answers come from the reply cache, finished stages are kept, and a run that was
stopped goes on. An altered row stands in the place of its original, and never meets it. With the same seed it meets the
partner that its original met, so a scorer that compares is asked again only about calls with an altered row. What is
fitted on its pool (`pool_quality`) is fitted on the altered rows, too: 40% of 1,000 rows, 16% of 5,000.

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
from tacos.scoring.probes import STEPS, Probe, at_step, probes
from tacos.scoring.readout.readout import Readout
from tacos.selection import Groups
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import read_jsonl, write_jsonl
from tacos.types import Pool, Sample, make_sample

PROBES = "probes.jsonl"
MOST_PROBED = 200
"""Rows that each kind alters; at most a tenth of the sample."""
BETTER, WORSE = 0, 1
"""Where the sides of a pair stand in `sides`."""
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
        return _probes(self.load, self.sample, self.settings.seed)

    @cached_property
    def altered(self) -> list[Stage]:
        """For each step; none of scores from a file, which cannot know altered rows."""
        if isinstance(self.scorer, FileScores):
            return []
        pools = [_step(self.sample, self.probes, step) for step in range(1, STEPS + 1)]
        return [self.scorer.build(replace(self.setup, pool=pool), self.settings.group) for pool in pools]

    @cached_property
    def paired(self) -> list[Stage]:
        """The better sides of given pairs beside the sample, and the worse ones: never a pair in one pool, whose sides
        would be neighbours. None of scores from a file, and where both sides are shown in one call."""
        if self.pairs is None or self.swapped is not None or isinstance(self.scorer, FileScores):
            return []
        pools = [_beside(self.sample, self.pairs, side) for side in (BETTER, WORSE)]
        return [self.scorer.build(replace(self.setup, pool=pool), self.settings.group) for pool in pools]

    @cached_property
    def shown(self) -> Stage:
        return _shown(self.sample, self.pairs, self.settings.seed)

    @cached_property
    def swapped(self) -> Stage | None:
        """None of scorers that do not ask for comparisons."""
        if not isinstance(self.scorer, Comparative) or self.scorer.llm is None:
            return None
        as_shown = {
            "design": Design(order="stored", size=self.scorer.design.size, bridges=0),
            "readout": Readout(by="mean"),
        }
        scorer: Scorer = self.scorer.model_copy(update=as_shown)
        return scorer.build(replace(self.setup, pool=self.shown), BothOrders())

    @property
    def made(self) -> list[Stage]:
        """The pools: nobody is asked for them."""
        scored = [*self.altered, *self.paired, *([self.swapped] if self.swapped else [])]
        return [self.sample, *(stage.inputs["pool"] for stage in scored)]

    @property
    def targets(self) -> dict[str, Stage]:
        """What is measured -> the scoring that it needs, the first one first."""
        found = {
            "scored": self.scored,
            "scored again": self.again,
            **{f"altered, step {step}": stage for step, stage in enumerate(self.altered, start=1)},
            **dict(zip(("better sides", "worse sides"), self.paired, strict=False)),
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


def _probes(load: Stage, sample: Stage, seed: int) -> Stage:
    def work(job: Job) -> Outcome:
        pool, donors = job.pool(), Pool.read(job.inputs["donors"] / tables.POOL)
        made = probes(pool, donors, min(MOST_PROBED, len(pool) // 10), seed)
        write_jsonl(job.out / PROBES, (probe.model_dump() for probe in made))
        return Outcome(rows_in=len(pool), rows_out=len(made))

    return Stage("probes", work, {"seed": seed, "most": MOST_PROBED}, {"pool": sample, "donors": load})


def read_probes(folder: Path) -> list[Probe]:
    """folder: of the stage `probes`."""
    return [Probe.model_validate(row) for row in read_jsonl(folder / PROBES)]


def _step(sample: Stage, altered: Stage, step: int) -> Stage:
    def work(job: Job) -> Outcome:
        made = at_step(job.pool(), read_probes(job.inputs["probes"]), step)
        made.write(job.out / tables.POOL)
        return Outcome(rows_in=len(made), rows_out=len(made))

    return Stage("step", work, {"step": step}, {"pool": sample, "probes": altered})


def _beside(sample: Stage, pairs: QualityPairs, side: int) -> Stage:
    def work(job: Job) -> Outcome:
        pool = job.pool()
        made = Pool.from_samples([*pool, *sides(pairs)[side::2]])
        made.write(job.out / tables.POOL)
        return Outcome(rows_in=len(pool), rows_out=len(made))

    return Stage("beside", work, {"pairs": pairs.names(), "side": side}, {"pool": sample})


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
