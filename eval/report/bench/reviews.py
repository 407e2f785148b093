"""Two-order reviews in a report: wins, ties and losses per question set, and pooled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from eval.report import format as fmt
from eval.report.bench.table import (
    BIAS_NOTE,
    BenchTable,
    Bias,
    Coverage,
    Entry,
    Kind,
    Spec,
    bias,
    build,
    counts,
    mean,
    texts,
)
from eval.report.tables import Column
from eval.report.text import judge

if TYPE_CHECKING:
    from eval.pairwise.score import PairwiseScores, Score

POOLED = "pooled"
UNREAD = {
    "count": "a question with an unread order is in no figure",
    "tie": "an unread order counts as a tie, as in the papers",
}


def _named(scores: PairwiseScores) -> list[tuple[str, Score]]:
    return [*scores.sets.items(), (POOLED, scores.pooled)]


def set_table(scores: PairwiseScores) -> BenchTable:
    """One row per question set, all of them pooled last."""

    def covered(name: str, s: Score) -> Coverage:
        counted = (s.n, s.expected, s.unparsed, s.missing, s.duplicate, s.unknown, s.bad)
        return Coverage("Two-order reviews", name, "questions", *counted)

    entries = [Entry(name, s, covered(name, s), marked=s is scores.pooled) for name, s in _named(scores)]
    votes = "questions"
    specs: list[Spec[Score]] = [
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
        " Winning score: (win - lose) / n + 1, 1 is a draw, with its 95% bootstrap interval over questions. "
        + BIAS_NOTE
    )
    return build("reviews", f"Two-order reviews, {scores.rule} rule", note, "set", entries, specs)


def _bias(score: Score) -> Bias:
    return score.longer_wins, score.swap_consistency, score.first_position


def _of_set(name: str) -> Callable[[Score], str | None]:
    return lambda score: getattr(score, name, None)  # the pooled row is of no one pair of models


def sides(scores: PairwiseScores) -> tuple[str, str]:
    """What both sides are called; "answer 1" and "answer 2" where sets differ or do not say."""
    models = {(s.model_a, s.model_b) for s in scores.sets.values()}
    first, second = models.pop() if len(models) == 1 else (None, None)
    return first or "answer 1", second or "answer 2"


def problems(scores: PairwiseScores) -> list[str]:
    said = []
    for name, score in scores.sets.items():
        said += [f"{name}: {note}" for note in score.notes]
        if score.missing:
            said.append(f"{name}: {fmt.plural(score.missing, 'question')} without a review")
        if score.empty:
            said.append(f"{name}: {fmt.plural(score.empty, 'review')} with an empty answer, scored as judged")
    return said


def headline(scores: PairwiseScores) -> str:
    interval = scores.pooled.winning_score
    if interval is None:
        return "No review could be read, so there is no winning score."
    first, second = sides(scores)
    where = f"over {fmt.listing(scores.sets)}"
    score = f"winning score {fmt.score(interval.mean)} {fmt.bracket(interval, fmt.score)}".strip()
    preferred = {"better": f"{first} to {second}", "worse": f"{second} to {first}"}
    verdict = judge(interval, 1.0) if interval.n > 1 else None
    if verdict in preferred:
        return f"The judge prefers {preferred[verdict]} {where} ({first}'s {score})."
    return f"No preference between {first} and {second} can be claimed {where} ({score})."


def figures(scores: PairwiseScores) -> Mapping[str, float | None]:
    found: dict[str, float | None] = {}
    for name, score in _named(scores):
        found[f"{name}/winning_score"] = score.winning_score.mean if score.winning_score else None
        found |= {f"{name}/{key}": getattr(score, key) for key in ("win", "tie", "lose", "n", "unparsed")}
    return found


REVIEWS: Kind[PairwiseScores] = Kind(
    "reviews", lambda scores: [set_table(scores)], problems, headline, figures
)
