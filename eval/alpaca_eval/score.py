"""AlpacaEval 2: win rate against GPT-4, raw and length-controlled, from stored annotations.

Protocol: Li et al., AlpacaEval (https://github.com/tatsu-lab/alpaca_eval), 805 instructions against
`gpt4_1106_preview`; length control in `length_control.py`. With y = preference - 1,

    win rate            100 mean(y)
    standard error      100 std(y, ddof 1) / sqrt(n)
    discrete win rate   100 (wins + draws / 2) / n, a win is y > 1/2, a draw y = 1/2

    preferences 1, 1.25, 1.5, 2:  y = 0, 0.25, 0.5, 1;  43.75 +- 21.35;  discrete (1 + 0.5) / 4 = 37.5

A row without a preference is counted as unparsed and enters no win rate. It does enter the
length-controlled one, as in the reference: that is a prediction for the question, made from its difficulty
and the spread of all lengths, and the row is left out of the fit alone.

Rows are joined to the evaluation set by instruction, or by position as the reference does:
`alpaca_eval_join.py`.

Leaderboards publish no regularisation. `PUBLISHED_C` holds what `nearest_regularisation` found for the
models whose figures are tested here; own cross-validation chooses the same for all three.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from eval.alpaca_eval.files import DRAW, Annotation, Reference, read_annotations
from eval.alpaca_eval.join import Join, Placed, place, with_lengths
from eval.alpaca_eval.judging import Annotated
from eval.alpaca_eval.length_control import GRID
from eval.alpaca_eval.rates import length_controlled, win_rates
from eval.interval import Interval
from eval.rates import longer_wins
from eval.stats import ArmComparison, Lead, compare_models, lead
from tacos.answering.faults import AnswerFaults
from tacos.errors import ConfigError, nearest
from tacos.types import Record

PUBLISHED_C: Mapping[str, float] = {
    "alpaca-7b": GRID[6],
    "claude-2": GRID[5],
    "FuseChat-Gemma-2-9B-Instruct": GRID[5],
}
"""The C of the reference's grid that gives the leaderboard's length-controlled win rate within 0.001."""


class AlpacaEvalScore(Record):
    """One model; rates are percentages, None where there is nothing to compute them from.

    n + unparsed + missing = expected.
    """

    n: int
    """Questions with a preference."""
    expected: int
    missing: int
    """Questions of the evaluation set without a row."""
    unparsed: int
    """Rows whose preference cannot be read; `reasons` says why, with counts."""
    duplicate: int
    """Further rows of a question; the first with a preference counts."""
    unknown: int
    """Rows of no question of the evaluation set."""
    reasons: dict[str, int]
    empty: int
    """Rows where the model's answer is empty."""
    no_output: int
    """Rows without the model's answer; they have no length and stay outside the length control."""
    faults: AnswerFaults = AnswerFaults()
    """What is wrong with the answers as answers, the empty ones among them."""
    same: int = 0
    """Answers that are the baseline's own, where the answers were judged here."""
    win_rate: float | None = None
    standard_error: float | None = None
    discrete_win_rate: float | None = None
    wins: int = 0
    draws: int = 0
    length_controlled_winrate: float | None = None
    lc_standard_error: float | None = None
    """As published: 100 std / sqrt(n) of the predictions, as if the fit were known; about half of the error."""
    lc_error: float | None = None
    """The error with that of the fit (`length_control.controlled_values`), in percentage points."""
    controlled: dict[int, float] = Field(default_factory=dict, exclude=True, repr=False)
    """Question's index -> value, 0-100, of which the length-controlled win rate is the mean; in no file."""
    regularisation: float | None = None
    """C of the length-controlled fit; None where there is none."""
    longer_wins: Interval | None = None
    """Share, 0-1, of won or lost questions that went to the longer answer."""
    mean_length: float | None = None
    """Characters of the model's answers."""
    baseline: str = ""
    annotator: str = ""
    notes: tuple[str, ...] = ()

    @property
    def coverage(self) -> float:
        """Share of the evaluation set with a preference, 0-1."""
        return self.n / self.expected


class AlpacaEvalResult(Record):
    """Models in order of first appearance, and what could not be read of the files, in words."""

    report: ClassVar[str] = "eval.alpaca_eval.report:ALPACA_EVAL"

    models: dict[str, AlpacaEvalScore]
    against: str | None = None
    """The model that the others are compared with, where one is named."""
    comparisons: dict[str, ArmComparison] = Field(default_factory=dict)
    """Each other model's preferences minus its, in percentage points, on questions where both have one."""
    lead: Lead | None = None
    """Of the two best, by length-controlled win rates where they have one, else by preferences; None for one model."""
    lc_comparisons: dict[str, ArmComparison] = Field(default_factory=dict)
    """The same of length-controlled win rates."""
    problems: tuple[str, ...] = ()


