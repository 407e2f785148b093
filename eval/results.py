"""The shape of results.json: every number a report shows, and the artifact each came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from eval.interval import Interval
from eval.measures import Measure
from eval.power import Variation
from eval.scorer_card import ScorerCard
from tacos.errors import TacosError
from tacos.selection import Calibration, Certainty, QuotaGap
from tacos.store.files import read_json
from tacos.types import Record, Trained
from tacos.usage import Usage

RESULTS = "results.json"
SELECTION = "select.json"
"""What a selection leaves in its place."""
SCHEMA = 1
"""Of results.json; one more with every change after which an older file cannot be read as it was meant."""


class Audit(Record):
    """What a selection holds. Defects and skills are known for the builtin pool only (None elsewhere)."""

    rows: int
    mean_words: float
    """Mean response length in words."""
    word_histogram: dict[str, int]
    """Response lengths in words, "low-high" bin -> rows; the same bins for every arm."""
    defects: dict[str, int] | None = None
    """Defect kind -> rows."""
    skills: dict[str, int] | None = None
    """Skill -> rows."""
    skills_total: int | None = None


class RunMeasure(Record):
    """One measure of one arm with one seed."""

    value: float | None
    """The mean over questions or rows, or the run's one value; None where nothing could be read."""
    interval: Interval | None = None
    """None where nothing could be read, and for a measure of whole runs."""
    unread: int = 0
    """Questions whose value could not be read; in no figure."""
    counts: dict[str, int] = Field(default_factory=dict)
    """Level -> questions at it, such as {"win": 44, "tie": 15, "lose": 21}; empty without levels."""
    beside: dict[str, Interval | float | None] = Field(default_factory=dict)
    """Figures that help to judge it, such as how often the longer answer won."""


class ArmMeasure(Record):
    """One measure of an arm over its seeds."""

    interval: Interval | None
    """None where no question could be read for every seed."""
    gain: Interval | None = None
    """Minus the baseline arm's, paired; None for the baseline and for measures without a difference."""
    question_sd: float | None = None
    """Of the means of questions over seeds; None for fewer than two."""
    seed_sd: float | None = None
    """Of the means of seeds, or of the one value of each; None for one seed."""
    variation: Variation | None = None
    """Of the differences from the baseline, or from the neutral value; None where nothing is compared."""
    p_value: float | None = None
    """Two-sided, of no difference from the baseline, or of the neutral value; None where nothing is compared."""
    p_holm: float | None = None
    """Corrected for all comparisons of the experiment but the one chosen beforehand, which keeps its own."""
    categories: dict[str, float] = Field(default_factory=dict)
    """Category -> mean over its questions and over seeds, where the benchmark has categories."""


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
    certainty: Certainty | None = None
    """How sure the selection is of its rows; None where scores know no errors."""
    quota_gap: QuotaGap | None = None
    """Equal places for groups beside one cut; None where rows are not ranked, or stand in one group."""
    calibration: Calibration | None = None
    """Whether the scores' errors are right; None where no sample was scored often enough to tell."""
    trained: Trained | None = None
    scorer: ScorerCard | None = None
    """What is known of the scorer that its rows were chosen by; None where none was."""
    measures: dict[str, RunMeasure] = Field(default_factory=dict)
    """By name, those that this run was examined by."""


class ArmSummary(Record):
    """An arm over all its seeds.

    Intervals of questions are over questions and seeds, those of runs over seeds alone. Intervals of rows are over
    distinct rows: a row that several seeds selected is one row, with the weight of as many, and `n`
    is the number of distinct rows (of a gain: in either arm). They read the pool as a sample of rows, so an
    arm that takes all of it has an interval too.
    """

    arm: str
    method: str
    seeds: list[int]
    differs: list[str] = Field(default_factory=list)
    """In what its budget, training or base is not the experiment's, such as "train.epochs 3 for 15"."""
    measures: dict[str, ArmMeasure] = Field(default_factory=dict)
    """By name, those that any of its runs was examined by."""

    def interval(self, measure: str) -> Interval | None:
        """The measure's value with its interval."""
        found = self.measures.get(measure)
        return found.interval if found else None

    def gain(self, measure: str) -> Interval | None:
        """The measure's difference from the baseline arm."""
        found = self.measures.get(measure)
        return found.gain if found else None


