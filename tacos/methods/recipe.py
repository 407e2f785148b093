"""A recipe: who groups, who scores, who allocates. A method is a name for one.

    Recipe(group=TagGroups(), score=Comparative(), allocate=PerGroup())          TACOS

An ablation replaces one part. What makes no sense is refused before any work: an allocator that ranks needs a scorer,
and one that looks at no score would let a scorer be paid for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tacos.allocation.base import RankingAllocator
from tacos.allocation.certainty import certainty, quota_gap
from tacos.allocation.per_group import PerGroup
from tacos.errors import ConfigError
from tacos.hooks import check_picks
from tacos.llm.settings import LLMSettings
from tacos.methods.slots import SLOTS, read_part
from tacos.part import SCORERS, Allocator, AnyAllocator, AnyGrouper, AnyScorer, Setup
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.types import Record


class Recipe(Record):
    """group x score x allocate."""

    group: AnyGrouper
    score: AnyScorer | None
    """None where the allocator looks at no score."""
    allocate: AnyAllocator

    def replaced(self, parts: Mapping[str, Any], where: str = "") -> Recipe:
        """The recipe with other parts, or other settings of its own.

        Raises: ConfigError for an unknown part or setting, or a combination that makes no sense.
        """
        made = {
            slot: read_part(slot, parts[slot], getattr(self, slot), f"{where}{slot}")
            if slot in parts
            else getattr(self, slot)
            for slot in SLOTS
        }
        return Recipe(**made).checked(where)

    def checked(self, where: str = "") -> Recipe:
        """Raises: ConfigError for a combination that makes no sense."""
        name = self.allocate.by
        if self.allocate.reads_scores and self.score is None:
            raise ConfigError(
                f"{where}allocate.by={name} ranks rows by a score, and {where}score is null: name a scorer"
            )
        if self.score is not None and self.allocate.reads_scores is False:
            raise ConfigError(
                f"{where}allocate.by={name} looks at no score, so {where}score.by={self.score.by} would be made for "
                f"nothing: set {where}score=null"
            )
        if self.allocate.reads_targets and not (self.score and self.score.targeted):
            known = ", ".join(by for by in SCORERS if SCORERS.get(by).targeted)
            raise ConfigError(
                f"{where}allocate.by={name} takes turns between query rows, and {where}score.by="
                f"{self.score and self.score.by} is made for none: name one of {known}"
            )
        return self

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        """ "tags (LLM gpt-4o-mini) x comparative (LLM gpt-4o) x per_group"."""
        parts = [part for part in (self.group, self.score, self.allocate) if part is not None]
        return " x ".join(part.describe(llms) for part in parts)

    def build(self, setup: Setup) -> Stage:
        """The selection, with all that it rests on."""
        groups = self.group.build(setup)
        scores = self.score.build(setup, self.group) if self.score else None
        return select(setup, self.allocate, groups, scores)


def select(setup: Setup, allocator: Allocator, groups: Stage | None, scores: Stage | None) -> Stage:
    """The selection: ranked rows with their messages, `selection.jsonl`.

    Without groups the pool is one group; without scores every score is missing.
    """
    named = {"groups": groups, "scores": scores}
    inputs = {name: stage for name, stage in named.items() if stage is not None}

    def work(job: Job) -> Outcome:
        pool = job.pool()
        members = tables.groups_of(job.inputs, len(pool))
        known = tables.read_scores(job.inputs["scores"]) if scores else Scores.none(len(pool))
        budget = len(pool) if setup.budget is None else setup.budget
        most = budget if allocator.budgeted else None
        picks = check_picks(allocator.allocate(members, known, budget, job), len(pool), most, allocator.name)
        tables.write_selection(job.out, pool, picks)
        metrics = {"groups": len(members), **_told(allocator, members, known, picks, job)}
        return Outcome(rows_in=len(pool), rows_out=len(picks), metrics=metrics)

    stage = allocator.stage(setup, work, inputs)
    return stage.with_settings(budget=setup.budget if allocator.budgeted else None)


def _told(
    allocator: Allocator, groups: Groups, scores: Scores, picks: Sequence[Pick], job: Job
) -> dict[str, Any]:
    """How sure a selection by rank is of its rows, and how much it hangs on quotas, as far as that can be said."""
    if not isinstance(allocator, RankingAllocator):
        return {}
    found: dict[str, Record | None] = {}
    if not allocator.risk:  # lowered scores have no one cut
        found["certainty"] = certainty(groups, scores, picks)
    if scores.scored >= len(picks):
        quota = PerGroup().allocate(groups, scores, len(picks), job)
        found["quota_gap"] = quota_gap(groups, scores, quota)
    return {name: record.model_dump() for name, record in found.items() if record}
