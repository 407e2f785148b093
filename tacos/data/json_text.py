"""A JSON text that is read as it is needed: what was passed is forgotten, and no row or white space is endless."""

from __future__ import annotations

import codecs
import io
import json
import re
from pathlib import Path
from typing import Any

from tacos.errors import PoolError

BOM = b"\xef\xbb\xbf"
BROKEN = (ValueError, RecursionError)
"""What `json` raises: bad syntax, an integer of thousands of digits, nesting without end."""
UNDECODED = re.compile("[\udc80-\udcff]")
"""Bytes that are not UTF-8, as `surrogateescape` decodes them."""
NO_LIMIT = 1 << 62
CHUNK = 1 << 20
"""Bytes that are read at least."""
_BLANK = {extra: re.compile(f"[ \\t\\r\\n{extra}]*") for extra in ("", ",")}
_AT_END = ("Unterminated string", "Invalid \\\\")
"""How messages begin of what more text may complete, wherever they point to."""


def too_much_blank(path: Path, limit: int) -> PoolError:
    """The error for more than `limit` bytes of white space."""
    return PoolError(
        f"cannot read {path}: more than {limit / 1e6:g} MB of white space in one place: it is damaged, or made to be "
        "read for ever; set pool.read.max_row_mb where it is neither"
    )


class JsonText:
    """text: what is in memory, and `at` the place in it. limit: bytes of a value, and of white space.

    Methods raise: PoolError for more white space, or a value that is longer.
    """

    def __init__(self, path: Path, handle: io.BufferedReader, limit: int):
        self.path, self.handle, self.limit = path, handle, limit
        self.text, self.at = "", 0
        self.undecided = True
        """While it is not known how the rows are laid out, nothing is forgotten."""
        self.seen = b""
        """All that was read so far, while that is not known, but for blank lines at the start."""
        self.blank_lines = 0
        self._begun = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._json = json.JSONDecoder()
        self._odd = self._ended = False
        self._line, self._counted = 1, 0
        """Of the place `_counted` in the text."""

    def line(self) -> int:
        """The number of the line at `at`, from 1."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def next_character(self, passed: str = "") -> str:
        """What comes behind white space, and what else is `passed`; "" at the end."""
        blank = 0
        while True:
            end = _BLANK[passed].match(self.text, self.at)
            place = end.end() if end else self.at
            blank, self.at = blank + place - self.at, place
            if blank > self.limit:
                raise too_much_blank(self.path, self.limit)
            if self.at < len(self.text):
                return self.text[self.at]
            self._forget()
            if not self._more():
                return ""

    def first_line_is_an_object(self) -> bool:
        """Whether the line at `at` is one whole object."""
        while (
            (end := self.text.find("\n", self.at)) < 0
            and len(self.text) - self.at <= self.limit
            and self._more()
        ):
            pass
        line = self.text[self.at : end if end >= 0 else len(self.text)]
        try:
            value, rest = self._json.raw_decode(line)
        except BROKEN:
            return False
        return isinstance(value, dict) and not line[rest:].strip()

    def begins_with_a_value(self) -> bool:
        """Whether a value can be read at `at`, which stays."""
        at = self.at
        try:
            self.value()
        except (*BROKEN, PoolError):  # too long for a value: its line says so
            return False
        finally:
            self.at = at
        return True

    def value(self) -> tuple[Any, bool]:
        """The value at `at`, and whether bytes in it were not UTF-8; goes on behind it. Raises one of `BROKEN`, too."""
        while True:
            try:
                value, end = self._json.raw_decode(self.text, self.at)
            except BROKEN as error:
                if self._ended or self._hopeless(error):
                    raise
            else:
                if end < len(self.text) - 2 or self._ended:  # a number may go on: "1" and ".5", "1e" and "+5"
                    odd = self._odd and UNDECODED.search(self.text, self.at, end) is not None
                    self.at = end
                    return value, odd
            if len(self.text) - self.at > self.limit:
                raise PoolError(
                    f"cannot read {self.path}: the value at line {self.line()} is longer than {self.limit / 1e6:g} MB: "
                    "set pool.read.max_row_mb if it is meant"
                )
            self._more()

    def _hopeless(self, error: Exception) -> bool:
        """Whether it is wrong before the end of what was read, so that no further text makes it right."""
        if not isinstance(error, json.JSONDecodeError):
            return True
        return error.pos < len(self.text) - 16 and not error.msg.startswith(_AT_END)

    def _forget(self) -> None:
        """What was passed: before anything is decided, white space alone."""
        self.blank_lines = self.line() - 1
        self.text, self._counted, self.at, self.seen = self.text[self.at :], 0, 0, b""

    def _more(self) -> bool:
        """Reads on, twice as much where the last did not do; False at the end."""
        if self._ended:
            return False
        raw = self.handle.read(max(CHUNK, len(self.text) - self.at))
        first, self._begun = not self._begun, True
        if self.undecided:
            self.seen += raw
        else:
            self._forget()
        self._ended = not raw
        text = self._decoder.decode(raw.removeprefix(BOM) if first else raw, final=self._ended)
        self._odd = self._odd or UNDECODED.search(text) is not None
        self.text += text
        return not self._ended or bool(text)
