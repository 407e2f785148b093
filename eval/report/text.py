"""The headline of an experiment in plain English, over the measures that it has.

It speaks about one arm: the experiment's `focus`, else the first one configured that selects and is not the baseline.
The arm is not chosen by its result: the best of eight arms looks good by luck alone. The verdict rests on the first
measure that compares the arm with the baseline. An interval that covers "no difference" is worded as such,
whichever way its mean points.
"""

from __future__ import annotations

from dataclasses import dataclass

from eval.measures import Measure
from eval.report import format as fmt
from eval.report.claims import FEW, WORDS, Claim, Compared, compared
from eval.report.notices import DRAWS, budget_warnings, is_untrained, runs_of, unread
from eval.results import ArmSummary, Results

GIVEN, FINISHED = "given", "model"
"""The methods of an arm whose training set is given, and of one that is a finished model."""
MOST_DOUBTS = 3
"""Arms that the verdict names whose figures are in doubt; the rest are counted."""


@dataclass(frozen=True)
class Headline:
    """verdict: one line; paragraph: the leading arm; others: the other arms, "" when there are none."""

    verdict: str
    tone: Claim
    paragraph: str
    others: str


def leading_arm(results: Results) -> ArmSummary | None:
    """The one in focus, else the first configured that selects, is not the baseline and is not the whole pool; where
    nothing selects, the first that is not the baseline."""
    if focus := next((s for s in results.summary if s.arm == results.focus), None):
        return focus
    others = [s for s in results.summary if s.arm != results.baseline]
    rivals = [s for s in others if not is_untrained(results, s.arm)]
    whole = results.pool_audit.rows
    selecting = [s for s in rivals if any(run.audit.rows < whole for run in runs_of(results, s.arm))]
    return next(iter(selecting or rivals or others), None)


def headline(results: Results) -> Headline:
    lead = leading_arm(results)
    if lead is None:
        text = f"{results.baseline} is the only arm with a result, so there is nothing to compare it with."
        return Headline("Nothing was compared.", "unclear", text, "")
    sentences = [_rows(results, lead), *_selected(results, lead), *_learned(results, lead)]
    sentences += [_cost(results, lead), _caveats(results, lead)]
    verdict, tone = _verdict(results, lead)
    verdict = " ".join([verdict, *doubts(results)])
    return Headline(verdict, tone, " ".join(s for s in sentences if s), _others(results, lead))


def doubts(results: Results) -> list[str]:
    """A sentence for each measure that puts the other figures of some arms in doubt."""
    said = []
    for measure in results.measures:
        means = {arm.arm: found.mean for arm in results.summary if (found := arm.interval(measure.name))}
        limit = measure.doubt_above
        high = {arm: mean for arm, mean in means.items() if limit is not None and mean > limit}
        worst = sorted(high, key=lambda arm: -high[arm]) if len(high) > MOST_DOUBTS + 1 else high
        which = [f"{fmt.UNITS[measure.unit].plain(high[arm])} of {arm}'s" for arm in worst]
        if which:
            if len(which) > MOST_DOUBTS + 1:  # the worst are named
                least = fmt.UNITS[measure.unit].plain(limit)
                which[MOST_DOUBTS:] = [f"over {least} of {len(which) - MOST_DOUBTS} other arms'"]
            said.append(f"Read with care: {measure.wording.doubt.format(which=fmt.listing(which))}.")
    return said


def _verdict(results: Results, lead: ArmSummary) -> tuple[str, Claim]:
    """One line on the first measure that compares."""
    name, base = lead.arm, results.baseline
    for measure in results.measures:
        if found := compared(measure, lead):
            if found.few:
                few = _too_few(measure, found)
                return f"{few} whether {name} is better than {base} on {measure.said}.", "unclear"
            if found.claim == "unclear":
                return f"No difference between {name} and {base} can be claimed on {measure.said}.", "unclear"
            if measure.about == "model" and len(lead.seeds) < DRAWS:
                seeds = fmt.plural(len(lead.seeds), "seed")
                model = name if is_untrained(results, name) else f"The model trained on {name}'s rows"
                return (
                    f"{model} is {found.claim} than {base}'s on {measure.said}; from {seeds} nothing follows for the"
                    " method."
                ), found.claim
            return f"{name} is {found.claim} than {base} on {measure.said}.", found.claim
    return _rows(results, lead), "unclear"


