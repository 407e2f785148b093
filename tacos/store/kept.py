"""One value per row of a long stage, kept as they come: a stage that was killed goes on from the rows it has.

    {"row": 17, "value": [2.31, 2.48]}
    {"row": 18, "error": "the response is empty"}
    {"row": 19, "value": []}

Vectors go into `vectors.npy` beside it, and an empty value says that the row's vector is there.

The file lies in the stage's partial folder, which is named by all that changes an answer, so what stands there still
holds. It is the stage's table when all rows are there. A torn last line is written anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from tacos.store.files import write_text

CHUNK = 8192
"""Rows that are laid out and sorted by length together; more would only take memory."""


class Kept(NamedTuple):
    """What was found of a row: numbers, or why there are none."""

    values: tuple[float, ...] = ()
    error: str | None = None


Work = Callable[[Sequence[int], str], Iterator[tuple[int, Kept]]]
"""Some rows, and which they are in words -> (row, what was found) in any order."""


def kept_rows(path: Path, n: int, work: Work) -> list[Kept]:
    """What was found of each of n rows: read from the file, and worked out where it is not there."""
    found = read_kept(path)
    owed = [row for row in range(n) if row not in found]
    write_text(path, "".join(_line(row, kept) for row, kept in found.items()))  # without the torn line
    with path.open("a", encoding="utf-8") as file:
        for start in range(0, len(owed), CHUNK):
            rows = owed[start : start + CHUNK]
            which = f"rows {rows[0] + 1:,} to {rows[-1] + 1:,} of {n:,}"
            for row, kept in work(rows, which):
                file.write(_line(row, kept))
                file.flush()
                found[row] = kept
    return [found[row] for row in range(n)]


Vectors = Callable[[Sequence[int], str], Iterator[tuple[int, "np.ndarray | str"]]]
"""Some rows, and which they are in words -> (row, its vector or why there is none) in any order."""


def kept_vectors(path: Path, vectors: Path, n: int, work: Vectors) -> list[Kept]:
    """The same for vectors of one length and type: (n, dim) in the file `vectors`, 0 where a row has none.

    Without any vector there is no such file.
    """
    table: np.ndarray | None = None

    def place(row: int, vector: np.ndarray) -> None:
        nonlocal table
        if table is None:
            mode: Literal["r+", "w+"] = "r+" if vectors.exists() else "w+"
            shape = (n, len(vector))
            table = np.lib.format.open_memmap(vectors, mode=mode, dtype=vector.dtype, shape=shape)
        table[row] = vector

    def some(rows: Sequence[int], which: str) -> Iterator[tuple[int, Kept]]:
        for row, found in work(rows, which):
            if isinstance(found, str):
                yield row, Kept(error=found)
                continue
            place(row, found)  # before the line that says so
            yield row, Kept()

    return kept_rows(path, n, some)


def _line(row: int, kept: Kept) -> str:
    said = {"value": kept.values} if kept.error is None else {"error": kept.error}
    return json.dumps({"row": row, **said}) + "\n"


def read_kept(path: Path) -> dict[int, Kept]:
    """Row -> what was found of it, as far as the file goes."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            data = json.loads(line)
            found[data["row"]] = Kept(tuple(data.get("value", ())), data.get("error"))
        except (ValueError, KeyError, TypeError):
            continue  # torn by the kill
    return found
