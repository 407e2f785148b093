"""Rows of published files (questions, answers, judgments): as many as are whole, however the file is kept.

    [{"a": 1}, {"a": 2}, {"a"         two rows, then an error at line 1: a list that is cut off keeps what came before
    {"Meta_Info": ..., "data": [...   the same of the list under `data`
    [{"a": 1}]\\n[{"a": 2}]            two rows: files put together, each with its byte order mark or none
    {"a": 1}\\n{"a"\\n{"a": 3}          rows 1 and 3, and an error at line 2
    \\xef\\xbb\\xbf{"a": 1}             a byte order mark is passed over
    x.json.gz, .bz2, .xz, .zst, .lz4  unpacked, by their first bytes
    {"a": "Nice \\ud83d"}              half an emoji, as tools that cut by length leave it, becomes U+FFFD

`tacos.data.rows` refuses a list that is cut off, since a pool must be whole; judgments that were paid for are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tacos.data.json_rows import BROKEN, WIDE
from tacos.data.rows import BROKEN_FILE, PARQUET, Row, read_rows, unpacked
from tacos.errors import TacosError
from tacos.text import whole_characters

_DATA = re.compile(r'"data"\s*:\s*\[')
_GAP = re.compile(r"[\s,\ufeff]*")
_NEXT_LIST = re.compile(r"\][\s\ufeff]*\[")
DECODER = json.JSONDecoder(strict=False)
"""Takes control characters inside strings, which published files hold."""


def published_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, each with its line; where a list breaks off, an error is the last.

    Raises: TacosError naming the path of a file that is absent or cannot be read.
    """
    if _begins(path, PARQUET):
        yield from read_rows(path)
    else:
        yield from whole_rows(read_text(path))


def _begins(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as handle:
            return handle.read(len(magic)) == magic
    except OSError as error:
        raise TacosError(f"cannot read {path}: {error.strerror or error}") from error


def read_text(path: Path) -> str:
    """Unpacked, without byte order mark; bytes that are not UTF-8 as U+FFFD.

    Raises: TacosError naming the path of a file that is absent or cannot be read.
    """
    try:
        with path.open("rb") as raw:
            content = unpacked(raw).read()
    except BROKEN_FILE as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TacosError(f"cannot read {path}: {why}; check that the file is complete") from error
    wide = next((name for mark, name in WIDE.items() if content.startswith(mark)), None)
    return content.decode(wide or "utf-8-sig", "replace")


def whole_rows(text: str) -> Iterator[Row]:
    """Rows in order, halves of characters replaced. Where a list breaks off, nothing follows; of lines, the next
    ones do."""
    if text.lstrip().startswith("["):
        rows = _items(text, text.index("[") + 1)
    elif start := _data(text):
        rows = _items(text, start)
    else:
        rows = _lines(text)
    halves = "\\ud" in text or "\\uD" in text  # as escapes: a text that was decoded holds none
    for row in rows:
        yield row._replace(value=whole_characters(row.value)) if halves else row


def _data(text: str) -> int | None:
    """Where the list under `data` starts; None where the first line is a row by itself."""
    first = text.lstrip().split("\n", 1)[0]
    try:
        row = json.loads(first)
        if not isinstance(row, dict) or "data" not in row:
            return None
    except BROKEN:  # the object goes on in the next line, or is cut off
        pass
    found = _DATA.search(text)
    return found.end() if found else None


def _items(text: str, at: int) -> Iterator[Row]:
    line, seen = 1, 0
    while True:
        gap = _GAP.match(text, at)
        at = gap.end() if gap else at
        line, seen = line + text.count("\n", seen, at), at
        if following := _NEXT_LIST.match(text, at):
            at = following.end()
            continue
        if text.startswith("]", at):
            return
        try:
            value, at = DECODER.raw_decode(text, at)
        except BROKEN as error:
            yield Row(line, None, _why(error))
            return
        yield Row(line, value)


def _lines(text: str) -> Iterator[Row]:
    for line, row in enumerate(text.split("\n"), start=1):
        if row := row.strip(" \t\r\n\ufeff"):
            try:
                yield Row(line, DECODER.decode(row))
            except BROKEN as error:
                yield Row(line, None, _why(error))


def _why(error: Exception) -> str:
    what = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
    return f"broken or cut off: {what}"
