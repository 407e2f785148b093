"""What the numbers say, in plain English: the verdict, the headline, the parts, the warnings.

The headline speaks about one arm, the first one configured that selects and is not the baseline.
It is chosen by its place and not by its result: the best of eight arms looks good by luck alone.
An interval that covers "no difference" is worded as such, whichever way its mean points.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from eval.report import format as fmt
from eval.results import ArmRun, ArmSummary, Interval, Results

Verdict = Literal["better", "worse", "unclear"]
TOLERANCE = 0.02
"""Arms may differ by this share in loss tokens or steps and still count as equally trained."""


@dataclass(frozen=True)
class Headline:
    """verdict: one line; paragraph: the leading arm; others: the other arms, "" when there are none."""

    verdict: str
    tone: Verdict
    paragraph: str
    others: str


def judge(interval: Interval | None, neutral: float = 0.0, lower_is_better: bool = False) -> Verdict | None:
    """Where an interval lies against `neutral`; None without one. Touching `neutral` is unclear."""
    if interval is None or not (fmt.known(interval.low) and fmt.known(interval.high)):
        return None
    if interval.low <= neutral <= interval.high:
        return "unclear"
    return "better" if (interval.mean > neutral) != lower_is_better else "worse"


def runs_of(results: Results, arm: str) -> list[ArmRun]:
    return [run for run in results.runs if run.arm == arm]


def is_untrained(results: Results, arm: str) -> bool:
    """An arm that selects nothing, such as "zero-shot": the base model as it is."""
    runs = runs_of(results, arm)
    return bool(runs) and all(run.audit.rows == 0 for run in runs)


def leading_arm(results: Results) -> ArmSummary | None:
    """The first arm configured that selects, is not the baseline and is not the whole pool."""
    rivals = [s for s in results.summary if s.arm != results.baseline and not is_untrained(results, s.arm)]
    whole = results.pool_audit.rows
    selecting = [s for s in rivals if any(run.audit.rows < whole for run in runs_of(results, s.arm))]
    return next(iter(selecting or rivals), None)


def headline(results: Results) -> Headline:
    lead = leading_arm(results)
    if lead is None:
        text = f"{results.baseline} is the only arm, so there is nothing to compare it with."
        return Headline("Nothing was compared.", "unclear", text, "")
    base = next((s for s in results.summary if s.arm == results.baseline), None)
    sentences = [_rows(results, lead), _defects(results, lead, base), *_learned(results, lead, base)]
    sentences += [_cost(results, lead), _caveats(results, lead)]
    verdict, tone = _verdict(results, lead)
    return Headline(verdict, tone, " ".join(s for s in sentences if s), _others(results, lead))


def _measures(arm: ArmSummary) -> Iterable[tuple[str, Verdict | None]]:
    yield "exact match", judge(arm.exact_match_gain)
    yield "the judge's winning score", judge(arm.winning_score, neutral=1.0)
    yield "defect rate", judge(arm.defect_gain, lower_is_better=True)


def _verdict(results: Results, lead: ArmSummary) -> tuple[str, Verdict]:
    """One line on the first measure there is: exact match, else the judge, else the defect rate."""
    name, base = lead.arm, results.baseline
    for measure, verdict in _measures(lead):
        if verdict == "unclear":
            return f"No difference between {name} and {base} can be claimed on {measure}.", verdict
        if verdict:
            return f"{name} is {verdict} than {base} on {measure}.", verdict
    return _rows(results, lead), "unclear"


def _rows(results: Results, lead: ArmSummary) -> str:
    rows = fmt.spread([run.audit.rows for run in runs_of(results, lead.arm)], fmt.count)
    return f"{lead.arm} selected {rows} of {fmt.count(results.pool_audit.rows)} rows."


def _against(means: tuple[Interval | None, Interval | None], gain: Interval, name: str) -> str:
    """12.0% against 37.4% for random (difference -25.4 points, 95% interval [-29.0, -22.0])"""
    mine, theirs = means
    both = (
        f"{fmt.percent(mine.mean)} against {fmt.percent(theirs.mean)} for {name} " if mine and theirs else ""
    )
    return f"{both}(difference {fmt.points(gain.mean)} points, 95% interval {fmt.bracket(gain, fmt.points)})"


def _defects(results: Results, lead: ArmSummary, base: ArmSummary | None) -> str:
    if lead.defect_gain is None:
        return "" if lead.defect_rate else "Which rows of this pool are defective is not known."
    verdict = judge(lead.defect_gain, lower_is_better=True)
    end = {
        "better": f"it holds fewer defects than {results.baseline}",
        "worse": f"it holds more defects than {results.baseline}",
        "unclear": "the interval covers zero, so no difference in defects can be claimed",
    }[verdict or "unclear"]
    pair = (lead.defect_rate, base.defect_rate if base else None)
    return f"Its defect rate is {_against(pair, lead.defect_gain, results.baseline)}: {end}."


def _learned(results: Results, lead: ArmSummary, base: ArmSummary | None) -> list[str]:
    said = []
    if gain := lead.exact_match_gain:
        end = {
            "better": f"the model trained on it answers better than {results.baseline}'s",
            "worse": f"the model trained on it answers worse than {results.baseline}'s",
            "unclear": "the interval covers zero, so no difference can be claimed",
        }[judge(gain) or "unclear"]
        pair = (lead.exact_match, base.exact_match if base else None)
        seeds = fmt.plural(len(lead.seeds), "seed")
        said.append(
            f"After training, exact match is {_against(pair, gain, results.baseline)} over {seeds}: {end}."
        )
    if won := lead.winning_score:
        end = {
            "better": f"the judge prefers {lead.arm}",
            "worse": f"the judge prefers {results.baseline}",
            "unclear": "the interval covers 1, so the judge shows no preference",
        }[judge(won, neutral=1.0) or "unclear"]
        value = f"{fmt.score(won.mean)} {fmt.bracket(won, fmt.score)}"
        said.append(f"The judge's winning score is {value}, where 1 is a draw: {end}.")
    elif unread(results, lead.arm):
        said.append(
            "No question has a verdict that could be read for every seed, so there is no winning score."
        )
    if not any(run.trained for run in results.runs):
        said.append("Nothing was trained: this report tells what was selected, not what it is worth.")
    elif not said:
        said.append(f"No answers were compared with those of {results.baseline}.")
    return said


def _cost(results: Results, lead: ArmSummary) -> str:
    used = [run.selection_usage for run in runs_of(results, lead.arm)]
    calls = fmt.spread([u.calls for u in used], fmt.count)
    money = fmt.paid([u.cost_usd for u in used], sum(u.unpriced_calls for u in used), "price unknown")
    price = f" and {calls} paid LLM calls ({money})"
    longest = max((u.seconds for u in used), default=None)
    paid = price if any(u.calls for u in used) else " and no LLM call"
    return f"Selecting took {fmt.duration(longest)}{paid}."


def _caveats(results: Results, lead: ArmSummary) -> str:
    said = []
    if any(run.trained for run in results.runs):
        if len(lead.seeds) == 1:
            said.append(
                "There is one seed, so the intervals cover questions only and not chance in training."
            )
        if budget_warnings(results):
            said.append(
                "The arms were not trained equally (see the equal-budget check), so a difference may"
                " come from the training and not from the selection."
            )
    return " ".join(said)


def _others(results: Results, lead: ArmSummary) -> str:
    skip = (lead.arm, results.baseline)
    rest = [s for s in results.summary if s.arm not in skip and not is_untrained(results, s.arm)]
    said = [_sorted_out(results, rest)] if rest else []
    for arm in results.summary:
        if is_untrained(results, arm.arm) and arm.exact_match:
            said.append(f"Before any tuning ({arm.arm}) exact match is {fmt.percent(arm.exact_match.mean)}.")
    return " ".join(s for s in said if s)


def _sorted_out(results: Results, rest: list[ArmSummary]) -> str:
    """The other arms by how they compare with the baseline, on the first measure that they have."""
    ways: list[tuple[str, Callable[[ArmSummary], Interval | None], float, bool, fmt.Format]] = [
        ("exact match", lambda s: s.exact_match_gain, 0.0, False, fmt.points),
        ("the judge's winning score", lambda s: s.winning_score, 1.0, False, fmt.score),
        ("defect rate", lambda s: s.defect_gain, 0.0, True, fmt.points),
    ]
    for measure, get, neutral, lower, form in ways:
        groups: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
        for arm in rest:
            interval = get(arm)
            if interval and (verdict := judge(interval, neutral, lower)):
                groups[verdict].append(f"{arm.arm} ({form(interval.mean)})")
        if any(groups.values()):
            words = {"better": "better", "worse": "worse", "unclear": "no difference can be claimed for"}
            found = [f"{words[v]}: {fmt.listing(names)}" for v, names in groups.items() if names]
            luck = " No interval is corrected for the number of arms compared." if len(rest) > 1 else ""
            return f"The other arms against {results.baseline} on {measure}: {'; '.join(found)}.{luck}"
    return ""


def part_kind(what: str) -> str:
    """What played a part: an LLM, something embedded, or, where its name says neither, a given model."""
    if "embedded" in what.lower():  # first, for "embedded, no LLM"
        return "embedded"
    return "LLM" if re.search(r"\bllms?\b", what, re.IGNORECASE) else "given"


def parts_sentence(results: Results) -> str:
    """Which parts were LLMs, said plainly; calls that were paid count even if no part admits to one."""
    roles = [role for role, what in results.parts.items() if part_kind(what) == "LLM"]
    usages = [results.total_usage, *(run.selection_usage for run in results.runs)]
    if roles:
        verb = "was an LLM" if len(roles) == 1 else "were LLMs"
        return f"The {fmt.listing(roles)} {verb}; every other part ran without one."
    if any(u.calls or u.cached_calls for u in usages):
        return "LLMs were called, though no part below is named as one."
    given = [f"{role} ({what})" for role, what in results.parts.items() if part_kind(what) == "given"]
    if given:
        return (
            f"No LLM was called to tag, score or judge. Every part is embedded but the {fmt.listing(given)}."
        )
    return "No LLM was called: every part is embedded in tacos and ran on this machine."


def unread(results: Results, arm: str) -> list[ArmRun]:
    """The runs of an arm that were judged without one verdict that could be read."""
    return [run for run in runs_of(results, arm) if run.pairwise and run.pairwise.winning_score is None]


def row_warnings(results: Results) -> list[str]:
    """What has no result: rows that a stage failed on, and comparisons of which no verdict could be read."""
    lines = []
    for arm in results.summary:
        for run in unread(results, arm.arm):
            count = run.pairwise.unparsed if run.pairwise else 0
            lines.append(
                f"{arm.arm}, seed {run.seed}, has no winning score: {fmt.plural(count, 'question')} unparsed"
                " and none judged (the reasons are in reviews.jsonl of its judge folder)."
            )
    arms = [f"{arm.arm} ({found})" for arm in results.summary if (found := _failed(results, arm.arm))]
    if arms:
        lines.append(
            "There are rows that a stage could give no answer for (pairs for compare, questions for judge):"
            f" {fmt.listing(arms)}; no score is invented for them."
        )
    return lines


def _failed(results: Results, arm: str) -> str:
    """tag 12, compare 3 to 5: rows per seed."""
    runs = runs_of(results, arm)
    stages = dict.fromkeys(stage for run in runs for stage in run.failed)
    return ", ".join(f"{s} {fmt.spread([run.failed.get(s, 0) for run in runs], fmt.count)}" for s in stages)


def budget_warnings(results: Results) -> list[str]:
    """A line for each of loss tokens, steps and template in which the trained arms differ too much."""
    trained = [(f"{run.arm}, seed {run.seed}", run.trained) for run in results.runs if run.trained]
    lines = []
    for name in ("loss_tokens", "steps"):
        values = sorted((getattr(t, name), label) for label, t in trained)
        if values and values[-1][0] - values[0][0] > TOLERANCE * values[-1][0]:
            (low, least), (high, most) = values[0], values[-1]
            share = fmt.percent((high - low) / high)
            lines.append(
                f"The arms differ by {share} in {name.replace('_', ' ')}: {fmt.count(low)} ({least})"
                f" to {fmt.count(high)} ({most})."
            )
    if len({t.template_hash for _, t in trained}) > 1:
        lines.append("The arms were trained with different chat templates.")
    return lines
