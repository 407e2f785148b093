"""Comparative scoring inside groups (TACOS, arXiv 2507.03673, section on comparative scoring, figure 3).

Samples of a group are paired and one call scores both, so that each is read against a neighbour on
the same subject. Pairs are (0,1), (2,3), ... in stored order as in the released code, or in seeded
random order; each further round draws new partners. The released code drops an odd last sample;
here it meets one that was already scored, and only its own new score counts (`odd="drop"` for parity).

A score that cannot be read is missing. The released code wrote 0, which put every unread sample
below every bad one.

A sample in several groups is scored in each; its group score decides inside the group, the mean of
its scores decides across groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, TypeVar

import numpy as np
from pydantic import Field

from tacos.llm.base import LLM, Request, Sampling
from tacos.llm.parse import parse_pair_scores
from tacos.llm.reading import ask
from tacos.prompts import SCHEMAS, fill
from tacos.types import Groups, Message, Pool, Record, Sample, Scores

T = TypeVar("T")
LOW, HIGH = 1, 100
"""The paper's scale (figure 3); the released prompt file starts at 0."""


class ComparativeSettings(Record):
    """Who compares, and which pairs."""

    by: Literal["learned", "llm"] = "learned"
    llm: str = "scorer"
    """Which of the configured `llms` compares."""
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=512)
    reask: int = Field(1, ge=0, le=5)
    """Times an unreadable reply is asked for again, each a call that is paid."""
    pairing: Literal["stored", "random"] = "stored"
    rounds: int = Field(1, ge=1)
    """Times each sample is scored in a group, each time with another partner, as far as there are any;
    above 1 implies random order."""
    low: Literal[0, 1] = 1
    """Lowest score: 1 as in the paper's figure 3, or 0 as in the released prompt file."""
    odd: Literal["rematch", "drop"] = "rematch"
    """The last sample of an odd group meets a scored one again, or stays without a score."""


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
    """What a comparator answers: both scores in [1, 100], or the reason there are none."""

    first: float | None = None
    second: float | None = None
    error: str | None = None


class Comparator(Protocol):
    """Pairs of rows in, scores out, in order."""

    def compare(self, pool: Pool, pairs: Sequence[Pair]) -> list[PairScores]: ...


def make_pairs(groups: Groups, settings: ComparativeSettings, seed: int) -> list[Pair]:
    """Every call to make. A group of one has no neighbour, so its sample is compared with nothing."""
    rng = np.random.default_rng(seed)
    pairs: list[Pair] = []
    for number, members in enumerate(groups.members):
        shuffle = settings.pairing == "random" or settings.rounds > 1
        order = (rng.permutation(members) if shuffle else members).tolist()
        pairs += _group_pairs(order, number, settings)
    return pairs


def _group_pairs(order: list[int], group: int, settings: ComparativeSettings) -> Iterator[Pair]:
    """Rounds in which nobody meets the same partner twice; a small group has fewer than were asked for."""
    if len(order) < 2:
        return
    seats: list[int | None] = [*order, *([None] if len(order) % 2 else [])]
    for round_ in range(min(settings.rounds, len(seats) - 1)):
        seated = round_of(seats, round_)
        met = [(a, b) for a, b in seated if a is not None and b is not None]
        for a, b in met:
            yield Pair(group=group, first=a, second=b, round=round_)
        odd = next((a if b is None else b for a, b in seated if None in (a, b)), None)
        if odd is not None and settings.odd == "rematch":
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


def comparative_scores(
    pool: Pool, groups: Groups, comparator: Comparator, settings: ComparativeSettings, seed: int
) -> Scores:
    """Scores of every sample in every group it stands in; see `read_out`."""
    pairs = make_pairs(groups, settings, seed)
    return read_out(len(pool), groups, pairs, comparator.compare(pool, pairs))


def read_out(n: int, groups: Groups, pairs: Sequence[Pair], answers: Sequence[PairScores]) -> Scores:
    """Mean score per sample and group over rounds (`within`), and over all its calls (`values`)."""
    given: dict[tuple[int, int], list[float]] = {}
    errors: dict[int, str] = {}
    for pair, answer in zip(pairs, answers, strict=True):
        sides = [(pair.first, answer.first)]
        if pair.counts_second:
            sides.append((pair.second, answer.second))
        for row, value in sides:
            if value is None:
                errors[row] = answer.error or "no score"
            else:
                given.setdefault((pair.group, row), []).append(value)
    within = tuple(
        np.array([np.mean(given[g, int(row)]) if (g, int(row)) in given else np.nan for row in members])
        for g, members in enumerate(groups.members)
    )
    values = _mean_by_row(n, given)
    missing = {row: why for row, why in errors.items() if np.isnan(values[row])}
    for row in np.flatnonzero(np.isnan(values)).tolist():
        missing.setdefault(row, "not compared: alone in its group, or in none")
    return Scores(values, missing, within)


def _mean_by_row(n: int, given: dict[tuple[int, int], list[float]]) -> np.ndarray:
    total, count = np.zeros(n), np.zeros(n)
    for (_, row), values in given.items():
        total[row] += sum(values)
        count[row] += len(values)
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0)


def compare_request(first: Sample, second: Sample, settings: ComparativeSettings) -> Request:
    prompt = fill(
        "compare",
        low=str(settings.low),
        prompt_1=first.prompt,
        response_1=first.response,
        prompt_2=second.prompt,
        response_2=second.response,
    )
    message = Message(role="user", content=prompt)
    return Request(messages=(message,), sampling=settings.sampling, json_schema=SCHEMAS["compare"])


class LLMComparator:
    """One chat call per pair; pairs of a group go out next to each other, as they come in."""

    def __init__(self, settings: ComparativeSettings, llm: LLM):
        self.settings = settings
        self.llm = llm

    def compare(self, pool: Pool, pairs: Sequence[Pair]) -> list[PairScores]:
        def request(row: int) -> Request:
            return compare_request(pool[pairs[row].first], pool[pairs[row].second], self.settings)

        return [
            PairScores(error=read.error) if read.value is None else read.value
            for read in ask(self.llm, len(pairs), request, self._scores, self.settings.reask)
        ]

    def _scores(self, reply: str) -> PairScores:
        """Raises: ParseError."""
        first, second = parse_pair_scores(reply, self.settings.low, HIGH)
        return PairScores(first=first, second=second)
