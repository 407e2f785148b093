"""What is known of a scorer once its scores are there, at no further cost: a short card of how far it can be trusted.

    unread             share of rows without a score
    length             Spearman's rank correlation of the scores with the (log) length of the answers
    length_given_prompt    the same with what the length of the prompt explains of both taken out
    first_position     of scorers that compare: how often the sample that was shown first scored higher than another one
    split_half         of scorers that gave rows several scores: the rank correlation of two halves, stepped up
    reliability ...    of the mixed model, where it could tell samples and noise apart

Two halves of the calls of a row share no partner: its 1st, 3rd, ... score against its 2nd, 4th, ...; a row that met one
partner in both is left out, and so are scores of guests and of late calls, which were planned from the others.

    row 3: 70 (with 8), 60 (with 5)    row 8: 80 (with 3), 90 (with 1)    ->    halves 70, 80 and 60, 90

Figures that do not apply are missing, with the reason in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.interval import Interval
from eval.ranks import partial_spearman, spearman, stepped_up
from eval.rates import rate
from eval.spread import wilson
from tacos.scoring.calls import Calls, CallScores, Given, given
from tacos.scoring.readout.mean import mean_scores
from tacos.text import tokens
from tacos.types import Pool, Record
from tacos.usage import Usage


class Measurement(Record):
    """A figure with its 95% interval, or why there is none."""

    interval: Interval | None = None
    missing: str | None = None
    """In words; None where there is an interval."""

    @property
    def mean(self) -> float | None:
        return self.interval.mean if self.interval else None

    @classmethod
    def of(cls, interval: Interval | None, otherwise: str) -> Measurement:
        """otherwise: why it is missing, where it is."""
        return cls(interval=interval, missing=None if interval else otherwise)


class ScoringCost(Record):
    """What one sample costs, as first paid: all that the scores rest on but the pool."""

    calls: float
    tokens: float
    """Of prompts and replies."""
    usd: float
    unpriced: bool
    """Some calls have no known price, and `usd` does not hold them."""
    forward_tokens: float
    """Read by models of this machine."""
    seconds: float


class ScorerCard(Record):
    """The short card of a scorer on a pool."""

    scorer: str
    """In words: "comparative (LLM gpt-4o)"."""
    n: int
    """Rows of the pool."""
    unread: Interval | None
    """Share of rows without a score; None of an empty pool."""
    constant: bool
    """Every score is the same."""
    length: Measurement
    """Spearman's rank correlation with the length of the answer, in words and marks; the logarithm has the same."""
    length_given_prompt: Measurement
    """The same, partial: with what the prompt's length explains of both taken out."""
    first_position: Measurement
    """Share in which the sample shown first scored higher, of those in a call that scored otherwise than it."""
    split_half: Measurement
    """Reliability of the mean of a row's scores."""
    sample: float | None = None
    """Variance between samples, squared points of the judge's scale; like the next two, of the mixed model."""
    drift: float | None = None
    noise: float | None = None
    reliability: float | None = None
    """Share of the variance of one score that is the sample's."""
    told_apart: bool | None = None
    """Samples and noise were measured more than guessed; None where there is no such model."""
    cost: ScoringCost


def scorer_card(
    scorer: str,
    pool: Pool,
    values: np.ndarray,
    usage: Usage,
    compared: tuple[Calls, CallScores] | None = None,
    readout: Mapping[str, Any] | None = None,
) -> ScorerCard:
    """values: (n,) scores of the pool, NaN where missing. compared: calls and answers of a scorer that compares.

    readout: what `readout.json` says, of a scorer that has one.
    """
    known = {
        key: (readout or {}).get(key) for key in ("sample", "drift", "noise", "reliability", "told_apart")
    }
    there = ~np.isnan(values)
    return ScorerCard(
        scorer=scorer,
        n=len(values),
        unread=wilson(int((~there).sum()), len(values)) if len(values) else None,
        constant=bool(there.any() and np.ptp(values[there]) == 0),
        cost=cost_per_sample(usage, len(values)),
        **lengths(pool, values),
        first_position=first_position(*compared) if compared else NOT_COMPARING,
        split_half=split_half(*compared) if compared else NOT_COMPARING,
        **known,
    )


