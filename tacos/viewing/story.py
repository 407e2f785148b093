"""Why a sample was selected, or not: everything that the stages of a run know of one row.

    alpaca-1581   in "content creation" it came 4th of 41 with 98 +- 6, the group had 3 places, and lost a tie at 98 by
                  stored order

`tell` reads the tables behind every arm; `words.py` puts them into sentences.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from tacos.errors import TacosError, nearest
from tacos.scoring.calls import COMPARISONS
from tacos.selection import Groups, Scores
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.types import Message, Pool, Record, Sample
from tacos.viewing.run_folder import RunArm, RunFolder, StageFolder
from tacos.viewing.words import why

DROPPED = "dropped.jsonl"


class Partner(Record):
    """Another sample of a call."""

    id: str
    score: float | None


class Meeting(Record):
    """One comparing call that showed the sample."""

    round: int
    """From 0; -1 for a late one."""
    place: int
    """1 for who was shown first."""
    score: float | None
    """Its own."""
    guest: bool
    """It was there to be compared with: the score counts in no mean."""
    partners: list[Partner]
    feedback: str | None = None
    error: str | None = None


class InGroup(Record):
    """The sample in one of its groups."""

    label: str
    members: int
    place: int | None
    """By score, from 1; None without a score."""
    score: float | None
    """The one that decides inside the group."""
    selected: int
    """Rows that were selected from the group."""
    lowest_selected: float | None
    """Score of the last of them."""


class ArmStory(Record):
    """What one arm made of the sample with one seed."""

    arm: str
    seed: int | None
    selected: bool
    rank: int | None = None
    """In the selection, from 1."""
    reason: str = ""
    """The allocator's."""
    selected_group: str = ""
    score: float | None = None
    std_error: float | None = None
    error: str | None = None
    """Why it has no score."""
    place: int | None = None
    """Among all scores of the pool, from 1."""
    scored: int = 0
    """Rows of the pool that have a score."""
    groups: list[InGroup] = Field(default_factory=list)
    grouped: bool = False
    """Whether the arm has groups."""
    by_group: bool = False
    """Whether its groups had places of their own."""
    tags_before: list[str] | None = None
    tags_after: list[str] | None = None
    meetings: list[Meeting] = Field(default_factory=list)
    rewritten: list[Message] | None = None
    """As it was trained on, where it was refined."""
    budget: int = 0
    """Rows that were selected."""
    lowest_selected: float | None = None
    """The lowest score in the selection."""
    why: str = ""
    """In a sentence."""


class SampleStory(Record):
    """One sample over all arms of a run."""

    id: str
    sample: Sample | None
    """None where it was dropped before selecting."""
    dropped: str | None = None
    """Why, where it was."""
    arms: list[ArmStory]


def tell(run: RunFolder, sample_id: str) -> SampleStory:
    """Raises: TacosError naming the nearest id where the pool never held this one."""
    load = run.arms[0].last.find("load")
    if load is None:
        raise TacosError(f"{run.path} rests on no pool: the artifacts that it links to are gone")
    pool = Pool.read(load.path / tables.POOL)
    row = pool.position.get(sample_id)
    if row is None:
        dropped = _dropped(load.path, sample_id)
        if dropped is None:
            raise TacosError(f"the pool holds no sample {sample_id!r}: {nearest(sample_id, pool.ids)}")
        return SampleStory(id=sample_id, sample=None, dropped=dropped, arms=[])
    return SampleStory(id=sample_id, sample=pool[row], arms=[_arm_story(arm, pool, row) for arm in run.arms])


def _dropped(load: Path, sample_id: str) -> str | None:
    for row in read_jsonl(load / DROPPED) if (load / DROPPED).is_file() else ():
        if row.get("id") == sample_id:
            of = f" (of {row['of']})" if row.get("of") else ""
            return f"{row['reason']}: {row.get('detail', '')}{of}".rstrip(": ")
    return None


