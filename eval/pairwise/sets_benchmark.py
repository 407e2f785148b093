"""The question sets of Cherry LLM and TACOS in an experiment: each arm's answers against a named arm's, in both orders.

    benchmarks: {five_sets: {judge: judge, against: [random]}}
    ->  five_sets_random over 1,030 questions, and five_sets_random_vicuna over 80, five_sets_random_koala over 180, ...

A question won is 2, tied 1, lost 0, so the mean is the winning score of `tacos eval pairwise`, (win - lose) / n + 1. A
comparison with the baseline arm says by itself which of the two is better; of one with another arm the difference from
the baseline arm's own score says it.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import field_validator

from eval.measures import PREFERENCE, Benchmark, Finished, Measure, NamedValue, RunValues, Wording, slugs
from eval.pairwise.five_sets import SETS
from eval.pairwise.reviews import read_reviews
from eval.pairwise.rules import longer_wins
from tacos.answering.candidate import GenerateSettings
from tacos.answering.judge import LLMJudgeSettings
from tacos.answering.orders import SIGN, Judged, Rule, Unparsed
from tacos.errors import nearest

FIVE = ("vicuna", "koala", "wizardlm", "sinstruct", "lima")


class FiveSetsSettings(LLMJudgeSettings):
    """`benchmarks.five_sets` of an experiment."""

    embedded: ClassVar[tuple[str, ...]] = ("reference",)
    """Judges that are none of the `llms`."""

    judge: str = "judge"
    """Which of the configured `llms` judges; "reference" is the embedded one, for sets with references."""
    sets: tuple[str, ...] = FIVE
    against: tuple[str, ...] = ()
    """Arms whose answers all others are compared with; empty is the baseline."""
    rule: Rule = "lenient"
    """How two orders combine; lenient is the papers' rule."""
    unparsed: Unparsed = "count"
    """A question with an unreadable verdict is left out and counted, or a tie as in the papers."""
    generate: GenerateSettings | None = None
    """How questions are answered; None is the way of TACOS's script: temperature 0.7, 512 tokens."""

    @field_validator("llm")
    @classmethod
    def _one_judge(cls, named: str | None) -> str | None:
        if named is not None:
            raise ValueError(f"`judge` says who judges: give judge={named} in place of llm")
        return named

    @field_validator("sets")
    @classmethod
    def _known(cls, sets: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in sets if name not in SETS]:
            raise ValueError(f"unknown question set {unknown[0]!r}: {nearest(unknown[0], SETS)}")
        return _each_once(sets, "question set")

    @field_validator("against")
    @classmethod
    def _distinct(cls, against: tuple[str, ...]) -> tuple[str, ...]:
        return _each_once(against, "arm") if against else against

    def opponents(self, baseline: str) -> tuple[str, ...]:
        """The arms that others are compared with."""
        return self.against or (baseline,)


def _each_once(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise ValueError(f"give at least one {what}, each once")
    return names


def stage_of(opponent: str) -> str:
    """What the comparison with an arm is called among the stages of another."""
    return f"five_sets-{opponent}"


def reviews_file(name: str) -> str:
    return f"reviews_{name}.json"


def benchmarks_of(settings: FiveSetsSettings, baseline: str) -> list[Benchmark]:
    """One for each arm that the others are compared with."""
    opponents = settings.opponents(baseline)
    return [
        _against(settings, opponent, slug, baseline)
        for opponent, slug in zip(opponents, slugs(opponents), strict=True)
    ]


def _against(settings: FiveSetsSettings, opponent: str, slug: str, baseline: str) -> Benchmark:
    def measure(name: str = "") -> Measure:
        return _measure(opponent, slug, opponent == baseline, name)

    whole, parts = measure(), {name: measure(name) for name in settings.sets if len(settings.sets) > 1}
    stage = stage_of(opponent)

    def read(finished: Finished) -> RunValues:
        asked = finished.metrics[stage]["asked"]
        judged = {name: _judged(finished.folders[stage], name, settings) for name in settings.sets}
        pooled = {f"{name}/{id_}": one for name, own in judged.items() for id_, one in own.items()}
        by_measure = {whole.name: pooled} | {part.name: judged[name] for name, part in parts.items()}
        expected = {whole.name: sum(asked[name] for name in settings.sets)}
        expected |= {part.name: asked[name] for name, part in parts.items()}
        values = {name: _points(own) for name, own in by_measure.items()}
        return RunValues(
            values,
            unread={name: expected[name] - len(values[name]) for name in values},
            beside={
                name: {"longer_wins": longer_wins(list(own.values()))} for name, own in by_measure.items()
            },
        )

    return Benchmark(f"five_sets_{slug}", stage, (whole, *parts.values()), read)


def _measure(opponent: str, slug: str, is_baseline: bool, name: str = "") -> Measure:
    """name: of the one set that is measured, else all are."""
    where = f"on the {name} set" if name else "on question sets"
    return Measure(
        name=f"five_sets_{slug}_{name}" if name else f"five_sets_{slug}",
        metric=f"five_sets/{slug}/{name}" if name else f"five_sets/{slug}",
        title=f"winning score {where}" + ("" if is_baseline else f" against {opponent}"),
        phrase=f"the judge's winning score against {opponent} {where}",
        counted="2 for a question won, 1 tied, 0 lost",
        note=(
            "Each pair is judged in both orders. The winning score is (win - lose) / n + 1: 1 is a draw, 2 wins"
            " everything."
        ),
        heading=f"{name or 'question sets'} against {opponent}",
        unit="score",
        scale=(0.0, 2.0),
        neutral=1.0 if is_baseline else None,
        difference=not is_baseline,
        levels=tuple(NamedValue(name=name, value=1.0 + sign) for name, sign in SIGN.items()),
        brief=not name,
        of_set=name,
        asked=name or None,
        reasons="the reviews of its five_sets folder",
        wording=PREFERENCE if is_baseline else Wording(),
    )


def _judged(folder: Path, name: str, settings: FiveSetsSettings) -> dict[str, Judged]:
    """Question id -> both orders' verdicts and the result, of one set's reviews."""
    reviews = read_reviews(folder / reviews_file(name), name).reviews
    return {
        review.question_id or str(number): review.judged(settings.rule, settings.unparsed)
        for number, review in enumerate(reviews)
    }


def _points(judged: dict[str, Judged]) -> dict[str, float]:
    return {id_: 1.0 + SIGN[one.result] for id_, one in judged.items() if one.result != "unparsed"}
