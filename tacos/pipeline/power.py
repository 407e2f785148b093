"""What an experiment can find out, before anything is paid: the smallest difference of each measure, and the questions
or seeds that a wanted one needs (`eval.power`).

    exact_match  400 questions  1 seed   6.9 points     (sds of questions 26.0, chance 40.0, seeds 1.0 points)
                                         3 points need 2,100 questions with 1 seed, or 6 seeds with 400 questions

How far questions and seeds lie apart is read from a finished run of the same kind, or is what was seen once on data of
ours and others; of public benchmarks only one seed has been published, so seeds come on top.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from eval.alpaca_eval.benchmark import QUESTIONS as ALPACA_EVAL_QUESTIONS
from eval.benchmarks import benchmarks
from eval.measures import Measure, Unit
from eval.mt_bench.benchmark import QUESTIONS as MT_BENCH_QUESTIONS
from eval.pairwise.five_sets import SETS
from eval.power import Variation, pooled
from eval.questions import read_question_sets
from eval.results import Results
from tacos.errors import ConfigError, nearest
from tacos.pipeline.pool import BUILTIN
from tacos.pipeline.settings import ExperimentSettings
from tacos.types import Record

SEEN = {
    "exact_match": Variation(question=0.26, chance=0.40, seed=0.01),
    "winning_score": Variation(question=0.86),
    "mt_bench": Variation(question=2.68),
    "mt_bench_pairs": Variation(question=0.23),
    "alpaca_eval": Variation(question=39.0),
    "five_sets": Variation(question=0.86),
}
"""By benchmark: exact match of 26 arms with 2 seeds against random on the builtin test, reviews of Vicuna's questions,
MT-Bench's ratings and pairs of two 7B models, preferences of AlpacaEval's annotator for three pairs of models."""


class Finding(Record):
    """What one measure can find. Differences are in its unit."""

    measure: str
    title: str
    unit: Unit
    questions: int
    seeds: int
    smallest: float
    variation: Variation
    wanted: float | None = None
    questions_for: int | None = None
    """Questions that find `wanted` with these seeds; None where no number does."""
    seeds_for: int | None = None
    """Seeds that find `wanted` with these questions; None where no number does, or what seeds do is not known."""


def findings(
    settings: ExperimentSettings, wanted: Mapping[str, float] | None = None, like: Results | None = None
) -> list[Finding]:
    """One for each measure of models whose variation is known, the most important first.

    wanted: measure -> the difference that is looked for, in its unit; like: a finished run of the same kind, whose
    variation is taken. Raises: ConfigError for a measure in `wanted` that the experiment does not have, or whose
    variation is not known.
    """
    found = list(_findings(settings, wanted or {}, like))
    names = [one.measure for one in found]
    for name in wanted or {}:
        if name not in names:
            raise ConfigError(f"no difference of {name!r} can be planned: {nearest(name, names)}")
    return found


def _findings(
    settings: ExperimentSettings, wanted: Mapping[str, float], like: Results | None
) -> Iterator[Finding]:
    seeds, sizes = len(settings.seeds), _sizes(settings)
    for measure in measures_of(settings):
        key = next((key for key in sizes if measure.name == key or measure.name.startswith(f"{key}_")), None)
        spread = _seen_in(like, measure.name) or SEEN.get(key or "")
        if key is None or spread is None or (questions := sizes[key]) < 2:
            continue
        difference = wanted.get(measure.name)
        yield Finding(
            measure=measure.name,
            title=measure.title,
            unit=measure.unit,
            questions=questions,
            seeds=seeds,
            smallest=spread.smallest(questions, seeds),
            variation=spread,
            wanted=difference,
            questions_for=spread.questions_for(difference, seeds) if difference else None,
            seeds_for=spread.seeds_for(difference, questions)
            if difference and spread.seed is not None
            else None,
        )


def measures_of(settings: ExperimentSettings) -> list[Measure]:
    """What an experiment compares models by, the most important first."""
    every = [m for one in benchmarks(settings.benchmarks, settings.baseline) for m in one.measures]
    return [m for m in every if m.about == "model" and m.compared and m.brief and not m.of_set]


def _sizes(settings: ExperimentSettings) -> dict[str, int]:
    """Measure, or how its name begins -> questions; the longest name first."""
    asked, own = settings.benchmarks, _own_questions(settings)
    return {
        "mt_bench_pairs": MT_BENCH_QUESTIONS if asked.mt_bench_pairs else 0,
        "mt_bench": MT_BENCH_QUESTIONS if asked.mt_bench else 0,
        "alpaca_eval": ALPACA_EVAL_QUESTIONS if asked.alpaca_eval else 0,
        "five_sets": sum(SETS[name].questions for name in asked.five_sets.sets) if asked.five_sets else 0,
        "winning_score": own,
        "exact_match": own if settings.pool.source == BUILTIN or settings.pool.question_files else 0,
    }


def _own_questions(settings: ExperimentSettings) -> int:
    if settings.pool.source == BUILTIN:
        return settings.pool.builtin.test_size
    files = settings.pool.question_files
    return len(read_question_sets(files)) if files else settings.pool.holdout


def _seen_in(run: Results | None, measure: str) -> Variation | None:
    arms = (summary.measures.get(measure) for summary in run.summary) if run else ()
    return pooled([found.variation for found in arms if found and found.variation])
