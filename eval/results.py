"""The shape of results.json: every number a report shows, and the artifact each came from."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tacos.tracking import Usage
from tacos.types import Record, Trained


class Interval(Record):
    """A mean with its 95% bootstrap interval over `n` items."""

    mean: float
    low: float
    high: float
    n: int


class Audit(Record):
    """What a selection holds. Defects and skills are known for the builtin pool only (None elsewhere)."""

    rows: int
    mean_words: float
    """Mean response length in words."""
    word_histogram: dict[str, int]
    """Response lengths in words, "low-high" bin -> rows; the same bins for every arm."""
    defect_rate: Interval | None = None
    defects: dict[str, int] | None = None
    """Defect kind -> rows."""
    skills: dict[str, int] | None = None
    """Skill -> rows."""
    skills_total: int | None = None


class Pairwise(Record):
    """Win / tie / lose against the baseline arm of the same seed, both orders judged."""

    opponent: str
    win: int
    tie: int
    lose: int
    unparsed: int
    winning_score: Interval | None = None
    """(win - lose) / n + 1, in [0, 2]; 1 is a draw. None where every question is unparsed."""
    longer_wins: float | None = None
    """Share of decided questions won by the longer answer."""


class ArmRun(Record):
    """One arm with one seed."""

    arm: str
    method: str
    seed: int
    artifacts: dict[str, str]
    """Stage -> folder, relative to the artifact root."""
    audit: Audit
    selection_usage: Usage
    """Everything this selection rests on, as first paid; shared stages count in full for each arm."""
    failed: dict[str, int] = Field(default_factory=dict)
    """Stage -> rows it could give no answer for (pairs for "compare", questions for "judge"); only
    stages that have some."""
    trained: Trained | None = None
    heldout_loss: float | None = None
    exact_match: Interval | None = None
    pairwise: Pairwise | None = None


class ArmSummary(Record):
    """An arm over all its seeds; intervals resample questions and seeds together, save where said.

    Defect intervals resample distinct rows: a row that several seeds selected is one row, with the weight
    of as many. They read the pool as a sample of rows, so an arm that takes all of it has an interval too.
    """

    arm: str
    method: str
    seeds: list[int]
    defect_rate: Interval | None = None
    """Over the rows of all seeds; `n` is the number of distinct rows."""
    exact_match: Interval | None = None
    heldout_loss: Interval | None = None
    """Over seeds alone."""
    winning_score: Interval | None = None
    exact_match_gain: Interval | None = None
    """Exact match minus the baseline arm's, paired by question and seed."""
    defect_gain: Interval | None = None
    """Defect rate minus the baseline arm's, paired where both hold a row; negative is better. `n` is the
    number of distinct rows in either."""


class TagReport(Record):
    """Tags before and after normalisation."""

    arm: str
    counts: dict[str, int]
    """Step -> distinct tags left after it, in order."""
    samples: dict[str, int]
    """Step -> samples with a tag left after it."""
    top_before: dict[str, int]
    top_after: dict[str, int]


class Results(Record):
    """One experiment."""

    name: str
    created: str
    baseline: str
    """The arm that the others are compared with."""
    parts: dict[str, str]
    """Role -> what played it, e.g. judge -> "reference judge (embedded)"."""
    pool: dict[str, Any]
    """rows, read, dropped by reason, source."""
    pool_audit: Audit
    budget: int
    training_budget: str
    """In words, e.g. "60 steps of 600 loss tokens per arm"."""
    questions: int
    runs: list[ArmRun]
    summary: list[ArmSummary]
    tags: list[TagReport]
    total_usage: Usage
    """What this invocation used; cached stages are free."""
    versions: dict[str, str]
    commit: str
