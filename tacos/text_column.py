"""Texts of a million rows as one Arrow column: a `str` is made when somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROWS = 4096
"""Texts that are made at once."""


class TextColumn(Sequence[str]):
    """A sequence of texts over a string column; equal to any sequence of the same texts."""

    def __init__(self, array: pa.ChunkedArray):
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self.array.slice(start, max(stop - start, 0)).to_pylist()
            return self.array.take(pa.array(range(start, stop, step), pa.int64())).to_pylist()
        return self.array[range(len(self))[index]].as_py()

    def __iter__(self) -> Iterator[str]:
        for chunk in self.array.chunks:
            for at in range(0, len(chunk), ROWS):
                yield from chunk.slice(at, ROWS).to_pylist()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TextColumn({self[:3]!r}, {len(self):,} texts)"

    def __arrow_array__(self, type: Any = None) -> Any:
        return self.array if type is None else self.array.cast(type)


def turns_of(role: str, table: pa.Table) -> TextColumn:
    """Of each conversation in the column `messages` the turns of `role`, joined by a blank line."""
    return _column(_joined(batch.column("messages"), role) for batch in table.to_batches())


def without_input(prompts: TextColumn, inputs: pa.ChunkedArray) -> TextColumn:
    """Each prompt without the separate context at its end, and without white space before that."""
    texts = zip(prompts, TextColumn(inputs), strict=True)
    made = (prompt.removesuffix(own).rstrip() if own else prompt for prompt, own in texts)
    return _column(pa.array(some, pa.string()) for some in _batches(made))


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    for text in texts:
        some.append(text)
        if len(some) == ROWS:
            yield some
            some = []
    yield some


def _column(arrays: Iterable[Any]) -> TextColumn:
    return TextColumn(pa.chunked_array(list(arrays), pa.string()))


def _joined(messages: Any, role: str) -> Any:
    """messages: a list array of turns."""
    turns = messages.flatten()
    own = pc.equal(turns.field("role"), role)
    texts = turns.field("content").filter(own)
    before = np.concatenate([[0], np.cumsum(own.to_numpy(zero_copy_only=False))])
    ends = np.cumsum(messages.value_lengths().to_numpy())
    offsets = before[np.concatenate([[0], ends])].astype(np.int32)
    if np.array_equal(offsets, np.arange(len(offsets))):  # one each, which is usual
        return texts
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), texts), "\n\n")
