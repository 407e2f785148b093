"""Worse versions of a response, made from the pool alone: what the quality model learns to rank below.

Each corruption is general: it uses no list of phrases and nothing known about where defects come
from, only other rows of the same pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tacos.text import join_pieces, pieces

MARKS = " \t\n.!?,;:\u3002\uff01\uff1f\uff0c\uff1b\uff1a\u3001\u0964\u061f\u060c\u061b"
"""What a cut leaves no trace of at its end."""


@dataclass
class Donors:
    """Where foreign text comes from: all responses, and per row the rows with the nearest prompts."""

    responses: Sequence[str]
    near: Callable[[int], np.ndarray]
    common: Sequence[str]
    """Sentences that answer many different prompts in the pool; may be empty."""


Corruption = Callable[[str, int, Donors, np.random.Generator], str]


def truncate(text: str, row: int, donors: Donors, rng: np.random.Generator) -> str:
    """Cut at a word between 20% and 80%."""
    parts = pieces(text)
    return join_pieces(parts[: max(1, int(len(parts) * rng.uniform(0.2, 0.8)))]).rstrip(MARKS)


def swap(text: str, row: int, donors: Donors, rng: np.random.Generator) -> str:
    """The response to some other prompt."""
    return donors.responses[int(rng.integers(len(donors.responses)))]


def swap_near(text: str, row: int, donors: Donors, rng: np.random.Generator) -> str:
    """The response to a similar prompt: on the subject, and wrong."""
    near = donors.near(row)
    return donors.responses[int(rng.choice(near))] if len(near) else swap(text, row, donors, rng)


def repeat(text: str, row: int, donors: Donors, rng: np.random.Generator) -> str:
    """A stretch of words said two to four times over."""
    parts = pieces(text)
    start = int(rng.integers(max(1, len(parts) // 2)))
    return join_pieces(parts[:start] + parts[start:] * int(rng.integers(2, 5)))


def pad(text: str, row: int, donors: Donors, rng: np.random.Generator) -> str:
    """Sentences of one or two other responses before or after."""
    extra = [swap(text, row, donors, rng) for _ in range(int(rng.integers(1, 3)))]
    if donors.common and rng.random() < 0.5:
        extra = [str(rng.choice(list(donors.common))) for _ in range(int(rng.integers(1, 4)))]
    return join_pieces([text, *extra] if rng.random() < 0.5 else [*extra, text])


def shuffle(text: str, row: int, donors: Donors, rng: np.random.Generator) -> str:
    """The same words in random order."""
    parts = pieces(text)
    return join_pieces(parts[i] for i in rng.permutation(len(parts))) if parts else text


def common_phrase(text: str, row: int, donors: Donors, rng: np.random.Generator) -> str:
    """A sentence or two that the pool uses everywhere."""
    if not donors.common:
        return swap(text, row, donors, rng)
    return join_pieces(str(s) for s in rng.choice(list(donors.common), size=int(rng.integers(1, 3))))


def keep_words(text: str, row: int, donors: Donors, rng: np.random.Generator) -> str:
    """One to three words of it, as a bare fragment."""
    parts = pieces(text)
    start = int(rng.integers(max(1, len(parts) - 1)))
    return join_pieces(parts[start : start + int(rng.integers(1, 4))]).strip(MARKS)


CORRUPTIONS: dict[str, Corruption] = {
    "truncate": truncate,
    "swap": swap,
    "swap_near": swap_near,
    "repeat": repeat,
    "pad": pad,
    "shuffle": shuffle,
    "common_phrase": common_phrase,
    "keep_words": keep_words,
}
