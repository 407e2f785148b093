"""Rows from files: JSON arrays, JSON lines and Parquet, either of the first two gzip'ed.

The container is told by the file's first bytes and not by its name, so that `pool.json` may hold
JSON lines. A row that cannot be read is a `Row` with an error and the rest follows; a file that
is broken as a whole raises.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tacos.errors import PoolError

GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
BROKEN = (ValueError, RecursionError)
"""What `json` raises: bad syntax, an integer of thousands of digits, nesting without end."""


class Row(NamedTuple):
    """One row as it stands in the file.

    line: 1-based line where the row starts (JSON, JSONL) or its 1-based row number (Parquet, hub).
    value: the decoded JSON value; None when `error` says why it cannot be read.
    """

    line: int
    value: Any
    error: str | None = None


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, in order. Raises: PoolError when the file cannot be read as a whole."""
    try:
        yield from _rows(path)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise PoolError(f"cannot read {path}: {error}; check that the file is complete") from error


def _rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as raw:
        magic = raw.read(4)
    if magic == PARQUET:
        yield from _parquet_rows(path)
        return
    opener = gzip.open if magic.startswith(GZIP) else open
    with cast(BinaryIO, opener(path, "rb")) as handle:
        head = handle.read(4096)
        handle.seek(0)
        if _is_array(path, head):
            yield from _array_rows(path, handle)
        else:
            yield from _line_rows(handle)


def _is_array(path: Path, head: bytes) -> bool:
    named_lines = any(suffix in (".jsonl", ".ndjson") for suffix in path.suffixes)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"[") and not named_lines


def _parquet_rows(path: Path) -> Iterator[Row]:
    line = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096):
            for value in batch.to_pylist():
                line += 1
                yield Row(line, value)


def _line_rows(handle: BinaryIO) -> Iterator[Row]:
    for line, raw in enumerate(handle, start=1):
        raw = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
        if not raw.strip():
            continue
        try:
            yield Row(line, json.loads(raw.decode("utf-8")))
        except BROKEN as error:
            yield Row(line, None, _why(error))


def _array_rows(path: Path, handle: BinaryIO) -> Iterator[Row]:
    """Items of a JSON array, decoded one by one: the memory needed is the text, not all its objects.

    Nothing after a syntax error can be trusted, so an array that is torn raises.
    """
    with io.TextIOWrapper(handle, encoding="utf-8-sig", errors="surrogateescape", newline="") as text_handle:
        text = text_handle.read()
    decoder = json.JSONDecoder()
    at, line = text.index("[") + 1, 1 + text.count("\n", 0, text.index("["))
    seen = at
    while True:
        at = _skip(text, at, " \t\r\n,")
        if text.startswith("]", at):
            return
        line, seen = line + text.count("\n", seen, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except BROKEN as error:
            raise PoolError(f"cannot read {path}: broken JSON array at line {line}: {_why(error)}") from error
        yield Row(line, value)


def _skip(text: str, at: int, blank: str) -> int:
    while at < len(text) and text[at] in blank:
        at += 1
    return at


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else type(error).__name__ + f": {error}"[:80]
