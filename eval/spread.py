"""How far a mean may be off: its variance in closed form, the interval and the p-value that follow (`eval.stats`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eval.interval import Interval

LEVEL = 95.0
ALPHA = 1 - LEVEL / 100
Z = 1.959963984540054
"""The normal's 97.5% point."""
Z_POWER = 0.8416212335729143
"""Its 80% point: the power of `detectable`."""
EXACT = 15
"""Items that differ up to which signs are flipped exactly."""
LEAST = 6
"""Items that differ below which no difference can be claimed, whatever they say."""
SAME = 1e-9
"""Values closer than this are one, for rounding's sake."""
Clusters = Sequence[str] | None
"""What each item is drawn with, such as its subtask; None is itself, and so is a single cluster."""
Scale = tuple[float | None, float | None]
"""The ends of what a value can be."""
OPEN: Scale = (None, None)


class MeanSpread(NamedTuple):
    """A mean with its variance. items: independent ones, clusters where there are some."""

    mean: float
    variance: float
    df: float
    n: int
    items: int


def spread_over(cells: np.ndarray, clusters: Clusters) -> MeanSpread:
    seeds, n = cells.shape
    mean = float(cells.mean())
    sums = sums_of(cells.mean(axis=0) - mean, groups_of(clusters, n)) / n
    parts = [(_squares(sums), len(sums) - 1)]
    if seeds > 1:
        parts.append((float(cells.mean(axis=1).var(ddof=1)) / seeds, seeds - 1))
    variance, df = satterthwaite(parts)
    return MeanSpread(mean, variance, df, n, len(sums))


def satterthwaite(parts: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """The variance that independent estimates add up to, and its degrees of freedom. parts: estimate and its df."""
    variance = sum(part for part, _ in parts)
    below = sum(part * part / df for part, df in parts if df)
    return variance, variance * variance / below if below else 0.0


def spread_of(influence: np.ndarray, mean: float) -> MeanSpread:
    """influence: what each item adds to the error of the mean."""
    n = len(influence)
    return MeanSpread(mean, _squares(influence), n - 1, n, n)


def _squares(parts: np.ndarray) -> float:
    """The variance of a sum of independent parts."""
    n = len(parts)
    return float((parts * parts).sum()) * n / (n - 1) if n > 1 else 0.0


def interval_of(spread: MeanSpread, scale: Scale) -> Interval:
    mean, low, high = spread.mean, scale[0], scale[1]
    if spread.variance <= SAME * SAME:
        rest = 1 - (ALPHA / 2) ** (1 / spread.items) if spread.items > 1 else 0.0
        ends = (
            mean - rest * (mean - low) if low is not None else mean,
            mean + rest * (high - mean) if high is not None else mean,
        )
    else:
        half = t_point(1 - ALPHA / 2, spread.df) * spread.variance**0.5
        ends = (
            max(mean - half, low if low is not None else -np.inf),
            min(mean + half, high if high is not None else np.inf),
        )
    return Interval(mean=mean, low=float(min(ends[0], mean)), high=float(max(ends[1], mean)), n=spread.n)


def p_value_of(spread: MeanSpread, null: float) -> float:
    gap = abs(spread.mean - null)
    if gap <= SAME:
        return 1.0
    if spread.variance <= SAME * SAME:
        return 0.0 if spread.items >= LEAST else 1.0
    from scipy.special import stdtr

    return float(2 * stdtr(spread.df, -gap / spread.variance**0.5))


def t_point(share: float, df: float) -> float:
    """Below which `share` of Student's distribution lies; scipy is imported here, so that what prints stored scores
    does not wait for it."""
    from scipy.special import stdtrit

    return float(stdtrit(df, share))


def groups_of(clusters: Clusters, n: int) -> np.ndarray | None:
    """The cluster of each item by number; None where each is its own."""
    if clusters is None or len(set(clusters)) < 2 or len(set(clusters)) == n:
        return None
    return np.unique(list(clusters), return_inverse=True)[1]


def sums_of(values: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    return values if groups is None else np.bincount(groups, weights=values)


def sign_flip(values: np.ndarray) -> float:
    """The two-sided p-value of a mean of 0 over all ways to flip signs (Fisher 1935). values: at most `EXACT`, none 0.

    >>> sign_flip(np.ones(6))
    0.03125
    """
    if not len(values):
        return 1.0
    signs = 1 - 2 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
    return float((np.abs(signs @ values) >= abs(values.sum()) - SAME).mean())


def wilson(successes: float, n: float) -> Interval:
    """A share with its score interval. n: whole, or that of independent values that would vary as much.

    >>> wilson(20, 20).low.__round__(3)
    0.839
    """
    share = successes / n
    centre, half = share + Z * Z / (2 * n), Z * np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    low, high = max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
    return Interval(mean=share, low=min(low, share), high=max(high, share), n=round(n))


def detectable(interval: Interval) -> float | None:
    """The smallest difference that 80% of repeats of this size would find: its interval's half width times
    (z(.975) + z(.8)) / z(.975), 1.43. None where nothing varied."""
    half = (interval.high - interval.low) / 2
    return half * (Z + Z_POWER) / Z if half > SAME and interval.n > 1 else None
