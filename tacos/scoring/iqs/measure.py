"""Pair accuracy, always beside "the longer wins" and on pairs where length says little.

The better side scoring higher is 1, lower 0, a tie one half (CaR's rule: 214 of 254 is 84.25%):

    better  worse  points
     2.1     0.3    1
     0.4     0.9    0
     1.0     1.0    0.5    the same texts twice after cleaning, say: `identical`
                           -> pair_accuracy 0.5 over n = 3; `distinct` 0.5 over n = 2

Identical pairs pull every figure towards one half, in the length-matched subset most of all, so `distinct`
gives all figures without them. A pair with a side that got no score is `unscored`, and in no figure.
"""

from __future__ import annotations

import numpy as np

from tacos.scoring.iqs.base import QualityScorer
from tacos.scoring.iqs.pairs import MATCHED, QualityPairs
from tacos.scoring.iqs.text import canonicals
from tacos.types import Record

RESAMPLES = 2000


class Accuracy(Record):
    """Points over `n` pairs. None where there is no pair."""

    n: int
    pair_accuracy: float | None
    ci: tuple[float, float] | None
    """95% bootstrap interval over pairs."""
    longer_wins: float | None
    """What "the longer is better" gets on the same pairs."""


class Baselines(Record):
    """Rules that read nothing."""

    longer_wins: float | None
    longer_wins_length_matched: float | None


class Distinct(Record):
    """Without identical pairs."""

    n: int
    pair_accuracy: float | None
    length_matched: Accuracy


class PairReport(Record):
    """A scorer on a file of pairs."""

    n: int
    pair_accuracy: float | None
    ci: tuple[float, float] | None
    length_matched: Accuracy
    baselines: Baselines
    distinct: Distinct
    same_prompt: Accuracy
    """Pairs whose sides answer the same instruction and input: nothing there can be told by the prompt."""
    ties: int
    """Of the `n`, pairs whose sides score the same."""
    identical: int
    unscored: int
    bad: int = 0
    """Rows of the file that are no pair."""
    tied_labels: int = 0
    seen: int = 0
    """Pairs that the model was trained on: their accuracy says nothing about others."""


def measure(pairs: QualityPairs, better: np.ndarray, worse: np.ndarray, seed: int = 0) -> PairReport:
    """better, worse: (n,) scores of the two sides, NaN where there is none."""
    sides = [canonicals(pairs.better), canonicals(pairs.worse)]
    long_, short = (np.array([len(text) for text in side]) for side in sides)
    gap, longer = better - worse, (long_ - short).astype(np.float64)
    scored = ~np.isnan(gap)
    asked = _equal(canonicals(pairs.prompts), canonicals(pairs.worse_prompts))
    same = asked & _equal(*sides)
    matched = np.abs(longer) <= MATCHED * np.maximum(long_, short)

    def over(keep: np.ndarray) -> Accuracy:
        return _accuracy(gap[keep & scored], longer[keep & scored], seed)

    every, close = over(np.ones(len(gap), dtype=bool)), over(matched)
    apart = over(~same)
    return PairReport(
        n=every.n,
        pair_accuracy=every.pair_accuracy,
        ci=every.ci,
        length_matched=close,
        baselines=Baselines(longer_wins=every.longer_wins, longer_wins_length_matched=close.longer_wins),
        distinct=Distinct(n=apart.n, pair_accuracy=apart.pair_accuracy, length_matched=over(matched & ~same)),
        same_prompt=over(asked),
        ties=int((gap == 0).sum()),
        identical=int(same.sum()),
        unscored=int((~scored).sum()),
        bad=len(pairs.bad),
        tied_labels=pairs.ties,
    )


def measure_scorer(
    scorer: QualityScorer, pairs: QualityPairs, seen: frozenset[str] = frozenset(), seed: int = 0
) -> PairReport:
    """Scores every text once, however often it stands in the pairs. seen: names of the training pairs."""
    better = zip(pairs.prompts, pairs.better, strict=True)
    worse = zip(pairs.worse_prompts, pairs.worse, strict=True)
    wanted = [side for two in zip(better, worse, strict=True) for side in two]
    texts = list(dict.fromkeys(wanted))
    scores = scorer.score([p for p, _ in texts], [r for _, r in texts])
    value = dict(zip(texts, scores.tolist(), strict=True))
    sides = np.array([value[text] for text in wanted]).reshape(-1, 2)
    report = measure(pairs, sides[:, 0], sides[:, 1], seed)
    return report.model_copy(update={"seen": sum(name in seen for name in pairs.names())})


def _equal(a: list[str], b: list[str]) -> np.ndarray:
    return np.array([one == other for one, other in zip(a, b, strict=True)], dtype=bool)


def _accuracy(gap: np.ndarray, longer: np.ndarray, seed: int) -> Accuracy:
    if not len(gap):
        return Accuracy(n=0, pair_accuracy=None, ci=None, longer_wins=None)
    points = _points(gap)
    drawn = np.random.default_rng(seed).integers(len(points), size=(RESAMPLES, len(points)))
    low, high = np.percentile(points[drawn].mean(axis=1), [2.5, 97.5])
    return Accuracy(
        n=len(points),
        pair_accuracy=float(points.mean()),
        ci=(float(low), float(high)),
        longer_wins=float(_points(longer).mean()),
    )


def _points(gap: np.ndarray) -> np.ndarray:
    return (gap > 0) + 0.5 * (gap == 0)
