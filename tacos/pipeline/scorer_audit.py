"""An audit of a scorer: its stages run, and every figure worked out from what they left on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from eval.graded import Graded, graded, standardised
from eval.interval import Interval
from eval.pairwise.rules import first_position_rate, swap_consistency
from eval.ranks import spearman
from eval.scorer_audit import ScorerAudit
from eval.scorer_card import Measurement, ScorerCard, split_half
from eval.stats import against
from tacos.answering.judge import Verdict
from tacos.answering.orders import Judged, combine
from tacos.artifacts import ArtifactStore
from tacos.llm.base import Request
from tacos.llm.estimate import Asked
from tacos.llm.request_key import request_key
from tacos.pipeline.audit_stages import BETTER, WORSE, AuditStages, read_probes
from tacos.pipeline.caps import Bills
from tacos.pipeline.plan import PlannedStage, planned_stage
from tacos.pipeline.scorer_card import card_of, comparisons_of, pool_of
from tacos.scoring.calls import Calls
from tacos.scoring.iqs.measure import PairReport, measure
from tacos.scoring.probes import GRADES
from tacos.stage import Stage, Tools
from tacos.store import tables
from tacos.types import Pool

POOLS = ("load", "sample", "probes", "step", "beside", "shown")
"""Stages that make pools."""
DETERMINISTIC = "deterministic: nothing is drawn and nobody is asked, so the same rows get the same scores"
NO_ORDER = "no call shows samples in an order that could matter"
FROM_A_FILE = "scores from a file know no altered rows and no pairs"
TOO_FEW = "scores are all the same, or too few rows have them"


def plan_audit(stages: AuditStages, store: ArtifactStore, tools: Tools) -> list[PlannedStage]:
    """What each measure will ask and read; `arms` names it. The pools are made for it, which asks nobody."""
    for made in stages.made:
        store.run(made, tools)
    settings, asked = stages.settings, set[bytes]()
    bills = Bills(settings)
    found: dict[str, PlannedStage] = {}
    for name, target in stages.targets.items():
        for stage in target.walk():
            if stage.fingerprint not in found and stage.name not in POOLS:
                rows = cache(lambda stage=stage: pool_of(stage, store))
                once = _asked_once(stage, asked)
                found[stage.fingerprint] = planned_stage(once, (name,), store, rows, bills)
    return list(found.values())


def _asked_once(stage: Stage, asked: set[bytes]) -> Stage:
    """The stage for a plan, without the questions that stages before it will have asked. asked: by all so far."""
    if stage.estimate is None:
        return stage
    whole = stage.estimate

    def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
        found = whole(pool, done)
        model = found.settings.identity()["model"]

        def is_new(request: Request) -> bool:
            key = request_key(model, request)
            new = key not in asked
            asked.add(key)
            return new

        return replace(found, requests=filter(is_new, found.requests))

    return replace(stage, estimate=estimate)


def audit_scorer(stages: AuditStages, store: ArtifactStore, tools: Tools) -> ScorerAudit:
    """Runs what is not done. Raises: TacosError as the stages do."""
    for target in (*stages.made, *stages.targets.values()):
        store.run(target, tools)
    settings = stages.settings
    retest, difference = _retest(stages, store)
    card, swapping = _card(stages, store)
    pairs, no_pairs = _pairs(stages, store)
    altered = list(_altered(stages, store))
    second = stages.second
    agreement = Measurement(missing="no second scorer was named (--second)")
    if second is not None:
        agreement = Measurement.of(_correlation(stages.scored, second, store), TOO_FEW)
    return ScorerAudit(
        pool=Path(settings.pool.source).name,
        seed=settings.seed,
        card=card,
        retest=retest,
        retest_difference=difference,
        swap_consistency=swapping,
        swapped=_which_pairs(stages, store),
        pairs=pairs,
        pairs_missing=no_pairs,
        altered=altered,
        altered_missing=_why_not_altered(stages, altered),
        agreement=agreement,
        second=settings.second.describe(settings.llms) if settings.second else None,
    )


def _card(stages: AuditStages, store: ArtifactStore) -> tuple[ScorerCard, Measurement]:
    """The card of the rows as they are, and how often both orders say the same."""
    settings = stages.settings
    card = card_of(settings.score.describe(settings.llms), stages.scored, store)
    if stages.again is not None and (both := _both_scorings(stages.scored, stages.again, store)):
        card = card.model_copy(update={"split_half": both})
    if stages.swapped is None:
        return card, Measurement(missing=NO_ORDER)
    judged = _judged(stages.swapped, store)
    first = Measurement.of(first_position_rate(judged), "no pair has two different scores")
    consistent = Measurement.of(swap_consistency(judged), "no pair could be read in both orders")
    return card.model_copy(update={"first_position": first}), consistent


def _both_scorings(scored: Stage, again: Stage, store: ArtifactStore) -> Measurement | None:
    """Split halves of the calls of both scorings; None of a scorer that does not compare."""
    one, other = comparisons_of(scored, store), comparisons_of(again, store)
    if one is None or other is None:
        return None
    return split_half(Calls.join([one[0], other[0]]), one[1].then(other[1]))


def _judged(swapped: Stage, store: ArtifactStore) -> list[Judged]:
    """Each pair in both orders; groups are numbered pair by pair (`BothOrders`)."""
    found = comparisons_of(swapped, store)
    assert found is not None
    calls, answers = found
    responses = pool_of(swapped, store).responses
    read = {
        group: [None if np.isnan(score) else float(score) for score in scores[:2]]
        for group, scores in zip(calls.group.tolist(), answers.scores, strict=True)
    }
    judged = []
    for pair in range(len(responses) // 2):
        orders = [
            Verdict(score_1=first, score_2=second) for first, second in (read[2 * pair], read[2 * pair + 1])
        ]
        judged.append(
            Judged(
                order_1=orders[0],
                order_2=orders[1],
                result=combine(orders[0], orders[1]),
                length_a=len(responses[2 * pair]),
                length_b=len(responses[2 * pair + 1]),
            )
        )
    return judged


def _which_pairs(stages: AuditStages, store: ArtifactStore) -> str:
    if stages.swapped is None:
        return ""
    n = len(pool_of(stages.swapped, store)) // 2
    return f"{n:,} {'given pairs' if stages.pairs else 'pairs of sampled rows'}"


def _retest(stages: AuditStages, store: ArtifactStore) -> tuple[Measurement, Measurement]:
    if stages.again is None:
        return Measurement(missing=DETERMINISTIC), Measurement(missing=DETERMINISTIC)
    gaps = np.abs(_values(stages.again, store) - _values(stages.scored, store))
    known = gaps[~np.isnan(gaps)]
    apart = against([known], 0.0, scale=(0.0, None)).interval if len(known) else None
    correlation = _correlation(stages.scored, stages.again, store)
    return Measurement.of(correlation, TOO_FEW), Measurement.of(apart, "no row has a score both times")


def _correlation(one: Stage, other: Stage, store: ArtifactStore) -> Interval | None:
    a, b = _values(one, store), _values(other, store)
    both = ~np.isnan(a) & ~np.isnan(b)
    return spearman(a[both], b[both])


def _values(stage: Stage, store: ArtifactStore) -> np.ndarray:
    """(n,) of the pool that the stage read, NaN where missing."""
    return tables.read_scores(store.folder(stage)).values


def _pairs(stages: AuditStages, store: ArtifactStore) -> tuple[PairReport | None, str | None]:
    """Of scorers that compare by asking, both sides meet in both orders; of others each stands beside the sample."""
    if stages.pairs is None:
        return None, "no pairs with a known better side were given (--pairs)"
    if stages.swapped is not None:
        values = _values(stages.swapped, store)
        return measure(stages.pairs, values[BETTER::2], values[WORSE::2]), None
    if not stages.paired:
        return None, FROM_A_FILE
    scores = np.array([_values(stage, store) for stage in stages.paired])
    sampled = np.arange(scores.shape[1]) < len(pool_of(stages.scored, store))
    better, worse = standardised(scores, sampled)[:, ~sampled]
    return measure(stages.pairs, better, worse), None


def _altered(stages: AuditStages, store: ArtifactStore) -> Iterator[Graded]:
    if not stages.altered:
        return
    found = read_probes(store.folder(stages.probes))
    scores = np.array([_values(stage, store) for stage in (stages.scored, *stages.altered)])
    as_they_are = np.ones(scores.shape[1], dtype=bool)
    as_they_are[[probe.row for probe in found]] = False
    steps = standardised(scores, as_they_are)
    for kind, grades in GRADES.items():
        rows = [probe.row for probe in found if probe.kind == kind]
        if rows:
            yield graded(kind, grades, steps[: len(grades) + 1, rows].T)


def _why_not_altered(stages: AuditStages, found: list[Graded]) -> str | None:
    if not stages.altered:
        return FROM_A_FILE
    return None if found else "no sampled row is long enough to be altered"
