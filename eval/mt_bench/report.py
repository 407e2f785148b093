"""MT-Bench in a report: models by their average rating, by category, and against one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eval.mt_bench.files import told
from eval.report import format as fmt
from eval.report.comparisons import comparison_tables, led
from eval.report.coverage import Coverage, faults_told, with_faults
from eval.report.score_report import Figures, ScoreReport, best_first, with_ends
from eval.report.table import (
    NOTHING,
    Cell,
    Column,
    Entry,
    Spec,
    Table,
    build,
    counts,
    numbers,
    texts,
    with_interval,
)
from eval.stats import Lead

if TYPE_CHECKING:  # a table is laid out without the modules that compute its scores
    from eval.mt_bench.score import CategoryScore, ModelScore, SingleScores
    from eval.report.style import Plot


def ranked(scores: SingleScores) -> list[Entry[ModelScore]]:
    """Models as rows, the best average first."""

    def covered(name: str, s: ModelScore) -> Coverage:
        counted = (s.judged, s.expected, s.unparsed, s.missing, s.duplicate, s.unknown)
        faulty = scores.faults[name].faulty if name in scores.faults else 0
        return Coverage("MT-Bench", name, "turns", *counted, faulty=faulty)

    entries = [Entry(name, s, covered(name, s), arm=name) for name, s in scores.models.items()]
    return best_first(entries, lambda s: s.average)


def model_table(scores: SingleScores) -> Table:
    """One row per model."""
    rating = "rating, 1-10"
    specs: list[Spec[ModelScore]] = [
        (Column("average", rating), lambda s: with_interval(s.average, s.ci, fmt.score)),
        (Column("turn 1", rating), numbers(fmt.score, lambda s: s.turn_1)),
        (Column("turn 2", rating), numbers(fmt.score, lambda s: s.turn_2)),
        (Column("judge", numeric=False, brief=False), texts(lambda s: s.judge)),
        (Column("off scale", brief=False), counts(lambda s: s.off_scale or None)),
    ]
    note = (
        "Mean rating over all judged turns, with its 95% interval over questions. A turn without a"
        " rating is in no mean."
    )
    return build("mt_bench", "MT-Bench", note, "model", ranked(scores), specs)


def category_table(scores: SingleScores) -> Table:
    """One row per model, one column per category."""
    names = list(dict.fromkeys(name for score in scores.models.values() for name in score.categories))

    def column(name: str) -> Spec[ModelScore]:
        return Column(name), lambda s: _category(s.categories.get(name))

    note = "Mean rating, 1-10, of a category's judged turns; where not all are judged, how many are."
    entries = [replace(entry, coverage=None) for entry in ranked(scores)]
    return build(
        "mt_bench_categories", "MT-Bench by category", note, "model", entries, [column(n) for n in names]
    )


def _category(score: CategoryScore | None) -> Cell:
    if score is None:
        return NOTHING
    lacks = f"{score.judged} of {score.expected}" if score.judged < score.expected else ""
    more = (("judged", score.judged), ("expected", score.expected))
    raw = score.average if fmt.known(score.average) else None
    return Cell(fmt.score(score.average), lacks, "worse" if lacks else None, raw, more)


def tables(scores: SingleScores) -> list[Table]:
    measure = "Mean rating of a question, 1-10"
    against = comparison_tables("mt_bench", measure, fmt.score_difference, scores.against, scores.comparisons)
    return [model_table(scores), category_table(scores), *against]


def problems(scores: SingleScores) -> list[str]:
    said = []
    for name, score in scores.models.items():
        if score.missing:
            said.append(f"{name}: {fmt.plural(score.missing, 'turn')} without a judgment")
        if score.off_scale:
            ratings = fmt.plural(score.off_scale, "rating")
            said.append(f"{name}: {ratings} outside 1-10, counted as in the file")
    return [*faults_told(scores.faults), *said, *told(scores.problems)]


def headline(scores: SingleScores) -> str:
    return with_faults(_verdict(scores), scores.faults)


def _verdict(scores: SingleScores) -> str:
    rated = [entry for entry in ranked(scores) if entry.item.average is not None]
    if not rated:
        return "No rating could be read, so there is no MT-Bench average."
    first = rated[0]
    said = f"{fmt.score(first.item.average)} {fmt.bracket(first.item.ci, fmt.score)}".strip()
    if len(rated) == 1:
        return f"{first.name} scores {said} of 10 on MT-Bench."
    best = f"{first.name} has the highest MT-Bench average of {len(rated)} models, {said}."
    return best + (
        led(scores.lead, fmt.score_difference, "a question") if _same(first.name, scores.lead) else ""
    )


def _same(name: str, lead: Lead | None) -> bool:
    """Whether the model that is named is the first by the questions of which every turn is rated, too."""
    return lead is not None and lead.first == name


def figures(scores: SingleScores) -> Figures:
    keys = ("average", "turn_1", "turn_2", "judged", "expected", "unparsed")
    return {
        name: with_ends("mt_bench/average", s.ci) | {f"mt_bench/{key}": getattr(s, key) for key in keys}
        for name, s in scores.models.items()
    }


def plots(scores: SingleScores) -> list[Plot]:
    from eval.mt_bench.radar import radar  # matplotlib, which a terminal's table does without

    plot = radar(scores)
    return [plot] if plot else []


SINGLE: ScoreReport[SingleScores] = ScoreReport("mt_bench", tables, problems, headline, figures, plots)