class TagReport(Record):
    """Tags before and after normalization."""

    arm: str
    counts: dict[str, int]
    """Step -> distinct tags left after it, in order."""
    samples: dict[str, int]
    """Step -> samples with a tag left after it."""
    top_before: dict[str, int]
    top_after: dict[str, int]


class Failure(Record):
    """A stage of an arm that could not be done."""

    arm: str
    seed: int
    stage: str
    reason: str


class Round(Record):
    """One round of a selection in rounds."""

    hard: int
    easy: int
    unread: int
    """Rows without a label."""
    judge_calls: int
    auc: float | None = None
    """Of the classifier after the round, on labels it had not seen; None where there were too few."""


HARDNESS_BINS = 25
"""Equal bins of M, the classifier's probability that a row is hard, from 0 to 1."""


class RoundsReport(Record):
    """A selection in rounds (IterSelectTune)."""

    arm: str
    rounds: list[Round]
    hardness: dict[str, list[int]]
    """Kind of row -> rows in each of `HARDNESS_BINS`, after the last round."""


class Overlap(Record):
    """Rows that the selections of two arms share, as their Jaccard index: those in both over those in either, 0-1."""

    arms: list[str]
    """Those that select, in the order of the config; rows and columns of each matrix."""
    seeds: list[int]
    by_seed: list[list[list[float]]]
    """(seeds, arms, arms), symmetric, 1 on the diagonal."""
    mean: list[list[float]]
    """(arms, arms), over the seeds."""
    across_seeds: list[float | None]
    """(arms,): an arm's selections of different seeds, mean over pairs of seeds; None for one seed."""


class Effect(Record):
    """What a factor of the design brings by one measure (`eval.factors`)."""

    factor: str
    """ "tagging", or "tagging x comparison"."""
    how: str
    """ "on over off", or "interaction"."""
    measure: str
    interval: Interval | None
    """None where an arm of it, or a value for every seed, is missing."""


class Results(Record):
    """One experiment."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    """Of the form of this record; `load_results` refuses any other than `SCHEMA`."""
    name: str
    created: str
    baseline: str
    """The arm that the others are compared with."""
    focus: str | None = None
    """The arm that the headline is about, where the experiment names one."""
    left_out: list[str] = Field(default_factory=list)
    """Controls that no arm is, such as "full"."""
    parts: dict[str, str]
    """Role -> what played it, e.g. judge -> "reference judge (embedded)"."""
    pool: dict[str, Any]
    """rows, read, dropped by reason, source."""
    pool_audit: Audit
    budget: int
    training_budget: str
    """In words, e.g. "60 steps of 600 loss tokens per arm"."""
    answering: str = ""
    """How every model answered the test questions, in words."""
    questions: int
    measures: list[Measure]
    """Those that any arm was examined by, the most important first."""
    runs: list[ArmRun]
    summary: list[ArmSummary]
    tags: list[TagReport]
    rounds: list[RoundsReport] = Field(default_factory=list)
    failures: list[Failure] = Field(default_factory=list)
    """Arms that could not be finished, and stand in no table."""
    factors: dict[str, dict[str, list[str]]] = Field(default_factory=dict)
    """Factor -> level -> arms, where the experiment is an ablation by design."""
    effects: list[Effect] = Field(default_factory=list)
    """Of every factor, and of pairs, by every measure over questions or runs."""
    overlap: Overlap | None = None
    """None for fewer than two arms that select."""
    total_usage: Usage
    """What this invocation used; cached stages are free."""
    versions: dict[str, str]
    commit: str


def load_results(path: Path) -> Results:
    """A results.json as it was written.

    Raises: TacosError where there is none, or one of another schema, or one that is damaged.
    """
    if not path.is_file():
        why = "give the folder of a finished run, such as runs/quickstart"
        if (path.parent / SELECTION).is_file():
            why = "a selection has none; make it an arm of an experiment, whose `train: null` trains nothing"
        raise TacosError(f"no {path}: {why}")
    again = "run the experiment again, its finished stages are reused"
    try:
        data = read_json(path)
        found = data.get("schema") if isinstance(data, dict) else None
        if found == SCHEMA:
            return Results.model_validate(data)
    except ValueError as error:
        raise TacosError(f"{path} is damaged: {again}") from error
    said = "has no schema number, so it is of an older tacos" if found is None else f"has schema {found!r}"
    raise TacosError(f"{path} {said}, and this one reads schema {SCHEMA}: {again}")
