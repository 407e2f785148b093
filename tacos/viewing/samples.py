"""The samples of a pool as one arm saw them, page by page: filtered, searched and sorted over columns.

    browser.page(SampleQuery(arm="tacos", filter="discarded", group="plural", sort="-score"), arm, None)

The columns of the pool and of each arm are made once and kept; a query is a mask over them, so that a page of 52,000
rows takes milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tacos.types import Pool, Record
from tacos.viewing.arm_tables import ArmTables
from tacos.viewing.story import Teller

SHORT = 280
"""Characters of a text in a table."""
MOST_ROWS = 200
MOST_NAMES = 1000
"""Groups, and tags, that are offered by name."""

Shown = Literal["all", "selected", "discarded", "both", "only_a", "only_b"]
SortKey = Literal["rank", "score", "-score", "words", "-words", "pool"]


class SampleQuery(Record):
    """What a page of samples is asked for."""

    arm: str
    seed: int | None = None
    """The first of the arm when unset."""
    filter: Shown = "all"
    """both, only_a, only_b: by `arm` (a) and `other` (b)."""
    other: str = ""
    """The arm that `arm` is held against."""
    other_seed: int | None = None
    """Of `other`; its first when unset."""
    group: str = ""
    tag: str = ""
    source: str = ""
    reason: str = ""
    """The allocator's, of a selected row."""
    min: float | None = None
    """Of the score; a row without one is left out."""
    max: float | None = None
    q: str = Field(default="", max_length=500)
    """Words that stand together in prompt or response, whatever their case."""
    sort: SortKey = "rank"
    """rank: the selection first, then the pool's order; a row without a score is last both ways."""
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=50, ge=1, le=MOST_ROWS)


class SampleRow(Record):
    """A sample in a table, its texts cut."""

    id: str
    rank: int | None
    """In the arm's selection, from 1; None where it was not selected."""
    score: float | None
    std_error: float | None
    groups: list[str]
    tags: list[str]
    source: str
    reason: str
    prompt: str
    response: str
    words: int
    """Of the response."""
    taken: list[int]
    """Numbers of the arms that selected it, in the order of the run's arms that select."""


class SamplePage(Record):
    """Some rows, and how many there are."""

    total: int
    offset: int
    rows: list[SampleRow]


class NamedCount(Record):
    """A group, tag, source or reason."""

    name: str
    rows: int
    """Of the pool; of a reason, of the selection."""
    selected: int


class SampleChoices(Record):
    """What the rows of one arm can be filtered by."""

    groups: list[NamedCount]
    tags: list[NamedCount]
    sources: list[NamedCount]
    reasons: list[NamedCount]
    scores: tuple[float, float] | None
    """The lowest and the highest; None without any."""
    left_out: int
    """Names of groups and tags beyond the first `MOST_NAMES` of each."""


class PoolColumns:
    """Of a pool, one entry per row. Lower-case text is kept for the search."""

    def __init__(self, pool: Pool):
        self.prompts, self.responses = pool.prompts, pool.responses
        self.sources = np.array(pool.table.column("source").fill_null("").to_pylist(), dtype=object)
        self.words = np.array([len(text.split()) for text in self.responses], dtype=np.int64)
        texts = [f"{p}\n\n{r}" for p, r in zip(self.prompts, self.responses, strict=True)]
        self.lowered: pa.Array = pc.utf8_lower(pa.array(texts, pa.large_string()))

    def having(self, text: str) -> np.ndarray:
        """(n_samples,) bool"""
        found = pc.match_substring(self.lowered, text.lower())
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


