"""What an interval allows one to claim of an arm against the baseline.

interval [+0.02, +0.09]   better     (worse where lower is better)
interval [-0.01, +0.09]   unclear, whichever way its mean points; so is one that touches the neutral value

Of many arms and measures some interval excludes its neutral value by luck, so a claim holds only after Holm's
correction for all of them, but for the one that was chosen beforehand (`eval.summary.corrected`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from eval.interval import Interval
from eval.measures import Measure
from eval.report import format as fmt
from eval.results import ArmSummary
from eval.spread import ALPHA, LEAST, SAME

Claim = Literal["better", "worse", "unclear"]
FEW = "too few to say"
CORRECTED = "none after correction"
WORDS: dict[Claim, str] = {"better": "better", "worse": "worse", "unclear": "no difference can be claimed"}


class Compared(NamedTuple):
    """An arm against the baseline by one measure: its difference where there is one, else its value beside the
    measure's neutral one. claim: after Holm's correction where there is one, `corrected` where that took it back.
    form: how it is written."""

    interval: Interval
    neutral: float
    claim: Claim
    form: fmt.Format
    corrected: bool = False

    @property
    def few(self) -> bool:
        """Whether there are too few questions for any claim."""
        return 0 < self.interval.n < LEAST

    @property
    def word(self) -> str:
        """What a table says of it."""
        return FEW if self.few else CORRECTED if self.corrected else WORDS[self.claim]


def claim(interval: Interval | None, neutral: float = 0.0, lower_is_better: bool = False) -> Claim | None:
    """Where an interval lies against `neutral`; None without one. Touching `neutral` is unclear."""
    if interval is None or not (fmt.known(interval.low) and fmt.known(interval.high)):
        return None
    if interval.low - SAME <= neutral <= interval.high + SAME:
        return "unclear"
    return "better" if (interval.mean > neutral) != lower_is_better else "worse"


def compared(measure: Measure, arm: ArmSummary) -> Compared | None:
    """None where the arm has nothing to compare by this measure."""
    unit = fmt.UNITS[measure.unit]
    interval, neutral, form = arm.gain(measure.name), 0.0, unit.difference
    if not measure.difference:
        interval, neutral, form = arm.interval(measure.name), measure.neutral or 0.0, unit.value
    found = claim(interval, neutral, measure.better == "lower") if measure.compared else None
    if interval is None or found is None:
        return None
    p_holm = arm.measures[measure.name].p_holm
    taken_back = found != "unclear" and p_holm is not None and p_holm > ALPHA
    return Compared(interval, neutral, "unclear" if taken_back else found, form, taken_back)
