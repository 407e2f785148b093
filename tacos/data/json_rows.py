"""Rows of JSON text: lines of objects, arrays, or objects one after the other, however they are laid out.

A file whose first line is an object is read line by line, and a broken line costs its row only. Everything else is
read whole, value by value: the items of an array are rows, and so is an object that stands by itself.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from tacos.data.raw import Row
from tacos.errors import PoolError

BOM = b"\xef\xbb\xbf"
BROKEN = (ValueError, RecursionError)
"""What `json` raises: bad syntax, an integer of thousands of digits, nesting without end."""
NOT_UTF8 = "not UTF-8"
UNDECODED = re.compile("[\udc80-\udcff]")
"""Bytes that are not UTF-8, as `surrogateescape` decodes them."""
WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, the longer first: that of UTF-32 begins with that of UTF-16."""


def recoded(path: Path, handle: io.BufferedReader) -> io.BufferedReader:
    """The same text as UTF-8, where its byte order mark says UTF-16 or UTF-32.

    Raises: PoolError for either without the mark, which could only be guessed, for one that is torn or broken, and
    for what is no text at all.
    """
    head = handle.peek(4)[:4]
    encoding = next((name for mark, name in WIDE.items() if head.startswith(mark)), None)
    if encoding:
        try:
            text = handle.read().decode(encoding, "surrogatepass")
        except UnicodeDecodeError as error:
            raise PoolError(
                f"cannot read {path}: it begins as {encoding.upper()} but is not, from byte {error.start:,} on "
                f"({error.reason}): copy it again if it is torn, or save it as UTF-8 text"
            ) from error
        return io.BufferedReader(io.BytesIO(text.encode("utf-8", "surrogatepass")))
    if b"\0" in head:
        raise PoolError(
            f"cannot read {path}: {NOT_UTF8}; it seems to be UTF-16 or no text at all: save it as UTF-8 text"
        )
    return handle


def decoded(data: bytes) -> str:
    """The text, without byte order mark; bytes that are not UTF-8 as `UNDECODED`."""
    return data.removeprefix(BOM).decode("utf-8", "surrogateescape")


def json_rows(path: Path, handle: io.BufferedReader) -> Iterator[Row]:
    """The rows of a JSON text. Raises: PoolError where an array is torn or followed by something else."""
    before, first = 0, b""
    for first in handle:
        if first.removeprefix(BOM).strip():
            break
        before += 1
    if _begins_with_object(decoded(first), whole=True):
        yield from _line_rows(chain([first], handle), before)
        return
    rest = handle.read()
    text = decoded(first + rest)
    if text.lstrip().startswith("[") or _begins_with_object(text):
        yield from _document_rows(path, text, before)
    else:
        yield from _line_rows(chain([first], io.BytesIO(rest)), before)


def _begins_with_object(text: str, whole: bool = False) -> bool:
    """Whether the text begins with an object. whole: and is nothing else."""
    try:
        value, end = json.JSONDecoder().raw_decode(text.lstrip())
    except BROKEN:
        return False
    return isinstance(value, dict) and not (whole and text.lstrip()[end:].strip())


def _line_rows(lines: Iterator[bytes], before: int) -> Iterator[Row]:
    """before: lines that were read before."""
    for line, raw in enumerate(lines, start=before + 1):
        if raw.strip():
            yield _value(raw)._replace(line=line)


def _value(raw: bytes) -> Row:
    try:
        return Row(0, json.loads(raw.removeprefix(BOM).decode("utf-8")))
    except BROKEN as error:
        return Row(0, None, _why(error))


def _document_rows(path: Path, text: str, line: int) -> Iterator[Row]:
    """Items of arrays and single objects, decoded one by one: the memory needed is the text, not all its objects.

    Nothing after a syntax error can be trusted, so that raises. line: lines that were read before.
    """
    decoder, clean = json.JSONDecoder(), UNDECODED.search(text) is None
    at, seen, inside, line = 0, 0, False, line + 1
    while True:
        at = _skip(text, at, " \t\r\n,")
        if at == len(text) and not inside:
            return
        if text.startswith("]" if inside else "[", at):
            at, inside = at + 1, not inside
            continue
        line, seen = line + text.count("\n", seen, at), at
        where = f"cannot read {path}: broken JSON array at line {line}"
        if not inside and not text.startswith("{", at):
            raise PoolError(f"{where}: data after the closing bracket: {text[at : at + 40]!r}")
        try:
            value, at = decoder.raw_decode(text, at)
        except BROKEN as error:
            raise PoolError(f"{where}: {_why(error)}") from error
        yield Row(line, value) if clean or not UNDECODED.search(text, seen, at) else Row(line, None, NOT_UTF8)


def _skip(text: str, at: int, blank: str) -> int:
    while at < len(text) and text[at] in blank:
        at += 1
    return at


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return NOT_UTF8 if isinstance(error, UnicodeDecodeError) else type(error).__name__ + f": {error}"[:80]


def parsed_text(value: Any) -> Any:
    """A list or object that stands as JSON in a text cell, as CSV and some Parquet files have them; else the value."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except BROKEN:
        return value
