"""How far a scorer can be trusted: its reliability card, and what in it is a reason not to trust it.

A card says what a scorer does with rows as they are (`eval.scorer_card`); an audit asks more of it: the same rows once
more, pairs in both orders, pairs whose better side is known, and answers made worse by known steps
(`tacos.scoring.probes`).

    constant           all scores are one
    mostly missing     more than half of the rows have none
    mostly length      a rank correlation with length above 0.8 (`tacos.premises`)
    inverted           answers made worse score higher, or the worse side of known pairs does
    padding            more than half of the rows gain by words that say nothing
    one position       who is shown first wins more, or less, than half of what is decided

An audit looks at many figures, so the last three take more than a 95% interval: the figure must lie 1.7 such half
widths off (99.9%). Random scores on 100 rows of each kind and 254 pairs are then warned of in 0.2% of audits; with 95%
it would be 13% (4,000 simulated audits).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from eval.graded import Graded
from eval.interval import Interval
from eval.report import format as fmt
from eval.scorer_card import Measurement, ScorerCard
from eval.spread import Z
from tacos.premises import MOSTLY_LENGTH
from tacos.scoring.iqs.measure import PairReport
from tacos.scoring.probes import PAD
from tacos.types import Record

MOSTLY_MISSING = 0.5
"""Share of rows without a score from which the others say little of the pool."""
SURE = 3.29 / Z
"""Half widths of a 95% interval that make one of 99.9%."""


class ScorerAudit(Record):
    """A scorer on a seeded sample of a pool."""

    report: ClassVar[str] = "eval.report.scorer_audit:AUDIT"

    pool: str
    seed: int
    card: ScorerCard
    """On the sampled rows as they are. Of a scorer that compares, split halves are those of both scorings, and the
    first position is measured where both orders were shown."""
    retest: Measurement
    """Spearman's rank correlation of two scorings of the same rows."""
    retest_difference: Measurement
    """Mean absolute difference of the two, on the scorer's scale."""
    swap_consistency: Measurement
    """Share of pairs of which both orders say the same."""
    swapped: str = ""
    """Which pairs were shown in both orders, in words."""
    pairs: PairReport | None
    """On pairs whose better side is known, overall and where lengths are alike, beside "the longer wins"."""
    pairs_missing: str | None = None
    """Why there is no `pairs`."""
    altered: list[Graded]
    altered_missing: str | None = None
    """Why there is no `altered`."""
    agreement: Measurement
    """Spearman's rank correlation with a second scorer on the same rows."""
    second: str | None = None
    """The second scorer in words."""

    @property
    def worsened(self) -> list[Graded]:
        """What makes an answer worse."""
        return [found for found in self.altered if found.kind != PAD]

    @property
    def padded(self) -> Graded | None:
        """What only makes it longer; None where no row has both scores."""
        return next((found for found in self.altered if found.kind == PAD and found.n), None)

    def as_json(self) -> dict[str, Any]:
        """As dumped, with the warnings on top."""
        return {"warnings": warnings(self)} | self.model_dump()


def warnings(audit: ScorerAudit) -> list[str]:
    """Reasons not to trust the scorer, the gravest first, each a sentence."""
    return [*_of_scores(audit.card), *_inverted(audit), *_easily_moved(audit)]


def _of_scores(card: ScorerCard) -> Iterator[str]:
    if card.constant:
        yield "Constant: all rows have the same score, so the choice among them is by their order in the pool."
    if card.unread and card.unread.mean > MOSTLY_MISSING:
        yield f"Mostly missing: {_share(card.unread)} of the rows have no score."
    length = card.length.mean
    if length is not None and abs(length) > MOSTLY_LENGTH:
        yield (
            f"Mostly length: the rank correlation with the length of the answer is {fmt.score(length)}; compare with "
            "score=length, and with a draw of the same lengths."
        )


def _inverted(audit: ScorerAudit) -> Iterator[str]:
    for found in audit.worsened:
        if found.tau and _surely_above(found.tau, 0.0):
            yield (
                f"Inverted: answers made worse ({found.kind}) score higher (Kendall's tau of grade and score "
                f"{fmt.score(found.tau.mean)} {fmt.bracket(found.tau, fmt.score)}, {found.n:,} rows)."
            )
    pairs = audit.pairs
    if pairs is None or pairs.ci is None or pairs.pair_accuracy is None:
        return
    ends = Interval(mean=pairs.pair_accuracy, low=pairs.ci[0], high=pairs.ci[1], n=pairs.n)
    if _surely_below(ends, 0.5):
        yield f"Inverted: the better side scores higher in only {_share(ends)} of {pairs.n:,} known pairs."


def _easily_moved(audit: ScorerAudit) -> Iterator[str]:
    padded = audit.padded
    raised = padded.grades[-1].rises if padded else None
    if raised and _surely_above(raised, 0.5):
        yield f"Padding raises the score: {_share(raised)} of answers gain by words that say nothing new."
    first = audit.card.first_position.interval
    if first and (_surely_above(first, 0.5) or _surely_below(first, 0.5)):
        yield f"One position is preferred: the sample shown first scores higher in {_share(first)} of what is decided."


def not_noticed(audit: ScorerAudit) -> str:
    """A sentence on how answers were made worse without that the score surely fell; "" where it always fell."""
    kinds = [found for found in audit.worsened if found.tau and not _surely_below(found.tau, 0.0)]
    if not kinds:
        return ""
    named, rows = fmt.listing(found.kind for found in kinds), max(found.n for found in kinds)
    return f"That it notices answers made worse ({named}) was not shown on {rows:,} of them: more rows would tell."


def _surely_above(found: Interval, value: float) -> bool:
    return found.n > 1 and found.mean - SURE * (found.mean - found.low) > value


def _surely_below(found: Interval, value: float) -> bool:
    return found.n > 1 and found.mean + SURE * (found.high - found.mean) < value


def _share(interval: Interval) -> str:
    return f"{fmt.percent(interval.mean)} {fmt.bracket(interval, fmt.percent_number)}".strip()
