"""Training a quality scorer and saying honestly what it is worth.

Three figures, none of them in-sample:

    valid             pairs that were kept apart (`--valid`)
    cross_validation  the light scorer fit again on 4/5 of train + valid and measured on the rest, `folds` times
                      over `repeats` seeded divisions; mean, and standard deviation over divisions
    longer_wins       beside both

Pairs of one prompt stay in one fold. The spread is over divisions of the same pairs; what another sample
of 254 pairs would do differs more, by about 2 points (one standard error).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from tacos.errors import ConfigError, TacosError
from tacos.scoring.iqs.base import Kind, QualityScorer
from tacos.scoring.iqs.encoder import EncoderSettings
from tacos.scoring.iqs.folder import Card, free, save
from tacos.scoring.iqs.light import LightScorer, LightSettings, Reading
from tacos.scoring.iqs.measure import Accuracy, measure, measure_scorer
from tacos.scoring.iqs.pairs import QualityPairs
from tacos.scoring.iqs.text import canonical
from tacos.tracking.settings import TrackingSettings
from tacos.types import Record

log = logging.getLogger(__name__)


class CrossValidation(Record):
    """How the light scorer is measured on train + valid; the encoder's training is too dear for it."""

    folds: int = Field(5, ge=2)
    repeats: int = Field(2, ge=0)
    """Divisions into folds; 0 leaves cross-validation out."""


class ScorerTrainSettings(Record):
    """Everything `tacos iqs train` can be told, as a.b=c."""

    light: LightSettings = LightSettings()
    encoder: EncoderSettings = EncoderSettings()
    cross_validation: CrossValidation = CrossValidation()
    seed: int = 42
    """The paper's."""
    tracking: TrackingSettings = TrackingSettings()


class Spread(Record):
    """Mean over divisions, and their standard deviation (0 for one division).

    error: the sampling error of the mean, over pairs: what another set of pairs would change.
    """

    mean: float
    sd: float
    error: float


class CrossValidated(Record):
    """Accuracies of pairs that were not trained on, from each division of all pairs into folds."""

    n: int
    divisions: int
    folds: int
    pair_accuracy: Spread | None
    length_matched: Spread | None
    distinct: Spread | None
    """Without identical pairs."""
    distinct_length_matched: Spread | None
    same_prompt: Spread | None
    """Pairs whose sides answer the same instruction and input."""
    longer_wins: float | None
    longer_wins_length_matched: float | None


def train(
    kind: Kind, pairs: QualityPairs, valid: QualityPairs | None, settings: ScorerTrainSettings, out: Path
) -> Card:
    """Fit on `pairs`, measure, and save into `out`.

    Raises: TacosError for too few pairs, or for pairs that stand in both files;
    ConfigError when the encoder is asked for without `valid`, which decides when it stops.
    """
    free(out)
    if kind == "encoder" and valid is None:
        raise ConfigError("--scorer encoder needs --valid: its rank correlation decides which epoch is kept")
    names = pairs.names()
    both = set(names) & set(valid.names() if valid else ())
    if both:
        raise TacosError(
            f"{len(both)} pairs stand in {pairs.source} and {valid and valid.source}: take them out of one, "
            "or validation says nothing"
        )
    started = time.perf_counter()
    scorer, metrics = _fit(kind, pairs, valid, settings)
    metrics["train_seconds"] = round(time.perf_counter() - started, 1)
    if valid:
        metrics["valid"] = measure_scorer(scorer, valid, frozenset(names)).model_dump(mode="json")
    return save(scorer, out, pairs, settings.seed, metrics)


def _fit(
    kind: Kind, pairs: QualityPairs, valid: QualityPairs | None, settings: ScorerTrainSettings
) -> tuple[QualityScorer, dict[str, Any]]:
    if kind == "encoder":
        from tacos.scoring.iqs.encoder import EncoderScorer

        assert valid is not None
        encoder = EncoderScorer(settings.encoder)
        return encoder, encoder.fit(pairs, valid, settings.seed)
    light = LightScorer(settings.light)
    metrics: dict[str, Any] = {}
    everything = pairs.joined(valid) if valid else pairs
    better, worse = light.read_pairs(everything)
    own = np.arange(len(pairs.pairs))
    light.fit_readings(better.take(own), worse.take(own))
    if settings.cross_validation.repeats:
        result = cross_validate(everything, better, worse, settings)
        metrics["cross_validation"] = result.model_dump(mode="json")
    return light, metrics | {"strongest": light.strongest()}


def cross_validate(
    pairs: QualityPairs, better: Reading, worse: Reading, settings: ScorerTrainSettings
) -> CrossValidated:
    """The light scorer on pairs it was not fit on. better, worse: `LightScorer.read_pairs(pairs)`."""
    how = settings.cross_validation
    reports = []
    for division in range(how.repeats):
        a, b = np.full(len(pairs.pairs), np.nan), np.full(len(pairs.pairs), np.nan)
        for train_rows, test_rows in divisions(pairs, how.folds, settings.seed + division):
            fold = LightScorer(settings.light).fit_readings(better.take(train_rows), worse.take(train_rows))
            a[test_rows] = fold.score_reading(better.take(test_rows))
            b[test_rows] = fold.score_reading(worse.take(test_rows))
        reports.append(measure(pairs, a, b))
    first = reports[0]
    return CrossValidated(
        n=first.n,
        divisions=how.repeats,
        folds=how.folds,
        pair_accuracy=_spread([(r.pair_accuracy, r.error) for r in reports]),
        length_matched=_spread([_figure(r.length_matched) for r in reports]),
        distinct=_spread([(r.distinct.pair_accuracy, r.distinct.error) for r in reports]),
        distinct_length_matched=_spread([_figure(r.distinct.length_matched) for r in reports]),
        same_prompt=_spread([_figure(r.same_prompt) for r in reports]),
        longer_wins=first.baselines.longer_wins,
        longer_wins_length_matched=first.baselines.longer_wins_length_matched,
    )


def divisions(pairs: QualityPairs, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(train rows, test rows) of each fold; pairs of one prompt are in one fold.

    Raises: TacosError when there are fewer prompts than folds.
    """
    _, group = np.unique([canonical(p).casefold() for p in pairs.prompts], return_inverse=True)
    n = int(group.max()) + 1
    if n < folds:
        raise TacosError(f"{n} prompts cannot be divided into {folds} folds; set cross_validation.repeats=0")
    fold_of = np.empty(n, dtype=np.int64)
    fold_of[np.random.default_rng(seed).permutation(n)] = np.arange(n) % folds
    for fold in range(folds):
        test = fold_of[group] == fold
        yield np.flatnonzero(~test), np.flatnonzero(test)


def _figure(found: Accuracy) -> tuple[float | None, float | None]:
    return found.pair_accuracy, found.error


def _spread(figures: list[tuple[float | None, float | None]]) -> Spread | None:
    """figures: (accuracy, its sampling error) of each division."""
    known = [(accuracy, error or 0.0) for accuracy, error in figures if accuracy is not None]
    if not known:
        return None
    accuracies, errors = map(np.array, zip(*known, strict=True))
    sd = float(accuracies.std(ddof=1)) if len(known) > 1 else 0.0
    return Spread(mean=float(accuracies.mean()), sd=sd, error=float(errors.mean()))
