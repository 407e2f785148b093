"""Rows of published JSON files, as many as are whole: a list, an object with `data`, or one object per line.

    [{"a": 1}, {"a": 2}, {"a"         two rows, then an error at line 1: a list that is cut off keeps what came before
    {"Meta_Info": ..., "data": [...   the same of the list under `data`
    {"a": 1}\\n{"a"\\n{"a": 3}          rows 1 and 3, and an error at line 2

`tacos.data.rows` refuses a list that is cut off, since a pool must be whole; judgments that were paid for are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tacos.errors import TacosError

_DATA = re.compile(r'"data"\s*:\s*\[')
_GAP = re.compile(r"[\s,]*")
_BROKEN = (ValueError, RecursionError)
DECODER = json.JSONDecoder(strict=False)
"""Takes control characters inside strings, which published files hold."""


class JsonRow(NamedTuple):
    """line: where the row starts, from 1; value: None where `error` says why it cannot be read."""

    line: int
    value: Any
    error: str | None = None


def read_text(path: Path) -> str:
    """Raises: TacosError naming the path of a file that is absent or cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise TacosError(f"cannot read {path}: {error.strerror or error}") from error


def whole_rows(text: str) -> Iterator[JsonRow]:
    """Rows in order. Where a list breaks off, nothing follows; of lines, the next ones do."""
    if text.lstrip().startswith("["):
        yield from _items(text, text.index("[") + 1)
    elif start := _data(text):
        yield from _items(text, start)
    else:
        yield from _lines(text)


def _data(text: str) -> int | None:
    """Where the list under `data` starts; None where the first line is a row by itself."""
    first = text.lstrip().split("\n", 1)[0]
    try:
        row = json.loads(first)
        if not isinstance(row, dict) or "data" not in row:
            return None
    except _BROKEN:  # the object goes on in the next line, or is cut off
        pass
    found = _DATA.search(text)
    return found.end() if found else None


def _items(text: str, at: int) -> Iterator[JsonRow]:
    line, seen = 1, 0
    while True:
        gap = _GAP.match(text, at)
        at = gap.end() if gap else at
        line, seen = line + text.count("\n", seen, at), at
        if text.startswith("]", at):
            return
        try:
            value, at = DECODER.raw_decode(text, at)
        except _BROKEN as error:
            yield JsonRow(line, None, _why(error))
            return
        yield JsonRow(line, value)


def _lines(text: str) -> Iterator[JsonRow]:
    for line, row in enumerate(text.split("\n"), start=1):
        if row.strip():
            try:
                yield JsonRow(line, json.loads(row))
            except _BROKEN as error:
                yield JsonRow(line, None, _why(error))


def _why(error: Exception) -> str:
    what = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
    return f"broken or cut off: {what}"
