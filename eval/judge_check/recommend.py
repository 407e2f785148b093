"""Several judges on the same pairs, and in plain words which to take, in one order or two, with how many questions.

The judge with the highest accuracy is recommended. Every other one is held against it on the pairs that both could
read, paired, with p-values corrected by Holm; one that is not shown to differ is within noise. No judge is recommended
that is not shown to beat the longer answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from eval.interval import Interval
from eval.judge_check.check import JudgeReport, LongerJudge, report_on, verdicts
from eval.judge_check.labelled_pairs import LabelledPairs
from eval.judge_check.orders import DIFFERENCE, OneOrTwo, WayOfAsking
from eval.report import format as fmt
from eval.spread import ALPHA
from eval.stats import ArmComparison, compare_arms
from tacos.answering.judge import PairJudge
from tacos.answering.orders import Judged, Rule
from tacos.types import Record

MOST_UNPARSED = 0.05
"""Share of labelled pairs above which those that could not be read are a warning."""


class JudgeCheck(Record):
    """One judge or several on the same labelled pairs."""

    report: ClassVar[str] = "eval.judge_check.report:JUDGES"

    judges: tuple[JudgeReport, ...]
    """In the order given."""
    best: str | None = None
    """The one with the highest accuracy, the first of equals; None where no verdict could be read."""
    beside_best: dict[str, ArmComparison] = Field(default_factory=dict)
    """Every other judge minus the best, in accuracy on the pairs that both could read."""
    recommendation: tuple[str, ...] = ()
    """A sentence or two each."""

    def as_json(self) -> dict[str, Any]:
        """Of one judge its report with the headline figures on top; of several a report each."""
        said = {"recommendation": list(self.recommendation)}
        if len(self.judges) == 1:
            return self.judges[0].as_json() | said
        beside = {name: gap.model_dump() for name, gap in self.beside_best.items()}
        reports = {report.judge: report.as_json() for report in self.judges}
        return {"best": self.best, "beside_best": beside, "judges": reports} | said


def check_judges(
    judges: Mapping[str, PairJudge],
    labelled: LabelledPairs,
    rule: Rule = "lenient",
    difference: float = DIFFERENCE,
) -> JudgeCheck:
    """Every judge on every pair in both orders. judges: by what they are called; difference: see `orders`.

    Raises: TacosError when no pair has a label.
    """
    judged = {name: verdicts(judge, labelled, rule) for name, judge in judges.items()}
    reports = [report_on(name, rows, labelled, rule, difference) for name, rows in judged.items()]
    able = [report for report in reports if report.all.accuracy]
    best = max(able, key=_accuracy, default=None)
    beside = _beside(judged, best.judge, labelled) if best else {}
    return JudgeCheck(
        judges=tuple(reports),
        best=best.judge if best else None,
        beside_best=beside,
        recommendation=tuple(_words(reports, best, beside)),
    )


def _accuracy(report: JudgeReport) -> float:
    return report.all.accuracy.mean if report.all.accuracy else 0.0


def _beside(
    judged: Mapping[str, Sequence[Judged]], best: str, labelled: LabelledPairs
) -> dict[str, ArmComparison]:
    """name -> its accuracy minus that of `best`; one that shares no pair with it is left out."""
    points: dict[str, dict[str, float]] = {}
    for name, rows in judged.items():
        own = [
            (pair.id, pair.points(row.result))
            for pair, row in zip(labelled.pairs, rows, strict=True)
            if pair.label is not None
        ]
        points[name] = {id_: value for id_, value in own if value is not None}
    sharing = {name: own for name, own in points.items() if own.keys() & points[best].keys()}
    instructions = {pair.id: pair.instruction for pair in labelled.pairs}
    return compare_arms(sharing, best, instructions.__getitem__, (-1.0, 1.0))


def _words(
    reports: Sequence[JudgeReport], best: JudgeReport | None, beside: Mapping[str, ArmComparison]
) -> list[str]:
    if best is None:
        return ["No verdict could be read, so no judge can be recommended."]
    words = [_choice(best, len(reports)), *(_rival(name, gap) for name, gap in beside.items())]
    words.append(_longer(best, len(reports)))
    asked = best.all.n + best.all.unparsed
    if best.all.unparsed > MOST_UNPARSED * asked:
        unread = f"{fmt.count(best.all.unparsed)} of {fmt.count(asked)}"
        words.append(f"Warning: {unread} labelled pairs could not be read; they are in no figure.")
    if (found := best.agreement) and found.judge and found.annotators:
        words.append(
            f"It agrees with most of the other annotators on {_share(found.judge)} of labels, an annotator on"
            f" {_share(found.annotators)}."
        )
    return [line for line in [*words, *_orders(best)] if line]


def _choice(best: JudgeReport, judges: int) -> str:
    right = f"right on {_share(best.all.accuracy)} of {fmt.plural(best.all.n, 'labelled pair')}."
    return f"Take {best.judge}: {right}" if judges > 1 and _beats(best) else f"{best.judge} is {right}"


def _rival(name: str, gap: ArmComparison) -> str:
    said = _points(gap.difference)
    if gap.p_holm > ALPHA:
        return f"{name} is within noise of it ({said}): the cheaper of the two will do."
    return f"{name} is {'worse' if gap.difference.mean < 0 else 'better where both could be read'} ({said})."


def _beats(report: JudgeReport) -> bool:
    return report.all.gain is not None and report.all.gain.low > 0


def _longer(best: JudgeReport, judges: int) -> str:
    longer, gain = best.longer_baseline.accuracy, best.all.gain
    if not (longer and gain) or (judges == 1 and best.judge == LongerJudge.title):
        return ""
    if _beats(best):
        return f"It beats taking the longer answer by {_points(gain)}."
    who = "it is not" if judges == 1 else "no judge here is"
    return f"Warning: {who} shown to beat taking the longer answer, which is right on {fmt.percent(longer.mean)}."


def _orders(best: JudgeReport) -> list[str]:
    found, first = best.orders, best.all.first_position
    if found is None:
        return []
    one, two = found.one, found.two
    words = [
        f"One order is right on {fmt.percent(one.accuracy.mean)}, two on {fmt.percent(two.accuracy.mean)}"
        f" ({fmt.points(found.gain.mean)} points) at twice the calls."
    ]
    if first and first.n > 1 and not first.low <= 0.5 <= first.high:
        words.append(
            f"It takes the answer shown first in {_share(first)} of decided orders: one order has to be"
            " drawn for each question."
        )
    return [*words, _questions(found)]


def _questions(found: OneOrTwo) -> str:
    one, two = found.one.questions, found.two.questions
    wanted = f"a win rate of {fmt.percent(0.5 + found.difference)}"
    if one is None and two is None:
        return f"No number of questions up to a million finds {wanted} with it."
    needs = f"{_needs(found.one, 1)} in one order, or {_needs(found.two, 2)} in two"
    if one is None or (two is not None and 2 * two < one):
        advice = "Ask both orders: that is cheaper."
    elif two is None or two >= one:
        advice = "One order is enough."
    else:
        advice = f"One order is cheaper; ask both where there are fewer than {fmt.plural(one, 'question')}."
    return f"To find {wanted} in 80% of repeats it takes {needs}. {advice}"


def _needs(way: WayOfAsking, calls: int) -> str:
    if way.questions is None:
        return "no number of questions"
    safe = way.questions_at_low
    low = f"{fmt.count(safe)} to be safe" if safe else "perhaps none would do"
    return f"{fmt.plural(way.questions, 'question')} ({fmt.plural(calls * way.questions, 'call')}; {low})"


def _share(interval: Interval | None) -> str:
    mean = fmt.percent(interval.mean if interval else None)
    return f"{mean} {fmt.bracket(interval, fmt.percent_number)}".strip()


def _points(gap: Interval) -> str:
    return f"{fmt.points(gap.mean)} points {fmt.bracket(gap, fmt.points)}".strip()
