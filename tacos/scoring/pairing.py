"""Which samples meet in a comparison: (0,1), (2,3), ... in stored order, or a round robin in seeded random order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np

from tacos.selection import Groups
from tacos.types import Record

T = TypeVar("T")


class Pair(Record):
    """One call: rows `first` and `second` of the pool, inside `group`.

    `counts_second` is False where the second is only there as the odd one's opponent.
    """

    group: int
    first: int
    second: int
    round: int = 0
    counts_second: bool = True


class PairScores(Record):
    """What a comparator answers: both scores, or the reason there are none."""

    first: float | None = None
    second: float | None = None
    error: str | None = None


def make_pairs(
    groups: Groups, seed: int = 0, rounds: int = 1, shuffle: bool = False, rematch: bool = True
) -> list[Pair]:
    """Every call to make. A group of one has no neighbour, so its sample is compared with nothing.

    shuffle: seeded random order in place of the stored one. rematch: the last sample of an odd group meets a
        scored one again, or is left out.
    """
    rng = np.random.default_rng(seed)
    pairs: list[Pair] = []
    for number, members in enumerate(groups.members):
        order = (rng.permutation(members) if shuffle else members).tolist()
        pairs += _group_pairs(order, number, rounds, rematch)
    return pairs


def _group_pairs(order: list[int], group: int, rounds: int, rematch: bool) -> Iterator[Pair]:
    """Rounds in which nobody meets the same partner twice; a small group has fewer than were asked for."""
    if len(order) < 2:
        return
    seats: list[int | None] = [*order, *([None] if len(order) % 2 else [])]
    for round_ in range(min(rounds, len(seats) - 1)):
        seated = round_of(seats, round_)
        met = [(a, b) for a, b in seated if a is not None and b is not None]
        for a, b in met:
            yield Pair(group=group, first=a, second=b, round=round_)
        odd = next((a if b is None else b for a, b in seated if None in (a, b)), None)
        if odd is not None and rematch:
            opponent = next(row for pair in met for row in pair if row != odd)
            yield Pair(group=group, first=odd, second=opponent, round=round_, counts_second=False)


def round_of(seats: list[T], number: int) -> list[tuple[T, T]]:
    """One round of a round robin by the circle method: every two meet once in len(seats) - 1 rounds.

    Round 0 pairs neighbours: (0,1), (2,3), ...; later rounds turn all but the first seat, and swap who is
    shown first.

    >>> [round_of([0, 1, 2, 3], r) for r in range(3)]
    [[(0, 1), (2, 3)], [(2, 0), (1, 3)], [(0, 3), (1, 2)]]
    """
    # Seats lie around a table so that neighbours face each other in round 0.
    table = seats[::2] + seats[1::2][::-1]
    turned = [table[0], *_rotate(table[1:], number)]
    faced = [(turned[i], turned[-1 - i]) for i in range(len(turned) // 2)]
    return [(b, a) for a, b in faced] if number % 2 else faced


def _rotate(items: list[T], by: int) -> list[T]:
    return items[by % len(items) :] + items[: by % len(items)]
