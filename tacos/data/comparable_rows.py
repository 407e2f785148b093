"""Conversations of a pool as texts, some rows at a time, in the form in which they are compared."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tacos.data.formats import ONE_ROUND
from tacos.text import comparable
from tacos.types import Pool

ROWS = 2048
"""Rows that are read at a time."""


class ComparableTurn(NamedTuple):
    """One turn, its text as `tacos.text.comparable` makes it."""

    role: str
    content: str
    weight: int


@dataclass(frozen=True)
class ComparableRows:
    """Some rows; all lists are aligned.

    rows: (n,) positions in the pool.
    names: equal for equal conversations, and for them alone.
    prompts, responses: all turns of the user, and of the assistant, joined by a blank line.
    frames: what has to be equal besides: the system prompt, and which turns are left out of the loss.
    """

    rows: np.ndarray
    names: list[Hashable]
    prompts: list[str]
    responses: list[str]
    frames: list[Hashable]


def comparable_rows(pool: Pool, rows: np.ndarray | None = None) -> Iterator[ComparableRows]:
    """Some rows at a time. rows: ascending; None is all of them."""
    return (_comparable(some, messages) for some, messages in messages_of(pool, rows))


def messages_of(pool: Pool, rows: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, Any]]:
    """Rows and their messages, an Arrow list array, some at a time. rows: ascending; None is all of them."""
    rows = np.arange(len(pool)) if rows is None else rows
    for at in range(0, len(rows), ROWS):
        some = rows[at : at + ROWS]
        part = pool.table.column("messages").slice(some[0], some[-1] + 1 - some[0])
        if len(part) > len(some):
            part = part.take(pa.array(some - some[0]))
        yield some, pa.concat_arrays(part.chunks)


def _comparable(rows: np.ndarray, messages: Any) -> ComparableRows:
    turns = messages.flatten()
    roles, weights = turns.field("role").to_pylist(), turns.field("weight").to_pylist()
    texts = list(map(comparable, turns.field("content").to_pylist()))
    if list(zip(roles, weights, strict=True)) == ONE_ROUND * len(rows):
        prompts, responses = texts[::2], texts[1::2]
        return ComparableRows(
            rows, list(zip(prompts, responses, strict=True)), prompts, responses, [()] * len(rows)
        )
    every = list(map(ComparableTurn, roles, texts, weights))
    ends = np.cumsum(messages.value_lengths().to_numpy()).tolist()
    cut = [every[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    prompts, responses = ([_side(turns, role) for turns in cut] for role in ("user", "assistant"))
    return ComparableRows(rows, list(map(_name, cut)), prompts, responses, list(map(_frame, cut)))


def _side(turns: list[ComparableTurn], role: str) -> str:
    return "\n\n".join(turn.content for turn in turns if turn.role == role)


def _name(turns: list[ComparableTurn]) -> Hashable:
    """The two texts of one round, which is what most are; else all there is."""
    if [(turn.role, turn.weight) for turn in turns] == ONE_ROUND:
        return turns[0].content, turns[1].content
    return tuple(turns)


def _frame(turns: list[ComparableTurn]) -> Hashable:
    return tuple(
        (i, *turn) if turn.role == "system" else (i,)
        for i, turn in enumerate(turns)
        if turn.role == "system" or not turn.weight
    )
