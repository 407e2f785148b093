"""Greedy choice when gains never rise: the row of the largest gain, found without computing every gain again.

What a row adds shrinks (or stays) as others are taken, so a gain that was computed earlier is an upper bound. Only
rows whose bound is at the top are computed again, in blocks, until the best computed one is no lower than any bound
(Minoux's lazy greedy). Picks are those of the plain loop over all rows; of equal gains the first row is taken.

    bounds 9 8 7    row 0 again: 5    row 1 again: 8    8 >= 7, so row 1 is taken and row 2 was not looked at
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tacos.progress import track

SMALLEST, LARGEST = 16, 4096
"""Rows whose gains are computed again at a time: more after each block in which the best was not found."""
WIDTH = 8192
"""Rows of the largest bounds that a step looks at; all of a million would cost more than their gains do."""

Gains = Callable[[np.ndarray, int], np.ndarray]
"""(rows, since) -> gains of rows, (len(rows),). Each of them was last computed when `since` or more were taken."""


def lazy_greedy(
    bounds: np.ndarray,
    gains: Gains,
    take: Callable[[int], None],
    budget: int,
    enough: Callable[[float], bool] = lambda gain: True,
    rising: bool = False,
) -> list[int]:
    """At most `budget` rows in the order they were taken.

    bounds: (n,) float64, the gain of every row when nothing is taken, or more than it; changed in place. `take` may
        raise that of the row it takes, when the same can be taken again.
    enough: whether a gain is worth taking; the choice ends at the first that is not.
    rising: `take` may raise any bound.
    """
    front = Front(bounds)
    seen = np.full(len(bounds), -1)
    taken: list[int] = []
    for _ in track(range(budget), "greedy"):
        size = SMALLEST
        while seen[best := front.best()] < len(taken):
            rows = front.highest(seen[front.rows] < len(taken), size, best)
            bounds[rows] = gains(rows, max(0, int(seen[rows].min())))
            seen[rows] = len(taken)
            size = min(2 * size, LARGEST)
        if not enough(float(bounds[best])):
            break
        taken.append(best)
        bounds[best] = -np.inf
        take(best)
        if rising:
            front.renew()
    return taken


class Front:
    """The rows that have the largest bounds, so that a step need not look at all: outside it each is below `cut`."""

    def __init__(self, bounds: np.ndarray):
        self.bounds = bounds
        self.rows = np.arange(len(bounds))
        self.cut = -np.inf
        self.renew()

    def renew(self) -> None:
        """Gathers the rows again, in stored order; as many as share the lowest of their bounds."""
        if len(self.bounds) > WIDTH:
            self.cut = np.partition(self.bounds, -WIDTH)[-WIDTH]
            self.rows = np.flatnonzero(self.bounds >= self.cut)

    def best(self) -> int:
        """The first row of those with the largest bound."""
        row = int(self.rows[self.bounds[self.rows].argmax()])
        if self.bounds[row] >= self.cut:
            return row
        self.renew()
        return int(self.rows[self.bounds[self.rows].argmax()])

    def highest(self, open_: np.ndarray, size: int, best: int) -> np.ndarray:
        """`best` and at most `size` of the rows that are open, those with the largest bounds; ascending."""
        stale = np.where(open_, self.bounds[self.rows], -np.inf)
        top = np.argpartition(stale, -size)[-size:] if size < len(stale) else np.arange(len(stale))
        return np.union1d(self.rows[top[stale[top] > -np.inf]], best)
