"""The SQLite file of the reply cache: how it is made, opened, looked through and set aside."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tacos.llm.bill import SCHEMA as BILLS
from tacos.llm.salvage import COLUMNS, LOSSES

_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
TABLES = ("bills", "billed", "flights", "losses")
"""Small ones, which go over from a damaged file as they are."""
OPEN_S = 60.0
"""How long to wait for other processes that open the file."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB NOT NULL, text TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, created REAL NOT NULL,
    logprobs TEXT, finish_reason TEXT, prompt TEXT, digest BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS replies_by_key ON replies (key);
"""
_BY_PROMPT = """CREATE INDEX IF NOT EXISTS replies_by_prompt ON replies (prompt, completion_tokens)
WHERE prompt IS NOT NULL"""
INSERT = f"INSERT OR REPLACE INTO replies ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADDED = {"logprobs": "TEXT", "finish_reason": "TEXT", "prompt": "TEXT", "digest": "BLOB"}
"""Columns that files of older versions lack."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made where it is missing, with all tables and columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(
        path, timeout=60.0, check_same_thread=False, isolation_level=None
    )  # every statement its own transaction, unless one is begun
    db.text_factory = bytes
    try:
        _make_tables(db)
    except BaseException:
        db.close()
        raise
    return db


def _make_tables(db: sqlite3.Connection) -> None:
    """All that are missing, in WAL mode."""
    _use_wal(db)
    db.execute("PRAGMA synchronous=NORMAL")
    db.executescript(SCHEMA)
    _add_columns(db)
    for table in (_BY_PROMPT, LOSSES, *BILLS):
        db.execute(table)


def set_aside(path: Path) -> Path:
    """Renames the file, with what SQLite keeps beside it; returns its new name."""
    suffix = f".corrupt-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**9:09d}"
    aside = path.with_name(path.name + suffix)
    for tail in ("", "-wal", "-shm"):
        part = path.with_name(path.name + tail)
        if part.exists():
            part.rename(aside.with_name(aside.name + tail))
    return aside


def _use_wal(db: sqlite3.Connection) -> None:
    """SQLite does not wait for another process that makes the same change to a new file, so we do."""
    give_up = time.monotonic() + OPEN_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _add_columns(db: sqlite3.Connection) -> None:
    """A file of an older version gets the columns it lacks: what was paid for stays."""
    known = {row[1].decode() for row in db.execute("PRAGMA table_info(replies)")}
    for column, kind in _ADDED.items():
        if column in known:
            continue
        try:
            db.execute(f"ALTER TABLE replies ADD COLUMN {column} {kind}")
        except sqlite3.OperationalError as error:
            if "duplicate column" not in str(error):  # another process was faster
                raise


def quick_check(db: sqlite3.Connection) -> None:
    """Raises: sqlite3.DatabaseError for a damaged file, before a reply in it is asked for again."""
    (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if said != b"ok":
        error = sqlite3.DatabaseError(said.decode(errors="replace").splitlines()[0])
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def is_broken(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _BROKEN  # the low byte is the primary code
