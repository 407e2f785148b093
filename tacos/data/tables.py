"""Rows of tables: CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tacos.data.json_rows import NOT_UTF8, UNDECODED
from tacos.data.json_text import NO_LIMIT
from tacos.data.raw import Row
from tacos.errors import PoolError

SEPARATORS = ",;\t|"
LONGEST_CELL = 2**31 - 1
"""The csv module stops at 128 kB otherwise."""


def parquet_rows(handle: io.BufferedReader) -> Iterator[Row]:
    """Rows with their number from 1. Raises: pyarrow.ArrowException for a damaged file."""
    line = 0
    source = handle if handle.seekable() else pa.BufferReader(handle.read())
    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=4096):
            for value in _values(batch):
                line += 1
                yield Row(line, value) if value is not None else Row(line, None, f"Parquet: {NOT_UTF8}")


def _values(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | None]:
    """The rows of a batch; None for one with text that is not UTF-8."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for i in range(batch.num_rows):
            try:
                yield batch.slice(i, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield None


def _lines(path: Path, text: io.TextIOWrapper, limit: int) -> Iterator[str]:
    while line := text.readline(min(limit + 1, LONGEST_CELL)):
        if len(line) > limit:
            raise PoolError(
                f"cannot read {path}: a line is longer than {limit / 1e6:g} MB: set pool.read.max_row_mb if it is meant"
            )
        yield line


def separated_rows(
    path: Path, handle: io.BufferedReader, separator: str | None, limit: int = NO_LIMIT
) -> Iterator[Row]:
    """Rows of CSV by the names of its first line. separator: None is the one that its first line has most of; limit:
    characters of a line.

    Raises: PoolError for a header that names no columns or one twice, for a quote that is never closed, and for a
    longer line.
    """
    csv.field_size_limit(LONGEST_CELL)
    head = handle.peek(4096).split(b"\n", 1)[0].decode("utf-8", "replace")
    separator = separator or max(SEPARATORS, key=head.count)
    with io.TextIOWrapper(handle, "utf-8-sig", errors="surrogateescape", newline="") as text:
        reader = csv.reader(_lines(path, text, limit), delimiter=separator, strict=True)
        header: list[str] = []
        for line, cells, error in _records(path, reader):
            if not header:
                header = _header(path, cells, error)
            elif error or len(cells) != len(header):
                yield Row(line, None, error or f"CSV: {len(cells)} cells where the header has {len(header)}")
            elif any(UNDECODED.search(cell) for cell in cells):
                yield Row(line, None, f"CSV: {NOT_UTF8}")
            else:
                yield Row(line, dict(zip(header, cells, strict=True)))


def _records(path: Path, reader: Any) -> Iterator[tuple[int, list[str], str | None]]:
    """(first line, cells, what is wrong) of each record; empty lines are passed over."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise PoolError(
                    f"cannot read {path}: the quote opened at line {line} is never closed"
                ) from error
            yield line, [], f"CSV: {error}"
            continue
        if cells:
            yield line, cells, None


def _header(path: Path, cells: list[str], error: str | None) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if error or twice is not None or not any(names):
        why = error or (f"two columns are named {twice!r}" if any(names) else "it names no columns")
        raise PoolError(f"cannot read {path}: its first line has to name the columns: {why}")
    return names