def _too_few(measure: Measure, found: Compared) -> str:
    """5 questions are too few to say"""
    n, noun = found.interval.n, "row" if measure.items == "rows" else "question"
    return f"{fmt.plural(n, noun)} {'is' if n == 1 else 'are'} {FEW}"


def _rows(results: Results, lead: ArmSummary) -> str:
    rows = fmt.spread([run.audit.rows for run in runs_of(results, lead.arm)], fmt.count)
    if is_untrained(results, lead.arm):
        what = "a finished model" if lead.method == FINISHED else "the base model before any tuning"
        return f"{lead.arm} is {what}: nothing was selected for it."
    if lead.method == GIVEN:
        return f"{lead.arm} is a given set of {rows} rows."
    return f"{lead.arm} selected {rows} of {fmt.count(results.pool_audit.rows)} rows."


def _selected(results: Results, lead: ArmSummary) -> list[str]:
    """What the measures of the selection say; nothing of an arm that selects nothing."""
    if is_untrained(results, lead.arm):
        return []
    measures = [m for m in results.measures if m.about == "selection"]
    if results.pool_audit.defects is None:
        return ["Which rows of this pool are defective is not known."]
    found = [(m, how) for m in measures if (how := compared(m, lead))]
    return [f"Its {_sentence(results, lead, m, how)}" for m, how in found]


def _learned(results: Results, lead: ArmSummary) -> list[str]:
    """What the measures of the model say, or why they say nothing."""
    measures = [m for m in results.measures if m.about == "model" and m.compared and m.brief]
    said: list[str] = []
    for measure in measures:
        if found := compared(measure, lead):
            sentence = _sentence(results, lead, measure, found)
            starts_here = measure.difference and not said and not is_untrained(results, lead.arm)
            said.append(f"After training, {sentence}" if starts_here else sentence[0].upper() + sentence[1:])
        elif unread(results, lead.arm, measure):
            said.append(f"No question could be read for every seed, so there is no {measure.title}.")
    if said:
        return said
    if not any(run.trained for run in results.runs):
        return ["Nothing was trained: this report tells what was selected, not what it is worth."]
    return [f"No answers were compared with those of {results.baseline}."]


def _sentence(results: Results, lead: ArmSummary, measure: Measure, found: Compared) -> str:
    """exact match is 61.2% against 48.9% for random (difference ...) over 3 seeds: tacos's model ..."""
    names = {"arm": lead.arm, "baseline": results.baseline}
    end = getattr(measure.wording, found.claim).format(**names)
    form, where = fmt.UNITS[measure.unit], "zero"
    if measure.difference:
        value = _against(results, lead, measure, found)
        seeds = f" over {fmt.plural(len(lead.seeds), 'seed')}" if measure.about == "model" else ""
        said = f"{measure.said} is {value}{seeds}"
    else:
        where = form.plain(found.neutral)
        value = f"{found.form(found.interval.mean)} {fmt.bracket(found.interval, found.form)}"
        said = f"{measure.said} is {value}".rstrip() + f", where {where} is a draw"
    if found.few:
        return f"{said}: {_too_few(measure, found)}."
    if found.claim != "unclear":
        return f"{said}: {end}."
    why = "that does not hold after correction" if found.corrected else f"the interval covers {where}"
    return f"{said}: {why}, so {end}."


def _against(results: Results, lead: ArmSummary, measure: Measure, found: Compared) -> str:
    """12.0% against 37.4% for random (difference -25.4 points, 95% interval [-29.0, -22.0])"""
    form = fmt.UNITS[measure.unit]
    base = next((s for s in results.summary if s.arm == results.baseline), None)
    mine, theirs = lead.interval(measure.name), base and base.interval(measure.name)
    both = f"{form.value(mine.mean)} against {form.value(theirs.mean)} for " if mine and theirs else ""
    both += f"{results.baseline} " if both else ""
    gap = f"{found.form(found.interval.mean)} {form.difference_in}".strip()
    ends = fmt.bracket(found.interval, found.form)
    return f"{both}(difference {gap}{f', 95% interval {ends}' if ends else ''})"


