"""Paid replies, kept in one SQLite file.

The key covers what makes the answer: model, messages, sampling, the JSON schema that was sent, and the
repeat index. Endpoint, timeouts and concurrency are left out. Errors never enter.

Every reply is committed as it arrives: in WAL mode that takes no fsync, and it survives a SIGKILL.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from tacos.llm.base import Completion, Request
from tacos.store.files import cannot_write
from tacos.store.fingerprint import plain

log = logging.getLogger(__name__)
T = TypeVar("T")

_LOOKUP = 500
"""Keys per SELECT; SQLite's oldest limit on variables is 999."""
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB NOT NULL, text TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, created REAL NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS replies_by_key ON replies (key);
"""


def request_key(model: str, request: Request, structured: bool = False) -> bytes:
    """32 bytes naming a question. The schema counts only where it is sent (`structured`)."""
    schema = request.json_schema if structured else None
    parts = [model, request.messages, request.sampling, schema, request.repeat]
    text = json.dumps(plain(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class ReplyCache:
    """Replies by key. Safe to call from any thread, and several processes may share the file.

    A file that is no sound database is set aside as `<name>.corrupt-<timestamp>`, with a warning, and
    an empty one takes its place.

    Raises: TacosError, from any method, when the file cannot be opened or written.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        with self._lock:
            self._guarded(lambda db: None)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Completion]:
        """The replies that are known, marked `cached`; absent keys are absent."""
        unique = list(dict.fromkeys(keys))
        with self._lock:
            return self._guarded(lambda db: {key: reply for key, reply in _select(db, unique)})

    def put(self, key: bytes, completion: Completion) -> None:
        """Keep one reply. It is committed on return, so that a kill loses no paid call.

        One commit each costs 50 us in SQLite's WAL mode, where a commit does not wait for the disk.

        Raises: ValueError for a completion without text: errors are never cached.
        """
        if completion.text is None:
            raise ValueError("errors are never cached")
        with self._lock:
            self._guarded(lambda db: _insert(db, key, completion))

    def close(self) -> None:
        with self._lock:
            if self._db:
                self._db.close()
                self._db = None

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`; once again on a fresh file when this one turns out to be broken."""
        try:
            try:
                return work(self._open())
            except sqlite3.DatabaseError as error:
                if not _is_broken(error):
                    raise
                self._set_aside(error)
                return work(self._open())
        except sqlite3.Error as error:
            raise cannot_write(self.path, OSError(errno.EIO, str(error))) from error
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60.0, check_same_thread=False)
            self._db.text_factory = bytes
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        return self._db

    def _set_aside(self, error: sqlite3.Error) -> None:
        if self._db:
            self._db.close()
            self._db = None
        suffix = f".corrupt-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**9:09d}"
        aside = self.path.with_name(self.path.name + suffix)
        for tail in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + tail)
            if part.exists():
                part.rename(aside.with_name(aside.name + tail))
        log.warning(
            "the reply cache %s is corrupt (%s): kept as %s, starting an empty one", self.path, error, aside
        )


def _is_broken(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _BROKEN  # the low byte is the primary code


def _select(db: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Completion]]:
    rest = iter(keys)
    while chunk := list(islice(rest, _LOOKUP)):
        marks = ",".join("?" * len(chunk))
        query = f"SELECT key, text, prompt_tokens, completion_tokens FROM replies WHERE key IN ({marks})"
        for key, text, sent, got in db.execute(query, chunk):
            try:
                reply = Completion(text=text.decode(), prompt_tokens=sent, completion_tokens=got, cached=True)
            except ValueError:  # damaged bytes that SQLite did not notice: asked again, then replaced
                log.warning("a damaged reply in the cache is ignored")
                continue
            yield key, reply


def _insert(db: sqlite3.Connection, key: bytes, reply: Completion) -> None:
    row = (key, reply.text, reply.prompt_tokens, reply.completion_tokens, time.time())
    with db:
        db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?)", row)