NOT_COMPARING = Measurement(missing="it does not compare: a sample is scored by itself")
ONE_SCORE = "no row has two scores from calls with other partners (score.design.rounds=2 gives them)"
TOO_FEW = "scores or lengths are all the same, or too few"


def lengths(pool: Pool, values: np.ndarray) -> dict[str, Measurement]:
    """`length` and `length_given_prompt` of a card."""
    rows = np.flatnonzero(~np.isnan(values))
    answers, asked = (
        np.array([len(tokens(texts[row])) for row in rows.tolist()], dtype=np.float64)
        for texts in (pool.responses, pool.prompts)
    )
    scores = values[rows]
    return {
        "length": Measurement.of(spearman(scores, answers), TOO_FEW),
        "length_given_prompt": Measurement.of(partial_spearman(scores, answers, asked), TOO_FEW),
    }


def first_position(calls: Calls, answers: CallScores) -> Measurement:
    """The first against each other sample of its call; what one call says is one item. 0.5 is no preference, as long
    as the order is drawn."""
    first, rest = answers.scores[:, :1], answers.scores[:, 1:]
    decided = ~np.isnan(first) & ~np.isnan(rest) & (first != rest)
    call, place = np.nonzero(decided)
    won = (first > rest)[call, place]
    return Measurement.of(
        rate(zip(call.tolist(), won.tolist(), strict=True)), "no call has two different scores"
    )


def split_half(calls: Calls, answers: CallScores) -> Measurement:
    """The rank correlation of two halves of the scores of each row, stepped up to both of them."""
    found = given(calls, answers)
    found = found.where(~found.guest & ~found.late)
    half = _turn(found.row) % 2
    halves = [found.where(half == side) for side in (0, 1)]
    n = int(calls.rows.max(initial=0)) + 1
    means = [mean_scores(n, side) for side in halves]
    usable = ~np.isnan(means[0]) & ~np.isnan(means[1])
    usable[_met_twice(calls, halves[0], halves[1], n)] = False
    between = spearman(means[0][usable], means[1][usable])
    return Measurement.of(between and stepped_up(between), ONE_SCORE)


def _turn(row: np.ndarray) -> np.ndarray:
    """(n_scores,) how many scores of the same row stand before it."""
    order = np.argsort(row, kind="stable")
    starts = np.flatnonzero(np.diff(row[order], prepend=-1))
    lengths_ = np.diff(np.append(starts, len(row)))
    turn = np.empty(len(row), dtype=np.int64)
    turn[order] = np.arange(len(row)) - np.repeat(starts, lengths_)
    return turn


def _met_twice(calls: Calls, first: Given, second: Given, n: int) -> np.ndarray:
    """Rows that met the same partner in both halves."""

    def meetings(found: Given) -> np.ndarray:
        partners = calls.rows[found.call]
        score, place = np.nonzero((partners >= 0) & (np.arange(partners.shape[1]) != found.place[:, None]))
        return found.row[score] * n + partners[score, place]

    return np.unique(np.intersect1d(meetings(first), meetings(second)) // n)


def cost_per_sample(usage: Usage, n: int) -> ScoringCost:
    """usage: of all that `n` scores rest on."""
    paid, n = usage.as_first_paid(), max(1, n)
    return ScoringCost(
        calls=paid.calls / n,
        tokens=(paid.prompt_tokens + paid.completion_tokens) / n,
        usd=paid.cost_usd / n,
        unpriced=bool(paid.unpriced_calls),
        forward_tokens=paid.forward_tokens / n,
        seconds=paid.seconds / n,
    )
