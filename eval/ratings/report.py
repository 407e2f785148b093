"""Bradley-Terry ratings in a report: one strength per model out of all its comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.report import format as fmt
from eval.report.claims import WORDS
from eval.report.comparisons import p_text
from eval.report.score_report import Figures, ScoreReport, with_ends
from eval.report.table import Column, Entry, Spec, Table, build, counts, mean, numbers, texts
from eval.spread import ALPHA

if TYPE_CHECKING:
    from eval.ratings.bradley_terry import Contrast, Ratings, Strength


def rating_table(ratings: Ratings) -> Table:
    """One row per model, the strongest first."""
    free = set(ratings.unbounded)
    specs: list[Spec[Strength]] = [
        (Column("Elo"), counts(lambda r: r.elo)),
        (Column("log-odds"), lambda r: mean(r.rating, fmt.score)),
        (Column("games"), counts(lambda r: r.games)),
        (Column("questions"), counts(lambda r: r.rating.n)),
        (
            Column("bound", numeric=False),
            texts(lambda r: "none: always above or below" if r.model in free else None),
        ),
        (Column("may change places with", numeric=False), texts(lambda r: _near(ratings, r.model))),
    ]
    entries = [Entry(r.model, r, marked=r.model == ratings.anchor) for r in ratings.ratings]
    note = (
        f"Bradley-Terry ratings over {fmt.count(ratings.games)} games on {fmt.count(ratings.questions)} questions,"
        f" {ratings.anchor} at 0 (Elo 1,000), with 95% intervals over questions. Unparsed comparisons"
        " are no games. May change places with: models that this one cannot be told from, after Holm's correction for"
        f" {fmt.plural(len(ratings.contrasts), 'pair')}."
    )
    return build("ratings", "Ratings over all pairs", note, "model", entries, specs)


def contrast_table(ratings: Ratings) -> Table:
    """One row per pair of models, the strongest first."""
    specs: list[Spec[Contrast]] = [
        (Column("difference, log-odds"), lambda c: mean(c.difference, fmt.score_difference)),
        (Column("p (Holm)"), numbers(p_text, lambda c: c.p_holm)),
        (Column("verdict", numeric=False), texts(lambda c: WORDS["better" if _apart(c) else "unclear"])),
    ]
    entries = [Entry(f"{c.first} vs {c.second}", c) for c in ratings.contrasts]
    note = "Every pair of models, from the first one's side; p-values are corrected for all pairs by Holm."
    return build("ratings_contrasts", "Ratings, pair by pair", note, "pair", entries, specs)


def _apart(contrast: Contrast) -> bool:
    return contrast.p_holm <= ALPHA


def _near(ratings: Ratings, model: str) -> str | None:
    """Those that `model` cannot be told from."""
    pairs = [{c.first, c.second} for c in ratings.contrasts if not _apart(c)]
    others = {name for pair in pairs if model in pair for name in pair} - {model}
    return ", ".join(r.model for r in ratings.ratings if r.model in others) or None


def problems(ratings: Ratings) -> list[str]:
    return [
        f"{model}: only the ridge keeps its rating finite; it says no more than above or below the rest"
        for model in ratings.unbounded
    ]


def headline(ratings: Ratings) -> str:
    first = ratings.ratings[0]
    elo, models = fmt.count(first.elo), fmt.plural(len(ratings.ratings), "model")
    said = f"{first.model} is rated highest of {models}, Elo {elo} with {ratings.anchor} at 1,000."
    lead = ratings.contrasts[0]
    gap = f"{fmt.score_difference(lead.difference.mean)} {fmt.bracket(lead.difference, fmt.score_difference)} log-odds"
    if _apart(lead):
        return f"{said} It stands {gap} above the second, {lead.second}."
    return f"{said} No leader can be named: the second, {lead.second}, is {gap} behind."


def figures(ratings: Ratings) -> Figures:
    return {
        r.model: {"ratings/elo": r.elo, **with_ends("ratings/log_odds", r.rating)} for r in ratings.ratings
    }


RATINGS: ScoreReport[Ratings] = ScoreReport(
    "ratings", lambda ratings: [rating_table(ratings), contrast_table(ratings)], problems, headline, figures
)