def _arm_story(arm: RunArm, pool: Pool, row: int) -> ArmStory:
    sample_id, select = pool.ids[row], arm.select
    rows = list(read_jsonl(select.path / tables.SELECTION))
    own = next((r for r in rows if r["id"] == sample_id), None)
    chosen = own["selection"] if own else {}
    known = [r["selection"]["score"] for r in rows if r["selection"]["score"] is not None]
    found: dict[str, object] = {
        "arm": arm.arm,
        "seed": arm.seed,
        "selected": own is not None,
        "rank": chosen.get("rank"),
        "reason": chosen.get("reason", ""),
        "selected_group": chosen.get("group", ""),
        "budget": len(rows),
        "by_group": any(r["selection"]["place"] is not None for r in rows),
        "lowest_selected": min(known, default=None),
        "rewritten": _rewritten(arm, sample_id),
        **_scored(select, pool, row, rows),
        **_tagged(select, row),
        "meetings": _meetings(select.find("compare"), sample_id),
    }
    story = ArmStory.model_validate(found)
    return story.model_copy(update={"why": why(story)})


def _rewritten(arm: RunArm, sample_id: str) -> list[dict[str, object]] | None:
    if not arm.last.refines:
        return None
    rows = read_jsonl(arm.last.path / tables.SELECTION)
    return next((row["messages"] for row in rows if row["id"] == sample_id), None)


def _scored(select: StageFolder, pool: Pool, row: int, rows: list[dict[str, object]]) -> dict[str, object]:
    """Score, places in the pool and in each group."""
    inputs = select.inputs
    scores = tables.read_scores(inputs["scores"].path) if "scores" in inputs else Scores.none(len(pool))
    groups = tables.read_groups(inputs["groups"].path) if "groups" in inputs else None
    value = scores.values[row]
    found: dict[str, object] = {"scored": scores.scored, "grouped": groups is not None}
    if not np.isnan(value):
        found |= {"score": float(value), "place": int((scores.values > value).sum()) + 1}
        if scores.std_errors is not None:
            found["std_error"] = float(scores.std_errors[row])
    elif "scores" in inputs:
        found["error"] = scores.errors.get(row, "no score")
    if groups is not None:
        taken = {pool.position[str(r["id"])] for r in rows}
        found["groups"] = [
            _in_group(groups, number, scores, row, taken) for number in groups.homes.get(row, [])
        ]
    return found


def _in_group(groups: Groups, number: int, scores: Scores, row: int, taken: set[int]) -> InGroup:
    members, values = groups.members[number], scores.of(groups, number)
    own = float(values[np.flatnonzero(members == row)[0]])
    chosen = np.isin(members, list(taken)) & ~np.isnan(values)
    return InGroup(
        label=groups.labels[number],
        members=len(members),
        place=None if np.isnan(own) else int((values > own).sum()) + 1,
        score=None if np.isnan(own) else own,
        selected=int(np.isin(members, list(taken)).sum()),
        lowest_selected=float(values[chosen].min()) if chosen.any() else None,
    )


def _tagged(select: StageFolder, row: int) -> dict[str, object]:
    """The row's tags before and after normalization, where there are any."""
    found: dict[str, object] = {}
    for name, stage in (("tags_before", "tag"), ("tags_after", "normalize")):
        folder = select.find(stage)
        if folder is not None:
            found[name] = list(tables.read_tags(folder.path).rows[row])
    return found


def _meetings(compare: StageFolder | None, sample_id: str) -> list[Meeting]:
    """Every call that showed the sample, in the order of asking."""
    path = compare.path / COMPARISONS if compare else None
    if path is None or not path.is_file():
        return []
    own = pq.read_table(path, filters=pc.field("id") == sample_id)
    calls = own.column("call").to_pylist()
    whole = pq.read_table(path, filters=pc.field("call").isin(calls)).to_pylist() if calls else []
    partners: dict[int, list[Partner]] = {}
    for shown in whole:
        if shown["id"] != sample_id:
            partners.setdefault(shown["call"], []).append(Partner(id=shown["id"], score=shown["score"]))
    return [
        Meeting(
            round=shown["round"],
            place=shown["place"] + 1,
            score=shown["score"],
            guest=shown["guest"],
            partners=partners.get(shown["call"], []),
            feedback=shown["feedback"],
            error=shown["error"],
        )
        for shown in own.to_pylist()
    ]
