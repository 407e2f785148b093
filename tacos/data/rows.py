"""Rows from files: JSON arrays, JSON lines, CSV, TSV and Parquet, any of them compressed.

What a file is, is told by its first bytes and not by its name, so that `pool.json` may hold JSON lines, `pool.jsonl`
an array, and either may be zstd; only CSV and TSV, which have no such bytes, go by their ending. A row that cannot be
read is a `Row` with an error and the rest follows; a file that is broken as a whole raises. Nothing is passed over:
what stands after an array is rows too, or an error.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from tacos.data.json_rows import BOM, json_rows, recoded
from tacos.data.json_text import NO_LIMIT
from tacos.data.raw import Row
from tacos.data.tables import parquet_rows, separated_rows
from tacos.errors import PoolError

__all__ = ["Row", "read_rows"]

PARQUET = b"PAR1"
HEAD = 4096
UNPACK: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": partial(pa.CompressedInputStream, compression="bz2"),
    b"\xfd7zXZ\x00": lzma.open,
    b"\x5d\x00\x00": lzma.open,  # the older .lzma
    b"\x28\xb5\x2f\xfd": partial(pa.CompressedInputStream, compression="zstd"),
    b"\x50\x2a\x4d\x18": partial(pa.CompressedInputStream, compression="zstd"),  # of pzstd
    b"\x04\x22\x4d\x18": partial(pa.CompressedInputStream, compression="lz4"),
}
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel sheet: unpack it, or save the sheet as CSV",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\x1f\x8b": "compressed twice: unpack it once",
    b"\x80\x04": "a Python pickle: save the rows as JSONL or Parquet",
    b"ARROW1": "an Arrow file: save it as Parquet",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
}
BROKEN_FILE = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
"""What reading a file that is torn, or cannot be read, raises."""


def read_rows(path: Path, limit: int = NO_LIMIT) -> Iterator[Row]:
    """The rows of a file, in order. limit: bytes of a row of text, and of white space between two, unpacked.

    Raises: PoolError when the file cannot be read as a whole.
    """
    try:
        with path.open("rb") as raw:
            yield from _rows(path, unpacked(raw), limit)
    except BROKEN_FILE as error:
        raise PoolError(f"cannot read {path}: {error}; check that the file is complete") from error


def unpacked(raw: io.BufferedReader) -> io.BufferedReader:
    """What a compressed file holds, by its first bytes; any other file as it is. Reading raises one of `BROKEN_FILE`
    where it is torn."""
    head = raw.peek(HEAD)
    opener = next((unpack for magic, unpack in UNPACK.items() if head.startswith(magic)), None)
    return raw if opener is None else io.BufferedReader(opener(raw), 1 << 16)


def _rows(path: Path, handle: io.BufferedReader, limit: int) -> Iterator[Row]:
    head = handle.peek(HEAD)
    what = next((what for magic, what in FOREIGN.items() if head.startswith(magic)), None)
    if what or head[257:262] == b"ustar":
        raise PoolError(f"cannot read {path}: it is {what or 'a tar archive: unpack it'}")
    if head.startswith(PARQUET):
        yield from parquet_rows(handle)
        return
    handle = recoded(path, handle)
    begins_json = handle.peek(HEAD).removeprefix(BOM).lstrip()[:1] in (b"[", b"{")
    separator = next((end for end in map(str.lower, path.suffixes) if end in (".csv", ".tsv")), None)
    if separator and not begins_json:
        yield from separated_rows(path, handle, "\t" if separator == ".tsv" else None, limit)
    else:
        yield from json_rows(path, handle, limit)
