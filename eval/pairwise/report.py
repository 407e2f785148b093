"""Two-order reviews in a report: wins, ties and losses per question set, and pooled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from eval.report import format as fmt
from eval.report.claims import claim
from eval.report.coverage import Coverage, faults_told, with_faults
from eval.report.score_report import BIAS_NOTE, Bias, Figures, ScoreReport, bias, with_ends
from eval.report.table import Column, Entry, Spec, Table, build, counts, mean, texts
from tacos.answering.faults import AnswerFaults

if TYPE_CHECKING:
    from eval.pairwise.score import PairwiseScore, PairwiseScores
    from eval.report.stacked import Bar
    from eval.report.style import Plot

POOLED = "pooled"
UNREAD = {
    "count": "a question with an unread order is in no figure",
    "tie": "an unread order counts as a tie, as in the papers",
}


def _named(scores: PairwiseScores) -> list[tuple[str, PairwiseScore]]:
    return [*scores.sets.items(), (POOLED, scores.pooled)]


def set_table(scores: PairwiseScores) -> Table:
    """One row per question set, all of them pooled last."""

    def covered(name: str, s: PairwiseScore) -> Coverage:
        counted = (s.n, s.expected, s.unparsed, s.missing, s.duplicate, s.unknown, s.bad)
        faulty = sum(
            f.faulty for one in scores.sets.values() if s in (one, scores.pooled) for f in one.faults.values()
        )
        return Coverage("Two-order reviews", name, "questions", *counted, faulty=faulty)

    entries = [Entry(name, s, covered(name, s), marked=s is scores.pooled) for name, s in _named(scores)]
    votes = "questions"
    specs: list[Spec[PairwiseScore]] = [
        (Column("win", votes), counts(lambda s: s.win)),
        (Column("tie", votes), counts(lambda s: s.tie)),
        (Column("lose", votes), counts(lambda s: s.lose)),
        (Column("winning score"), lambda s: mean(s.winning_score, fmt.score)),
        *bias(_bias),
        *(
            (Column(label, numeric=False, brief=False), texts(_of_set(name)))
            for label, name in (("answer 1", "model_a"), ("answer 2", "model_b"), ("judge", "judge"))
        ),
        (Column("empty answers", brief=False), counts(lambda s: s.empty or None)),
    ]
    note = (
        f"From answer 1's side, both orders combined by the {scores.rule} rule; {UNREAD[scores.unparsed_as]}."
        " Winning score: (win - lose) / n + 1, 1 is a draw, with its 95% interval over questions. "
        + BIAS_NOTE
    )
    return build("reviews", f"Two-order reviews, {scores.rule} rule", note, "set", entries, specs)


def _bias(score: PairwiseScore) -> Bias:
    return score.longer_wins, score.swap_consistency, score.first_position


def _of_set(name: str) -> Callable[[PairwiseScore], str | None]:
    return lambda score: getattr(score, name, None)  # the pooled row is of no one pair of models


def sides(scores: PairwiseScores) -> tuple[str, str]:
    """What both sides are called; "answer 1" and "answer 2" where sets differ or do not say."""
    models = {(s.model_a, s.model_b) for s in scores.sets.values()}
    first, second = models.pop() if len(models) == 1 else (None, None)
    return first or "answer 1", second or "answer 2"


def problems(scores: PairwiseScores) -> list[str]:
    said = []
    for name, score in scores.sets.items():
        said += [f"{name}: {note}" for note in [*faults_told(score.faults), *score.notes]]
        if score.missing:
            said.append(f"{name}: {fmt.plural(score.missing, 'question')} without a review")
        if score.empty:
            said.append(f"{name}: {fmt.plural(score.empty, 'review')} with an empty answer, scored as judged")
    return said


def headline(scores: PairwiseScores) -> str:
    faults: dict[str, AnswerFaults] = {}
    for score in scores.sets.values():
        faults |= {name: faults.get(name, AnswerFaults()) + one for name, one in score.faults.items()}
    return with_faults(_verdict(scores), faults)


def _verdict(scores: PairwiseScores) -> str:
    interval = scores.pooled.winning_score
    if interval is None:
        return "No review could be read, so there is no winning score."
    first, second = sides(scores)
    where = f"over {fmt.listing(scores.sets)}"
    score = f"winning score {fmt.score(interval.mean)} {fmt.bracket(interval, fmt.score)}".strip()
    preferred = {"better": f"{first} to {second}", "worse": f"{second} to {first}"}
    found = claim(interval, 1.0) if interval.n > 1 else None
    if found in preferred:
        return f"The judge prefers {preferred[found]} {where} ({first}'s {score})."
    return f"No preference between {first} and {second} can be claimed {where} ({score})."


def figures(scores: PairwiseScores) -> Figures:
    found = with_ends("winning_score", scores.pooled.winning_score)
    found |= {
        f"winning_score/{key}": getattr(scores.pooled, key) for key in ("win", "tie", "lose", "n", "unparsed")
    }
    for name, score in scores.sets.items():
        found |= with_ends(f"winning_score/{name}", score.winning_score)
    return {" vs ".join(sides(scores)): found}


def plots(scores: PairwiseScores) -> list[Plot]:
    """Win, tie and lose per set, pooled last; sets without a scored question have no bar."""
    from eval.report.stacked import stacked_bars  # matplotlib, which a terminal's table does without
    from eval.report.style import Plot

    bars = [_bar(name, score) for name, score in scores.sets.items() if score.n]
    if not bars:
        return []
    bars.append(_bar(POOLED, scores.pooled, pooled=True))
    first, second = sides(scores)
    caption = (
        f"Questions that {first} against {second} won, tied and lost, both orders combined by the {scores.rule} rule."
        " Winning score: (win - lose) / n + 1, 1 is a draw; in brackets its 95% interval."
    )
    figure = stacked_bars(bars, "winning score", "what was judged")
    return [Plot("review_votes", "reviews", "Win, tie and lose per set", caption, figure)]


def _bar(name: str, score: PairwiseScore, pooled: bool = False) -> Bar:
    from eval.report.stacked import Bar
    from eval.report.style import abridge

    expected = "?" if score.expected is None else score.expected
    lacks = "" if score.complete and score.expected is not None else f" ({score.n} of {expected})"
    won = score.winning_score
    value = f"{fmt.score(won.mean)} {fmt.bracket(won, fmt.score)}".strip() if won else ""
    votes = {"win": score.win, "tie": score.tie, "lose": score.lose}
    return Bar(abridge(name, 26) + lacks, votes, value, pooled)


REVIEWS: ScoreReport[PairwiseScores] = ScoreReport(
    "reviews", lambda scores: [set_table(scores)], problems, headline, figures, plots
)
