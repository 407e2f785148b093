"""Why a sample was selected, or not: everything that the stages of a run know of one row.

    alpaca-1581   not selected: in 'content creation' it came 2nd of 41 with 98 +- 6, a score that 7 rows share; 3
                  were taken, and it lost a tie with the last of them

`tell` reads the tables behind every arm; `words.py` puts them into sentences.
"""

from __future__ import annotations

import difflib
import textwrap
from pathlib import Path

import numpy as np
from pydantic import Field

from tacos.errors import TacosError
from tacos.selection import Groups
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.types import Message, Pool, Record, Sample
from tacos.viewing.arm_tables import ArmTables
from tacos.viewing.run_folder import RunFolder
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
    shared: int
    """Rows of the group with this score."""
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
    shared: int = 0
    """Rows of the pool with its score."""
    scored: int = 0
    """Rows of the pool that have a score."""
    groups: list[InGroup] = Field(default_factory=list)
    grouped: bool = False
    """Whether the arm has groups."""
    by_group: bool = False
    """Whether its groups had places of their own."""
    tags_before: list[str] | None = None
    tags_after: list[str] | None = None
    tags_error: str | None = None
    """Why it has no tags, where the tagger gave none that can be read."""
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


SHOWN = 5
"""Rows that are named in place of an unknown id."""


class Teller:
    """Tells of many samples of one run; the tables behind its arms are read once."""

    def __init__(self, run: RunFolder):
        """Raises: TacosError where the run rests on no pool."""
        load = run.selected()[0].last.find("load")
        if load is None:
            raise TacosError(f"{run.path} rests on no pool: the artifacts that it links to are gone")
        self.load = load.path
        self.pool = Pool.read(load.path / tables.POOL)
        self.arms = [ArmTables(arm, self.pool) for arm in run.arms]

    def tell(self, sample_id: str) -> SampleStory:
        """Raises: TacosError where the pool never held it, with the rows that have its words, or the nearest id."""
        row = self.pool.position.get(sample_id)
        if row is None:
            dropped = _dropped(self.load, sample_id)
            if dropped is None:
                raise TacosError(f"the pool holds no sample {sample_id!r}: {_hint(sample_id, self.pool)}")
            return SampleStory(id=sample_id, sample=None, dropped=dropped, arms=[])
        told = [_arm_story(arm, sample_id, row) for arm in self.arms]
        return SampleStory(id=sample_id, sample=self.pool[row], arms=told)


def tell(run: RunFolder, sample_id: str) -> SampleStory:
    """One sample. Raises: TacosError as `Teller` does."""
    return Teller(run).tell(sample_id)


def _hint(asked: str, pool: Pool) -> str:
    """Ids of a file without any are made from its text, which is what a user knows of a row."""
    words = asked.casefold()
    rows = [row for row, prompt in enumerate(pool.prompts) if words in prompt.casefold()] if words else []
    if rows:
        shown = "; ".join(
            f"{pool.ids[row]} ({textwrap.shorten(pool.prompts[row], 60)})" for row in rows[:SHOWN]
        )
        more = f"; and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
        return f"it is in the prompts of {shown}{more}"
    close = difflib.get_close_matches(asked, pool.ids, n=1, cutoff=0.8)
    return f"did you mean {close[0]!r}?" if close else "give an id, or words of a prompt to find its id by"


def _dropped(load: Path, sample_id: str) -> str | None:
    for row in read_jsonl(load / DROPPED) if (load / DROPPED).is_file() else ():
        if row.get("id") == sample_id:
            of = f" (of {row['of']})" if row.get("of") else ""
            return f"{row['reason']}: {row.get('detail', '')}{of}".rstrip(": ")
    return None


def _arm_story(arm: ArmTables, sample_id: str, row: int) -> ArmStory:
    own = arm.rows.get(sample_id)
    chosen = own["selection"] if own else {}
    found: dict[str, object] = {
        "arm": arm.arm.arm,
        "seed": arm.arm.seed,
        "selected": own is not None,
        "rank": chosen.get("rank"),
        "reason": chosen.get("reason", ""),
        "selected_group": chosen.get("group", ""),
        "budget": len(arm.rows),
        "by_group": arm.by_group,
        "lowest_selected": arm.lowest_selected,
        "rewritten": arm.rewritten.get(sample_id),
        **_scored(arm, row),
        "tags_before": list(arm.tags.rows[row]) if arm.tags else None,
        "tags_error": arm.tags.errors.get(row) if arm.tags else None,
        "tags_after": list(arm.normalized.rows[row]) if arm.normalized else None,
        "meetings": _meetings(arm, sample_id),
    }
    story = ArmStory.model_validate(found)
    return story.model_copy(update={"why": why(story)})


def _scored(arm: ArmTables, row: int) -> dict[str, object]:
    """Score, places in the pool and in each group."""
    scores, groups, known = arm.scores, arm.groups, arm.sorted_scores
    value = scores.values[row]
    found: dict[str, object] = {"scored": len(known), "grouped": groups is not None}
    if not np.isnan(value):
        below, upto = (int(np.searchsorted(known, value, side)) for side in ("left", "right"))
        found |= {"score": float(value), "place": len(known) - upto + 1, "shared": upto - below}
        if scores.std_errors is not None:
            found["std_error"] = float(scores.std_errors[row])
    elif arm.scored:
        found["error"] = scores.errors.get(row, "no score")
    if groups is not None:
        found["groups"] = [_in_group(arm, groups, number, row) for number in groups.homes.get(row, [])]
    return found


def _in_group(arm: ArmTables, groups: Groups, number: int, row: int) -> InGroup:
    members, values = groups.members[number], arm.scores.of(groups, number)
    own = float(values[np.flatnonzero(members == row)[0]])
    taken = arm.ranks[members] > 0
    chosen = taken & ~np.isnan(values)
    return InGroup(
        label=groups.labels[number],
        members=len(members),
        place=None if np.isnan(own) else int((values > own).sum()) + 1,
        score=None if np.isnan(own) else own,
        shared=int((values == own).sum()),
        selected=int(taken.sum()),
        lowest_selected=float(values[chosen].min()) if chosen.any() else None,
    )


def _meetings(arm: ArmTables, sample_id: str) -> list[Meeting]:
    """Every call that showed the sample, in the order of asking."""
    own, whole = arm.calls_of(sample_id)
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
        for shown in own
    ]