def _cost(results: Results, lead: ArmSummary) -> str:
    """What its selection took; "" where there is none."""
    if is_untrained(results, lead.arm):
        return ""
    used = [run.selection_usage for run in runs_of(results, lead.arm)]
    calls = fmt.spread([u.calls for u in used], fmt.count)
    money = fmt.paid([u.cost_usd for u in used], sum(u.unpriced_calls for u in used), "price unknown")
    price = f" and {calls} paid LLM calls ({money})"
    longest = max((u.seconds for u in used), default=None)
    paid = price if any(u.calls for u in used) else " and no LLM call"
    return f"Selecting took {fmt.duration(longest)}{paid}{_computed(results, lead)}."


def _computed(results: Results, lead: ArmSummary) -> str:
    """Operations of models of this machine, beside those of training."""
    runs = runs_of(results, lead.arm)
    selecting = [run.selection_usage.flops for run in runs]
    if not any(selecting):
        return ""
    training = [run.trained.flops for run in runs if run.trained]
    beside = f", beside {fmt.spread(training, fmt.flops)} of training" if any(training) else ""
    return f", and {fmt.spread(selecting, fmt.flops)} FLOPs{beside}"


def _caveats(results: Results, lead: ArmSummary) -> str:
    said = []
    if any(run.trained for run in results.runs):
        if len(lead.seeds) == 1:
            said.append(
                "There is one seed, so the intervals cover questions only and not chance in training: three are the"
                " least for a claim about a method."
            )
        said += _spread(results, lead)
        if budget_warnings(results):
            said.append(
                "The arms were not trained equally (see the equal-budget check), so a difference may"
                " come from the training and not from the selection."
            )
    return " ".join(said)


def _spread(results: Results, lead: ArmSummary) -> list[str]:
    """How far seeds and questions lie apart, by the first measure of models that has both."""
    for measure in results.measures:
        found = lead.measures.get(measure.name)
        if measure.about != "model" or not found or found.seed_sd is None or found.question_sd is None:
            continue
        form = fmt.UNITS[measure.unit]
        sds = [f"{form.inside(sd)} {form.difference_in}".strip() for sd in (found.seed_sd, found.question_sd)]
        return [
            f"On {measure.said} its seeds have a standard deviation of {sds[0]}, its questions of {sds[1]}."
        ]
    return []


def _others(results: Results, lead: ArmSummary) -> str:
    skip = (lead.arm, results.baseline)
    rest = [s for s in results.summary if s.arm not in skip and not is_untrained(results, s.arm)]
    said = [_sorted_out(results, rest)] if rest else []
    told = next((m for m in results.measures if m.about == "model" and m.difference), None)
    for arm in results.summary:
        if told and arm is not lead and is_untrained(results, arm.arm) and (found := arm.interval(told.name)):
            who = (
                f"Of {arm.arm}, a finished model,"
                if arm.method == FINISHED
                else f"Before any tuning ({arm.arm})"
            )
            said.append(f"{who} {told.said} is {fmt.UNITS[told.unit].value(found.mean)}.")
    return " ".join(s for s in said if s)


def _corrected(results: Results) -> str:
    compared = [m for arm in results.summary for m in arm.measures.values() if m.p_holm is not None]
    if len(compared) < 2:
        return ""
    return f" Verdicts are corrected for {len(compared)} comparisons (Holm), all but the first one of this report."


def _sorted_out(results: Results, rest: list[ArmSummary]) -> str:
    """The other arms by how they compare with the baseline, on the first measure that any of them has."""
    for measure in results.measures:
        groups: dict[Claim, list[str]] = {claim: [] for claim in WORDS}
        for arm in rest:
            if found := compared(measure, arm):
                groups[found.claim].append(f"{arm.arm} ({found.form(found.interval.mean)})")
        if any(groups.values()):
            words = WORDS | {"unclear": f"{WORDS['unclear']} for"}
            said = [f"{words[claim]}: {fmt.listing(names)}" for claim, names in groups.items() if names]
            luck = _corrected(results)
            return f"The other arms against {results.baseline} on {measure.said}: {'; '.join(said)}.{luck}"
    return ""