class SampleBrowser:
    """The samples of one run."""

    def __init__(self, teller: Teller):
        self.teller, self.pool = teller, teller.pool
        self._tagged: dict[int, dict[str, list[int]]] = {}

    @cached_property
    def columns(self) -> PoolColumns:
        return PoolColumns(self.pool)

    @cached_property
    def taken(self) -> np.ndarray:
        """(arms, n_samples) bool"""
        return np.array([arm.ranks > 0 for arm in self.teller.arms])

    def page(self, query: SampleQuery, arm: ArmTables, other: ArmTables | None) -> SamplePage:
        rows = self.rows(query, arm, other)
        shown = rows[query.offset : query.offset + query.limit]
        return SamplePage(
            total=len(rows), offset=query.offset, rows=[self.row(arm, int(row)) for row in shown]
        )

    def rows(self, query: SampleQuery, arm: ArmTables, other: ArmTables | None) -> np.ndarray:
        """Row numbers of the pool that the query asks for, sorted."""
        keep = shown_rows(query.filter, arm.ranks > 0, other.ranks > 0 if other else None)
        if query.group:
            keep &= self._in_group(arm, query.group)
        if query.tag:
            keep &= self._with(self.tagged(arm).get(query.tag, []))
        if query.source:
            keep &= np.asarray(self.columns.sources == query.source, dtype=bool)
        if query.reason:
            chosen = (i for i, row in arm.rows.items() if row["selection"]["reason"] == query.reason)
            keep &= self._with(self.pool.position[i] for i in chosen if i in self.pool.position)
        if query.min is not None:
            keep &= arm.scores.values >= query.min  # false where the score is missing
        if query.max is not None:
            keep &= arm.scores.values <= query.max
        if query.q.strip():
            keep &= self.columns.having(query.q.strip())
        return self._sorted(np.flatnonzero(keep), query.sort, arm)

    def choices(self, arm: ArmTables) -> SampleChoices:
        taken, groups = arm.ranks > 0, arm.groups
        pairs = (
            [(name, rows) for name, rows in zip(groups.labels, groups.members, strict=True)] if groups else []
        )
        tags = [(name, np.array(rows)) for name, rows in self.tagged(arm).items()]
        sources = Counter(self.columns.sources.tolist())
        chosen = Counter(self.columns.sources[taken].tolist())
        reasons = Counter(row["selection"]["reason"] for row in arm.rows.values())
        known = arm.sorted_scores
        return SampleChoices(
            groups=_counted(pairs, taken),
            tags=_counted(tags, taken),
            sources=[NamedCount(name=s, rows=n, selected=chosen[s]) for s, n in sources.most_common() if s],
            reasons=[NamedCount(name=r, rows=n, selected=n) for r, n in reasons.most_common() if r],
            scores=(float(known[0]), float(known[-1])) if len(known) else None,
            left_out=max(0, len(pairs) - MOST_NAMES) + max(0, len(tags) - MOST_NAMES),
        )

    def tagged(self, arm: ArmTables) -> dict[str, list[int]]:
        """Tag -> rows of the pool: as normalized, where they were."""
        found = self._tagged.get(id(arm))
        if found is None:
            found = {}
            tags = arm.normalized or arm.tags
            for row, names in enumerate(tags.rows if tags else ()):
                for name in dict.fromkeys(names):
                    found.setdefault(name, []).append(row)
            self._tagged[id(arm)] = found
        return found

    def _with(self, rows: Iterable[int]) -> np.ndarray:
        mask = np.zeros(len(self.pool), dtype=bool)
        mask[list(rows)] = True
        return mask

    def _in_group(self, arm: ArmTables, label: str) -> np.ndarray:
        groups = arm.groups
        number = groups.labels.index(label) if groups and label in groups.labels else None
        return self._with(groups.members[number].tolist() if groups and number is not None else ())

    def _sorted(self, rows: np.ndarray, sort: SortKey, arm: ArmTables) -> np.ndarray:
        if sort == "pool":
            return rows
        if sort == "rank":
            ranks = arm.ranks[rows]
            keys = np.where(ranks > 0, ranks, np.iinfo(np.int64).max)
        elif sort.endswith("score"):
            values = arm.scores.values[rows]
            keys = -values if sort.startswith("-") else values  # NaN sorts last
        else:
            keys = self.columns.words[rows] * (-1 if sort.startswith("-") else 1)
        return rows[np.argsort(keys, kind="stable")]

    def row(self, arm: ArmTables, row: int) -> SampleRow:
        id_, groups, tags = self.pool.ids[row], arm.groups, arm.normalized or arm.tags
        chosen = arm.rows[id_]["selection"] if arm.ranks[row] else {}
        errors = arm.scores.std_errors
        value = _known(arm.scores.values[row])
        return SampleRow(
            id=id_,
            rank=int(arm.ranks[row]) or None,
            score=chosen.get("score") if value is None else value,
            std_error=_known(errors[row]) if errors is not None else None,
            groups=[groups.labels[number] for number in groups.homes.get(row, [])] if groups else [],
            tags=list(tags.rows[row]) if tags else [],
            source=self.columns.sources[row],
            reason=chosen.get("reason", ""),
            prompt=cut(self.columns.prompts[row]),
            response=cut(self.columns.responses[row]),
            words=int(self.columns.words[row]),
            taken=np.flatnonzero(self.taken[:, row]).tolist(),
        )


def shown_rows(shown: Shown, own: np.ndarray, other: np.ndarray | None) -> np.ndarray:
    """(n_samples,) bool, a new array. own, other: which rows the two arms selected.

    Raises: ValueError where another arm is needed and there is none.
    """
    if shown == "all":
        return np.ones(len(own), dtype=bool)
    if shown in ("selected", "discarded"):
        return own.copy() if shown == "selected" else ~own
    if other is None:
        raise ValueError(f"filter={shown} needs other=ARM")
    return {"both": own & other, "only_a": own & ~other, "only_b": other & ~own}[shown]


def cut(text: str) -> str:
    """The beginning of a text on one line."""
    flat = " ".join(text[: 2 * SHORT].split())
    return flat if len(flat) <= SHORT and len(text) <= 2 * SHORT else f"{flat[:SHORT]}…"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _counted(pairs: list[tuple[str, np.ndarray]], taken: np.ndarray) -> list[NamedCount]:
    """The largest first."""
    found = [NamedCount(name=n, rows=len(rows), selected=int(taken[rows].sum())) for n, rows in pairs]
    return sorted(found, key=lambda one: (-one.rows, one.name))[:MOST_NAMES]
