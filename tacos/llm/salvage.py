"""What can still be read of a damaged reply cache: replies are paid money.

SQLite stops where the way to a page is damaged. Here every page is looked at by itself, those of the log beside the
file (-wal) too: a leaf of a table holds rows, whatever became of the pages that led to it (file format:
https://sqlite.org/fileformat2.html). A row counts where it is a reply whose digest matches.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = (
    "key",
    "text",
    "prompt_tokens",
    "completion_tokens",
    "created",
    "logprobs",
    "finish_reason",
    "prompt",
    "digest",
)
Row = tuple[Any, ...]
"""A reply, by `COLUMNS`; texts as bytes."""
PAGE = 4096
"""Bytes of a page, as SQLite makes them."""
LEAF, INDEX_LEAF = 0x0D, 0x0A
"""The first byte of a page with rows, and of one with keys."""
KINDS = (0x00, 0x02, 0x05, INDEX_LEAF, LEAF, ord("S"))
"""What pages begin with: long texts that go on, inner and outer pages of both kinds, the file itself."""
WAL_HEAD, FRAME_HEAD = 32, 24
KEY = 32
INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Serial type -> bytes."""


class Salvaged(NamedTuple):
    """total: how many there were, as far as that can be told."""

    rows: list[Row]
    total: int


class Loss(NamedTuple):
    """Replies that a damaged file held: those that were saved and, as far as that can be told, all of them; 0 where
    nothing tells. sent, got: mean tokens of a prompt and a reply, of those that were saved."""

    kept: int
    total: int
    sent: float
    got: float

    @property
    def share(self) -> float:
        """Of all; a file without anything lost all."""
        return 1.0 if not self.kept else max(0.0, 1 - self.kept / self.total)

    @property
    def missing(self) -> int:
        return max(0, self.total - self.kept)


LOSSES = """CREATE TABLE IF NOT EXISTS losses (
    kept INTEGER NOT NULL, total INTEGER NOT NULL, sent REAL NOT NULL, got REAL NOT NULL
)"""


def carried_over(db: sqlite3.Connection, damaged: Path, tables: Sequence[str]) -> list[str]:
    """Copies small tables of a damaged file into the new one; returns those that cannot be read."""
    unread = []
    with closing(sqlite3.connect(damaged)) as old:
        for table in tables:
            try:
                rows = old.execute(f"SELECT * FROM {table}").fetchall()
                for row in rows:
                    db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            except sqlite3.DatabaseError as error:
                if "no such table" not in str(error):
                    unread.append(table)
    return unread


def note_loss(db: sqlite3.Connection, found: Salvaged) -> None:
    """Into the new file: what was saved, and what was not."""
    kept = len(found.rows)
    means = [sum(row[column] for row in found.rows) / max(kept, 1) for column in (2, 3)]
    db.execute("INSERT INTO losses VALUES (?, ?, ?, ?)", (kept, max(found.total, kept), *means))


def digest_of(key: bytes, text: bytes, *tokens: int) -> bytes:
    """8 bytes that tell a reply from a damaged one."""
    return hashlib.sha256(key + text + repr(tokens).encode()).digest()[:8]


def salvage(damaged: Path) -> Salvaged:
    """The replies of a file that is set aside, which is not changed."""
    content = damaged.read_bytes()
    file = [(n + 1, content[at : at + PAGE]) for n, at in enumerate(range(0, len(content), PAGE))]
    logged = list(_logged(damaged.with_name(f"{damaged.name}-wal")))
    pages = dict(file) | {number: page for number, page, current in logged if current}
    rows: dict[bytes, tuple[int, Row]] = {}
    keys: set[bytes] = set()
    for number, page in [*file, *((number, page) for number, page, _ in logged)]:  # old versions, too
        keys |= _index_keys(page)
        for rowid, values in _cells(page, 100 if number == 1 else 0, pages):
            row = _reply(values)
            if row and rowid >= rows.get(row[0], (0, ()))[0]:
                rows[row[0]] = rowid, row
    of_file = int.from_bytes(content[28:32], "big") / max(len(pages), 1)
    whole = of_file if 1 < of_file < 1000 else 1.0  # how many times the pages that are left
    odd = sum(page[0] not in KINDS for page in pages.values() if page)
    whole *= len(pages) / max(len(pages) - odd, 1)
    return Salvaged([row for _, row in rows.values()], max(len(keys | rows.keys()), round(len(rows) * whole)))