def score_files(
    paths: Iterable[Path],
    reference: Reference,
    join: Join = "instruction",
    c: float | Literal["cv", "published"] = "cv",
    against: str | None = None,
) -> AlpacaEvalResult:
    """Every model in `paths`. A model may be spread over files, and a file may hold several models.

    c: how the length-controlled fit is regularised: chosen by cross-validation, as in `PUBLISHED_C`, or given.
    against: a model in the files that all others are compared with, paired by question.

    Raises: TacosError for a file without annotations, or no model `against`; ConfigError for a C that is unknown or
        not above 0.
    """
    models: defaultdict[str, list[Annotation]] = defaultdict(list)
    problems: list[str] = []
    for path in paths:
        found = read_annotations(path)
        problems += found.problems
        for row in found.rows:
            models[row.model].append(row)
    placed = {name: place(rows, reference, join) for name, rows in models.items()}
    scores = {name: score(name, one, reference, c) for name, one in placed.items()}
    preferences = {name: _points(one) for name, one in placed.items()}
    rated = _controlled(scores)
    return AlpacaEvalResult(
        models=scores,
        against=against,
        comparisons=compare_models(preferences, against),
        lc_comparisons=compare_models(rated, against) if against in rated else {},
        lead=lead(rated or preferences),
        problems=tuple(problems),
    )


def with_counts(result: AlpacaEvalResult, judged: Annotated) -> AlpacaEvalResult:
    """With what was counted when the answers were paired with the baseline's, which the annotations do not hold."""
    models = {
        name: score.model_copy(
            update={
                "duplicate": score.duplicate + judged.duplicate.get(name, 0),
                "unknown": score.unknown + judged.unknown.get(name, 0),
                "same": judged.same.get(name, 0),
                "faults": score.faults + AnswerFaults(reasoned=judged.reasoned.get(name, 0)),
                "notes": (*score.notes, *_whole(judged.whole.get(name, 0))),
            }
        )
        for name, score in result.models.items()
    }
    return result.model_copy(update={"models": models})


def _whole(count: int) -> tuple[str, ...]:
    said = f"{count:,} preferences are 1 or 2 and none between: the judge gave no log-probabilities of its verdict"
    return (said,) if count else ()


def _controlled(scores: Mapping[str, AlpacaEvalScore]) -> dict[str, dict[str, float]]:
    """Model -> question's index -> value, of those that have a length-controlled win rate."""
    return {
        name: {str(index): value for index, value in one.controlled.items()}
        for name, one in scores.items()
        if one.controlled
    }


def _points(placed: Placed) -> dict[str, float]:
    """Question's index -> preference, from 0 to 100."""
    pairs = zip(placed.index, placed.rows, strict=True)
    return {str(i): 100 * (row.preference - 1) for i, row in pairs if row.preference is not None}


def score(
    name: str, placed: Placed, reference: Reference, c: float | Literal["cv", "published"] = "cv"
) -> AlpacaEvalScore:
    """One model's figures; see `score_files`."""
    strength = _regularisation(name, c)
    kept = placed.rows
    reasons = Counter(row.reason for row in kept if row.preference is None)
    y = np.array([row.preference - 1 for row in kept if row.preference is not None], dtype=np.float64)
    lengths = [row.length_2 for row in kept if row.length_2 is not None]
    return AlpacaEvalScore(
        n=len(y),
        expected=len(reference),
        missing=len(reference) - len(set(placed.index)),
        unparsed=reasons.total(),
        duplicate=placed.duplicate,
        unknown=placed.unknown,
        reasons=dict(reasons),
        empty=lengths.count(0),
        no_output=len(kept) - len(lengths),
        faults=sum((row.faults for row in kept), AnswerFaults()),
        longer_wins=_longer_wins(placed, reference),
        mean_length=float(np.mean(lengths)) if lengths else None,
        baseline=_only(row.baseline for row in kept),
        annotator=_only(row.annotator for row in kept),
        notes=tuple(_notes(kept, reference)),
        **win_rates(y),
        **length_controlled(name, placed, reference, strength),
    )


def _regularisation(name: str, c: float | str) -> float | None:
    """None for cross-validation."""
    if c == "cv":
        return None
    if c == "published":
        if name not in PUBLISHED_C:
            raise ConfigError(
                f"no published regularisation of {name!r} is known ({nearest(name, PUBLISHED_C)}); "
                "use 'cv' or give a number"
            )
        return PUBLISHED_C[name]
    if isinstance(c, str) or not 0 < c < np.inf:
        raise ConfigError(f"regularisation {c!r} is neither 'cv', 'published' nor a number above 0")
    return float(c)


def _longer_wins(placed: Placed, reference: Reference) -> Interval | None:
    return longer_wins(
        (i, row.preference > DRAW, second, first)
        for i, (row, first, second) in enumerate(with_lengths(placed, reference)[0])
        if row.preference is not None and row.preference != DRAW
    )


def _only(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name for name in names if name))


def _notes(rows: Sequence[Annotation], reference: Reference) -> list[str]:
    """What a reader should know before comparing these figures with others."""
    notes = []
    baselines = Counter(row.baseline for row in rows if row.baseline)
    others = {name: count for name, count in baselines.items() if name != reference.name}
    if others:
        shown = ", ".join(f"{name} ({count:,} rows)" for name, count in others.items())
        notes.append(f"not compared with {reference.name} but with {shown}")
    annotators = {row.annotator for row in rows if row.annotator}
    if len(annotators) > 1:
        notes.append(f"several annotators: {', '.join(sorted(annotators))}")
    return notes
