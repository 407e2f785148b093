"""A stage of many rows that is killed goes on from those it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tacos.store import kept
from tacos.store.kept import Kept, kept_rows, kept_vectors


class Worker:
    """Squares rows, the last first; row 3 has none. stop: dies before this row."""

    def __init__(self, stop: int | None = None):
        self.stop, self.done, self.said = stop, list[int](), list[str]()

    def __call__(self, rows: Sequence[int], which: str) -> Iterator[tuple[int, Kept]]:
        self.said.append(which)
        for row in reversed(rows):
            if row == self.stop:
                raise KeyboardInterrupt
            self.done.append(row)
            yield row, Kept(error="three has none") if row == 3 else Kept((row / 7, float(row**2)))


WHOLE = [Kept(error="three has none") if i == 3 else Kept((i / 7, float(i**2))) for i in range(6)]


def test_every_row_has_its_value_or_its_reason_in_order(tmp_path: Path) -> None:
    assert kept_rows(tmp_path / "v.jsonl", 6, Worker()) == WHOLE


def test_a_killed_run_goes_on_from_finished_rows(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        kept_rows(tmp_path / "v.jsonl", 6, Worker(stop=2))
    again = Worker()
    assert kept_rows(tmp_path / "v.jsonl", 6, again) == WHOLE
    assert again.done == [2, 1, 0]
    last = Worker()
    assert kept_rows(tmp_path / "v.jsonl", 6, last) == WHOLE and last.done == []


def test_a_torn_line_is_worked_out_again(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    kept_rows(path, 6, Worker())
    path.write_text(path.read_text()[:-9])
    again = Worker()
    assert kept_rows(path, 6, again) == WHOLE and again.done == [0]


def test_rows_come_in_chunks_that_say_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "CHUNK", 4)
    worker = Worker()
    assert kept_rows(tmp_path / "v.jsonl", 6, worker) == WHOLE
    assert worker.said == ["rows 1 to 4 of 6", "rows 5 to 6 of 6"]


def vectors(worker: Worker, rows: Sequence[int], which: str) -> Iterator[tuple[int, np.ndarray | str]]:
    for row, found in worker(rows, which):
        yield row, found.error or np.array(found.values, dtype=np.float32)


def test_vectors_are_kept_row_by_row(tmp_path: Path) -> None:
    path, table = tmp_path / "v.jsonl", tmp_path / "v.npy"
    with pytest.raises(KeyboardInterrupt):
        kept_vectors(path, table, 6, partial(vectors, Worker(stop=1)))
    again = Worker()
    found = kept_vectors(path, table, 6, partial(vectors, again))
    assert again.done == [1, 0]
    assert [row.error for row in found] == [None, None, None, "three has none", None, None]
    wanted = [row.values or (0, 0) for row in WHOLE]
    assert np.load(table) == pytest.approx(np.array(wanted), abs=1e-6)


def test_without_any_vector_there_is_no_table(tmp_path: Path) -> None:
    def refused(rows: Sequence[int], which: str) -> Iterator[tuple[int, np.ndarray | str]]:
        yield from ((row, "refused") for row in rows)

    found = kept_vectors(tmp_path / "v.jsonl", tmp_path / "v.npy", 2, refused)
    assert [row.error for row in found] == ["refused", "refused"] and not (tmp_path / "v.npy").exists()