def _logged(wal: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Number and content of every page in the log, and whether it is of its present round: older ones stay behind."""
    content = wal.read_bytes() if wal.is_file() else b""
    for at in range(WAL_HEAD, len(content) - FRAME_HEAD - PAGE + 1, FRAME_HEAD + PAGE):
        current = content[at + 8 : at + 16] == content[16:24]
        page = content[at + FRAME_HEAD : at + FRAME_HEAD + PAGE]
        yield int.from_bytes(content[at : at + 4], "big"), page, current


def _index_keys(page: bytes) -> set[bytes]:
    """Keys of replies that a leaf of the index names, which tell how many there were."""
    found = set()
    if page[:1] == bytes([INDEX_LEAF]):
        count = int.from_bytes(page[3:5], "big")
        for place in range(8, min(8 + 2 * count, len(page) - 1), 2):
            try:
                size, at = _varint(page, int.from_bytes(page[place : place + 2], "big"))
                key = _values(page[at : at + size])[0]
            except (IndexError, struct.error, KeyError, ValueError):
                continue
            if isinstance(key, bytes) and len(key) == KEY:
                found.add(key)
    return found


def _cells(page: bytes, head: int, pages: Mapping[int, bytes]) -> Iterator[tuple[int, list[Any]]]:
    """Row number and values of every row of a leaf that can be read. head: where it begins."""
    if len(page) < head + 8 or page[head] != LEAF:
        return
    count = int.from_bytes(page[head + 3 : head + 5], "big")
    for place in range(head + 8, min(head + 8 + 2 * count, len(page) - 1), 2):
        try:
            at = int.from_bytes(page[place : place + 2], "big")
            size, at = _varint(page, at)
            rowid, at = _varint(page, at)
            yield rowid, _values(_payload(page, at, size, pages))
        except (IndexError, struct.error, KeyError, ValueError):
            continue


def _payload(page: bytes, at: int, size: int, pages: Mapping[int, bytes]) -> bytes:
    """A record, which goes on in other pages where it is long. Raises: KeyError for a page that is not there."""
    most, least = PAGE - 35, (PAGE - 12) * 32 // 255 - 23
    if size <= most:
        return page[at : at + size]
    here = least + (size - least) % (PAGE - 4)
    here = here if here <= most else least
    parts, left = [page[at : at + here]], size - here
    number = int.from_bytes(page[at + here : at + here + 4], "big")
    while left > 0:
        further = pages[number]
        parts.append(further[4 : 4 + left])
        left -= PAGE - 4
        number = int.from_bytes(further[:4], "big")
    return b"".join(parts)


def _values(record: bytes) -> list[Any]:
    """Raises: IndexError, ValueError, struct.error for what is no record."""
    end, at = _varint(record, 0)
    kinds = []
    while at < end:
        kind, at = _varint(record, at)
        kinds.append(kind)
    values: list[Any] = []
    at = end
    for kind in kinds:
        size = INTEGERS.get(kind, 8 if kind == 7 else (kind - 12) // 2 if kind >= 12 else 0)
        part = record[at : at + size]
        if len(part) < size:
            raise ValueError("cut off")
        at += size
        constant = {0: None, 8: 0, 9: 1}
        if kind in INTEGERS:
            values.append(int.from_bytes(part, "big", signed=True))
        else:
            values.append(
                struct.unpack(">d", part)[0] if kind == 7 else constant[kind] if kind < 12 else part
            )
    return values


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's: seven bits a byte, the first ones first, eight in the ninth."""
    value = 0
    for count in range(9):
        byte = data[at + count]
        if count == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    raise IndexError


def _reply(values: list[Any]) -> Row | None:
    """A row of the table of replies; None for anything else, and for one whose digest does not match."""
    row = tuple(values) + (None,) * (len(COLUMNS) - len(values))
    key, text, sent, got = row[:4]
    sound = (
        len(row) == len(COLUMNS)
        and isinstance(key, bytes)
        and len(key) == KEY
        and isinstance(text, bytes)
        and isinstance(sent, int)
        and isinstance(got, int)
    )
    if not sound or (row[-1] is not None and row[-1] != digest_of(key, text, sent, got)):
        return None
    return row
