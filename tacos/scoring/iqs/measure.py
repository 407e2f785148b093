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


class Accuracy(Record):
    """Points over `n` pairs. None where there is no pair."""

    n: int
    pair_accuracy: float | None
    ci: tuple[float, float] | None
    """95% interval; pairs of one prompt are one item."""
    error: float | None = None
    """The standard error behind it."""
    longer_wins: float | None
    """What "the longer is better" gets on the same pairs."""
    gain: float | None = None
    """The accuracy less that, paired; `gain_ci` is its 95% interval."""
    gain_ci: tuple[float, float] | None = None


class Baselines(Record):
    """Rules that read nothing."""

    longer_wins: float | None
    longer_wins_length_matched: float | None


class Distinct(Record):
    """Without identical pairs."""

    n: int
    pair_accuracy: float | None
    error: float | None = None
    length_matched: Accuracy


class PairReport(Record):
    """A scorer on a file of pairs."""

    n: int
    pair_accuracy: float | None
    ci: tuple[float, float] | None
    error: float | None = None
    gain: float | None
    """Less that of "the longer is better", paired, with its interval."""
    gain_ci: tuple[float, float] | None
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


def measure(pairs: QualityPairs, better: np.ndarray, worse: np.ndarray) -> PairReport:
    """better, worse: (n,) scores of the two sides, NaN where there is none."""
    sides = [canonicals(pairs.better), canonicals(pairs.worse)]
    long_, short = (np.array([len(text) for text in side]) for side in sides)
    gap, longer = better - worse, (long_ - short).astype(np.float64)
    scored = ~np.isnan(gap)
    asked = _equal(canonicals(pairs.prompts), canonicals(pairs.worse_prompts))
    same = asked & _equal(*sides)
    matched = np.abs(longer) <= MATCHED * np.maximum(long_, short)

    prompts = np.unique(canonicals(pairs.prompts), return_inverse=True)[1]

    def over(keep: np.ndarray) -> Accuracy:
        kept = keep & scored
        return _accuracy(gap[kept], longer[kept], prompts[kept])

    every, close = over(np.ones(len(gap), dtype=bool)), over(matched)
    apart = over(~same)
    return PairReport(
        n=every.n,
        pair_accuracy=every.pair_accuracy,
        ci=every.ci,
        error=every.error,
        gain=every.gain,
        gain_ci=every.gain_ci,
        length_matched=close,
        baselines=Baselines(longer_wins=every.longer_wins, longer_wins_length_matched=close.longer_wins),
        distinct=Distinct(
            n=apart.n,
            pair_accuracy=apart.pair_accuracy,
            error=apart.error,
            length_matched=over(matched & ~same),
        ),
        same_prompt=over(asked),
        ties=int((gap == 0).sum()),
        identical=int(same.sum()),
        unscored=int((~scored).sum()),
        bad=len(pairs.bad),
        tied_labels=pairs.ties,
    )


def measure_scorer(
    scorer: QualityScorer, pairs: QualityPairs, seen: frozenset[str] = frozenset()
) -> PairReport:
    """Scores every text once, however often it stands in the pairs. seen: names of the training pairs."""
    better = zip(pairs.prompts, pairs.better, strict=True)
    worse = zip(pairs.worse_prompts, pairs.worse, strict=True)
    wanted = [side for two in zip(better, worse, strict=True) for side in two]
    texts = list(dict.fromkeys(wanted))
    scores = scorer.score([p for p, _ in texts], [r for _, r in texts])
    value = dict(zip(texts, scores.tolist(), strict=True))
    sides = np.array([value[text] for text in wanted]).reshape(-1, 2)
    report = measure(pairs, sides[:, 0], sides[:, 1])
    return report.model_copy(update={"seen": sum(name in seen for name in pairs.names())})


def _equal(a: list[str], b: list[str]) -> np.ndarray:
    return np.array([one == other for one, other in zip(a, b, strict=True)], dtype=bool)


def _accuracy(gap: np.ndarray, longer: np.ndarray, prompts: np.ndarray) -> Accuracy:
    """prompts: (n,) the number of each pair's prompt."""
    if not len(gap):
        return Accuracy(n=0, pair_accuracy=None, ci=None, longer_wins=None)
    points, others = _points(gap), _points(longer)
    mean, ahead = float(points.mean()), float((points - others).mean())
    error, half = _error(points - mean, prompts)
    apart = _error(points - others - ahead, prompts)[1]
    return Accuracy(
        n=len(points),
        pair_accuracy=mean,
        ci=(max(0.0, mean - half), min(1.0, mean + half)),
        error=error,
        longer_wins=float(others.mean()),
        gain=ahead,
        gain_ci=(max(-1.0, ahead - apart), min(1.0, ahead + apart)),
    )


def _error(residuals: np.ndarray, prompts: np.ndarray) -> tuple[float, float]:
    """The standard error of a mean and the half width of its 95% interval: a cluster-robust variance and Student's t
    with a degree of freedom per prompt less one (Cameron & Miller 2015)."""
    sums = np.bincount(np.unique(prompts, return_inverse=True)[1], weights=residuals)
    k = len(sums)
    if k < 2:
        return 0.0, 1.0
    error = float(np.sqrt(k / (k - 1) * (sums**2).sum())) / len(residuals)
    from scipy.stats import t as student

    return error, float(student.ppf(0.975, k - 1)) * error


def _points(gap: np.ndarray) -> np.ndarray:
    return (gap > 0) + 0.5 * (gap == 0)
