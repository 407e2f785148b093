"""Bradley-Terry ratings in a report: one strength per model out of all its comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from eval.report import format as fmt
from eval.report.claims import claim
from eval.report.score_report import ScoreReport
from eval.report.table import Column, Entry, Spec, Table, build, counts, mean, texts

if TYPE_CHECKING:
    from eval.ratings.bradley_terry import Ratings, Strength


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
    ]
    entries = [Entry(r.model, r, marked=r.model == ratings.anchor) for r in ratings.ratings]
    note = (
        f"Bradley-Terry ratings over {fmt.count(ratings.games)} games on {fmt.count(ratings.questions)} questions,"
        f" {ratings.anchor} at 0 (Elo 1,000), with 95% bootstrap intervals over questions. Unparsed comparisons"
        " are no games."
    )
    return build("ratings", "Ratings over all pairs", note, "model", entries, specs)


def problems(ratings: Ratings) -> list[str]:
    said = [
        f"{model}: only the ridge keeps its rating finite; it says no more than above or below the rest"
        for model in ratings.unbounded
    ]
    if ratings.left_out:
        resamples = fmt.plural(ratings.left_out, "resample")
        said.append(f"{resamples} left out of the intervals, since they join no common scale")
    return said


def headline(ratings: Ratings) -> str:
    first = ratings.ratings[0]
    elo, models = fmt.count(first.elo), fmt.plural(len(ratings.ratings), "model")
    said = f"{first.model} is rated highest of {models}, Elo {elo} with {ratings.anchor} at 1,000."
    if ratings.lead is None:
        return said
    second = ratings.ratings[1].model
    gap = f"{fmt.score_difference(ratings.lead.mean)} {fmt.bracket(ratings.lead, fmt.score_difference)} log-odds"
    if claim(ratings.lead) == "better":
        return f"{said} It stands {gap} above the second, {second}."
    return f"{said} No leader can be named: the second, {second}, is {gap} behind."


def figures(ratings: Ratings) -> Mapping[str, float | None]:
    found: dict[str, float | None] = {}
    for rating in ratings.ratings:
        found |= {f"{rating.model}/elo": rating.elo, f"{rating.model}/rating": rating.rating.mean}
    return found


RATINGS: ScoreReport[Ratings] = ScoreReport(
    "ratings", lambda ratings: [rating_table(ratings)], problems, headline, figures
)
