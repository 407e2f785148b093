"""Designs: which samples meet in a comparing call, at a number of calls that is known before the first one.

TACOS (arXiv 2507.03673) pairs neighbours of a cluster once, in stored order: half a call per sample. At the same number
of calls there is more to be had, and for more calls more than asking twice about the same pair:

    order: random     random partners, and a random one of them shown first
    rounds: 2         everybody is scored twice, with another partner each time; 1.5: every second one is
    size: 4           lists of four samples, each scored in one call: half as many calls for as many scores
    bridges: 0.1      a tenth of the calls are across groups, so that scores of different groups compare
    late: 0.5         half a round more, planned after the others: spent on the rows nearest the cut-off

    a group of 8, `rounds: 1.5`, pairs:   round 0   (5,0) (2,7) (1,4) (6,3)      round 1   (7,5) (4,2)
    10,000 rows, `rounds: 1`, `late: 0.5`, pairs:   5,000 calls, then 2,500

Who meets whom is drawn by the seed, and written with every score into `comparisons.parquet`. A plan is made again from
the seed, and the late one from the answers before it, so that a run that was killed asks nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tacos.scoring.calls import ACROSS, LATE, Calls
from tacos.selection import Groups, Scores
from tacos.types import Record


class Design(Record):
    """Which samples meet, and how often."""

    order: Literal["random", "stored"] = "random"
    """Partners drawn by the seed, or neighbours in stored order: (0,1), (2,3), ... as in the released code."""
    rounds: float = Field(1, ge=1)
    """Times each sample is scored in a group; 1.5 scores half of the members a second time. Pairs have another partner
    each time, in a group of n up to n / 2 times. Above 1 implies random order."""
    size: int = Field(2, ge=2, le=5)
    """Samples in a call."""
    odd: Literal["rematch", "drop"] = "rematch"
    """Who is left over when a group does not divide by `size` meets scored ones again, or stays without a score."""
    bridges: float = Field(0.1, ge=0, le=0.5)
    """Share of the calls whose samples meet members of other groups instead, where there are several."""
    late: float = Field(0, ge=0, le=1)
    """A part of a round more, for those nearest the cut-off once the other scores are known."""
    cut: Literal["group", "pool"] = "group"
    """Where that is: an equal number of places in every group, or the top of all."""

    @property
    def shuffled(self) -> bool:
        return self.order == "random" or self.rounds > 1

    def identity(self) -> dict[str, Any]:
        """What of it changes a plan."""
        return self.model_dump(exclude=set() if self.late else {"cut"})

    def plan(self, groups: Groups, seed: int) -> Calls:
        """Every call but the late ones."""
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(m) if self.shuffled else m for m in groups.members]
        parts: list[Calls] = []
        for round_ in range(int(np.ceil(self.rounds))):
            share = min(1.0, self.rounds - round_)
            parts += self._round(orders, round_, share, rng)
        return _named(Calls.join(parts), groups).by_group()

    def _round(
        self, orders: list[np.ndarray], round_: int, share: float, rng: np.random.Generator
    ) -> list[Calls]:
        """share: of the members of each group."""
        inside = [self._inside(order, number, round_, share, rng) for number, order in enumerate(orders)]
        if not self.bridges or len(orders) < 2:
            return inside
        wanted = np.array([int(self.bridges * len(calls) + rng.random()) for calls in inside])
        counts = _fair(wanted, self.size)
        split = [_broken_up(calls, n, rng) for calls, n in zip(inside, counts.tolist(), strict=True)]
        return [*(kept for kept, _ in split), _across([out for _, out in split], self.size, round_, rng)]

    def _inside(
        self, order: np.ndarray, group: int, round_: int, share: float, rng: np.random.Generator
    ) -> Calls:
        """The calls of one group in one round."""
        if len(order) < 2:
            return Calls.of([])
        if self.size == 2:
            seated, guests = _pairs(order, round_, self.odd == "rematch")
        else:
            turned = rng.permutation(order) if self.shuffled else order
            seated, guests = _lists(turned, self.size, self.odd == "rematch")
        kept = int(share * len(seated) + rng.random()) if share < 1 else len(seated)
        calls = Calls.of(seated[:kept], group, round_, [g for g in guests if g[0] < kept])
        return calls if self.size == 2 or not self.shuffled else _mixed_up(calls, rng)

    def late_plan(self, groups: Groups, scores: Scores, budget: int, seed: int) -> Calls:
        """The late calls: rows nearest the cut-off of their group, or of the pool, meet others of their group.

        scores: read from the calls before. budget: rows that will be selected. A group that is taken whole has none.
        """
        rng, parts = np.random.default_rng([seed, 1]), []
        for number, near in self._near(groups, scores, budget):
            if len(near) > 1:
                seated, guests = _lists(rng.permutation(near), self.size, True)
                parts.append(_mixed_up(Calls.of(seated, number, LATE, guests), rng))
        return Calls.join(parts)

    def _near(self, groups: Groups, scores: Scores, budget: int) -> Iterator[tuple[int, np.ndarray]]:
        """Group -> the rows that are asked of once more, ascending."""
        scored = [m[~np.isnan(scores.values[m])] for m in groups.members]
        asked = round(self.late * sum(map(len, groups.members)))
        if self.cut == "pool":
            every = np.unique(np.concatenate(scored)) if scored else np.empty(0, dtype=np.int64)
            near = _nearest(every, scores.values, budget, round(self.late * len(every)))
            yield from ((number, np.intersect1d(rows, near)) for number, rows in enumerate(scored))
            return
        sizes = np.array([len(rows) for rows in scored])
        places = _places(sizes, budget)
        still = sizes > places
        share = asked / max(1, int(sizes[still].sum()))
        for number in np.flatnonzero(still).tolist():
            rows = scored[number]
            yield (
                number,
                _nearest(rows, scores.values, int(places[number]), min(len(rows), round(share * len(rows)))),
            )

    def expected(self, groups: Groups, seed: int) -> Calls:
        """As many calls as will be made; random ones stand for the late ones, which nobody knows yet."""
        some = Scores(np.random.default_rng(seed).random(1 + int(groups.covered.max(initial=0))))
        late = self.late_plan(groups, some, len(groups.covered) // 2, seed) if self.late else Calls.of([])
        return Calls.join([self.plan(groups, seed), late])


def _places(sizes: np.ndarray, budget: int) -> np.ndarray:
    """Places of each group: equal ones, what small groups leave over going to the others."""
    places = np.zeros(len(sizes), dtype=np.int64)
    while (left := min(budget, int(sizes.sum())) - int(places.sum())) > 0:
        still = np.flatnonzero(places < sizes)
        share = max(1, left // len(still))
        still = still[: left // share] if share == 1 else still
        places[still] = np.minimum(sizes[still], places[still] + share)
    return places


def _nearest(rows: np.ndarray, values: np.ndarray, places: int, n: int) -> np.ndarray:
    """The `n` of `rows` whose scores are nearest that of the last place, ascending; equal ones in stored order."""
    if not len(rows) or not n:
        return rows[:0]
    cut = np.quantile(values[rows], max(0.0, 1 - places / len(rows)))
    gap = np.round(np.abs(values[rows] - cut), 6)  # threads move the last digits
    return np.sort(rows[np.argsort(gap, kind="stable")[:n]])


def _fair(calls: np.ndarray, size: int) -> np.ndarray:
    """How many calls of each group are broken up, so that those who are dealt out can all meet members of others.

    calls: (n_groups,) as many as are wanted. With g groups at most ceil(size / g) of one group stand in a call.
    """
    calls = calls.copy()
    while True:
        most = -(-size // max(1, int((calls > 0).sum())))
        fair = np.minimum(calls, most * (calls.sum() - calls) // max(1, size - most))
        if (fair == calls).all():
            return calls
        calls = fair


def _broken_up(calls: Calls, n: int, rng: np.random.Generator) -> tuple[Calls, np.ndarray]:
    """The calls of a group without `n` of them, drawn, and whom these showed; calls with guests stay."""
    whole = np.flatnonzero(~calls.guest.any(axis=1))
    broken = rng.choice(whole, size=min(len(whole), n), replace=False)
    out = calls.rows[broken]
    return calls.at(np.delete(np.arange(len(calls)), broken)), out[calls.present[broken]]


def _across(out: list[np.ndarray], size: int, round_: int, rng: np.random.Generator) -> Calls:
    """Members of different groups meet: those of one group lie together and are dealt out a stretch apart."""
    dealt = np.concatenate([rng.permutation(rows) for rows in out]) if out else np.empty(0, dtype=np.int64)
    n = -(-len(dealt) // size)
    calls = [dealt[place::n].tolist() for place in range(n)]
    _part_doubles(calls)
    return _mixed_up(Calls.of([call for call in calls if len(call) > 1], ACROSS, round_), rng)


def _part_doubles(calls: list[list[int]]) -> None:
    """A row of several groups may be dealt twice into a call: one of them changes places with somebody of another."""
    for number, call in enumerate(calls):
        for place in range(len(call)):
            if call[place] in call[:place]:
                own = call[place]
                for other in (*calls[number + 1 :], *calls[:number]):
                    if place < len(other) and own not in other and other[place] not in call:
                        call[place], other[place] = other[place], own
                        break
        call[:] = list(dict.fromkeys(call))


def _named(calls: Calls, groups: Groups) -> Calls:
    """With calls across groups named by a group that all their samples stand in after all, where groups overlap."""
    if sum(map(len, groups.members)) == len(groups.covered):
        return calls  # nobody stands in two groups
    group = calls.group.copy()
    for number in np.flatnonzero(group == ACROSS).tolist():
        shared = set.intersection(*(set(groups.homes[row]) for row in calls.shown(number)))
        if shared:
            group[number] = min(shared)
    return Calls(calls.rows, group, calls.round, calls.guest)


def _pairs(order: np.ndarray, round_: int, rematch: bool) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """One round in which nobody meets a partner of an earlier one, and where the guest sits; [] when all have met.

    One half sits still while the other moves on by a seat, and the halves take turns at being shown first, so that
    after two rounds everybody was first once.
    """
    seats: list[int | None] = [*order.tolist(), *([None] if len(order) % 2 else [])]
    one, other = seats[::2], seats[1::2]
    if round_ >= len(one):
        return [], []
    moved = other[round_:] + other[:round_]
    seated = list(zip(moved, one, strict=True) if round_ % 2 else zip(one, moved, strict=True))
    met = [[a, b] for a, b in seated if a is not None and b is not None]
    if None not in moved or not rematch:
        return met, []
    odd = moved.index(None)
    # With a guest of its own half, whom it never meets otherwise.
    with_guest = [row for row in (one[odd], one[(odd + 1) % len(one)]) if row is not None]
    return [*met, with_guest], [(len(met), 1)]


def _lists(order: np.ndarray, size: int, rematch: bool) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Lists of `size`, the last one filled up with guests from the front, and where those sit."""
    rows: list[int] = order.tolist()
    lists = [rows[at : at + size] for at in range(0, len(rows), size)]
    if len(lists) == 1 or len(lists[-1]) == size:
        return lists, []
    if not rematch:
        return (lists if len(lists[-1]) > 1 else lists[:-1]), []
    last, had = lists[-1], len(lists[-1])
    last += rows[: size - had]
    return lists, [(len(lists) - 1, place) for place in range(had, size)]


def _mixed_up(calls: Calls, rng: np.random.Generator) -> Calls:
    """Who is shown first is drawn, call by call; empty places stay last."""
    keys = rng.random(calls.rows.shape) + ~calls.present
    order = np.argsort(keys, axis=1)
    return Calls(
        np.take_along_axis(calls.rows, order, axis=1),
        calls.group,
        calls.round,
        np.take_along_axis(calls.guest, order, axis=1),
    )
