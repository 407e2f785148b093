"""Rows of JSON text: lines of objects, arrays, or objects one after the other, however they are laid out.

A file whose first line is an object is read line by line, and a broken line costs its row only. Everything else is
read value by value: the items of an array are rows, and so is an object that stands by itself.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tacos.data.json_text import BOM, BROKEN, CHUNK, NO_LIMIT, UNDECODED, JsonText, too_much_blank
from tacos.data.raw import Row
from tacos.errors import PoolError

__all__ = ["BOM", "BROKEN", "NOT_UTF8", "UNDECODED", "json_rows", "recoded"]
NOT_UTF8 = "not UTF-8"
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


def json_rows(path: Path, handle: io.BufferedReader, limit: int = NO_LIMIT) -> Iterator[Row]:
    """The rows of a JSON text. limit: bytes of a row, and of the white space between two.

    Raises: PoolError where an array is torn or followed by something else, and for more white space.
    """
    text = JsonText(path, handle, limit)
    begins = text.next_character()
    if begins == "[" or (begins == "{" and not text.first_line_is_an_object() and text.begins_with_a_value()):
        yield from _document_rows(text)
    else:
        yield from _line_rows(path, text.seen, handle, limit, text.blank_lines)


def _line_rows(path: Path, seen: bytes, handle: io.BufferedReader, limit: int, line: int) -> Iterator[Row]:
    """seen: what was read of the text behind its first `line` lines."""
    blank = 0
    start = io.BytesIO(seen)
    while raw := start.readline(limit + 1) or handle.readline(limit + 1):
        if not line:
            raw = raw.removeprefix(BOM)
        if not raw.endswith(b"\n") and len(raw) <= limit:  # what was seen ends within a line
            raw += handle.readline(limit + 1 - len(raw))
        line += 1
        blank = 0 if raw.strip() else blank + len(raw)
        if blank > limit:
            raise too_much_blank(path, limit)
        if len(raw) > limit:
            while raw and not raw.endswith(b"\n"):
                raw = start.readline(CHUNK) or handle.readline(CHUNK)
            yield Row(line, None, f"longer than {limit / 1e6:g} MB (pool.read.max_row_mb)")
        elif not blank:
            yield _value(raw)._replace(line=line)


def _value(raw: bytes) -> Row:
    try:
        return Row(0, json.loads(raw.removeprefix(BOM).decode("utf-8")))
    except BROKEN as error:
        return Row(0, None, _why(error))


def _document_rows(text: JsonText) -> Iterator[Row]:
    """Items of arrays and single objects, decoded one by one as the text is read.

    Nothing after a syntax error can be trusted, so that raises.
    """
    inside, text.undecided = False, False
    while True:
        begins = text.next_character(",")
        if not begins and not inside:
            return
        if begins == ("]" if inside else "["):
            text.at, inside = text.at + 1, not inside
            continue
        where = f"cannot read {text.path}: broken JSON array at line {text.line()}"
        if not inside and begins != "{":
            raise PoolError(f"{where}: data after the closing bracket: {text.text[text.at : text.at + 40]!r}")
        start = text.line()
        try:
            value, odd = text.value()
        except BROKEN as error:
            raise PoolError(f"{where}: {_why(error)}") from error
        yield Row(start, None, NOT_UTF8) if odd else Row(start, value)


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
