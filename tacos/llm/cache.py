"""Paid replies, kept in one SQLite file.

The key covers what makes the answer: model, messages, sampling, the JSON schema that was sent, the
repeat index, how many log-probabilities were asked for, if any, and settings that change what a server is
sent. Endpoint, timeouts and concurrency are left out. Errors never enter, nor do replies that are empty
(`Completion.is_answer_to`); those that an older version left in the file are not found.

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from json.encoder import encode_basestring
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from tacos.llm.base import Completion, Request, Sampling
from tacos.store.files import cannot_write
from tacos.store.fingerprint import canonical

log = logging.getLogger(__name__)
T = TypeVar("T")

_LOOKUP = 500
"""Keys per SELECT; SQLite's oldest limit on variables is 999."""
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
OPEN_S = 60.0
"""How long to wait for other processes that open the file."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB NOT NULL, text TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, created REAL NOT NULL,
    logprobs TEXT, finish_reason TEXT, prompt TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS replies_by_key ON replies (key);
"""
_BY_PROMPT = """CREATE INDEX IF NOT EXISTS replies_by_prompt ON replies (prompt, completion_tokens)
WHERE prompt IS NOT NULL"""
_INSERT = "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_ADDED = ("logprobs", "finish_reason", "prompt")
"""Columns that files of older versions lack."""


def request_key(
    model: str, request: Request, structured: bool = False, altered: Mapping[str, Any] | None = None
) -> bytes:
    """32 bytes naming a question. The schema counts only where it is sent (`structured`).

    altered: what else a server is told, or told otherwise (`LLMSettings.altered`).
    """
    schema = request.json_schema if structured else None
    # The canonical JSON, written by hand: four times as fast.
    messages = ",".join(
        f'{{"content":{encode_basestring(message.content)},"role":"{message.role}"}}'
        for message in request.messages
    )
    # Only where it is asked for: replies paid before there were log-probabilities keep their keys.
    last = "" if request.top_logprobs is None else f",{request.top_logprobs}"
    last += f",{canonical(altered)}" if altered else ""
    text = (
        f"[{encode_basestring(model)},[{messages}],{_sampling_text(request.sampling)},"
        f"{'null' if schema is None else canonical(schema)},{request.repeat}{last}]"
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def prompt_of(model: str, request: Request) -> str:
    """Names a model and the words it is asked with; "" where the request does not say them."""
    return f"{model} {request.prompt}" if request.prompt else ""


def _sampling_text(sampling: Sampling) -> str:
    if sampling.temperature is None or sampling.top_p is None or not isfinite(sampling.temperature):
        return canonical(sampling)
    temperature, top_p = float.__repr__(sampling.temperature), float.__repr__(sampling.top_p)
    return f'{{"max_tokens":{sampling.max_tokens},"temperature":{temperature},"top_p":{top_p}}}'


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

    def put(self, key: bytes, completion: Completion, prompt: str = "") -> None:
        """Keep one reply. It is committed on return, so that a kill loses no paid call.

        prompt: names the model and the words it was asked with, for `usual_reply`.

        One commit each costs 20 to 50 us in SQLite's WAL mode, where a commit does not wait for the disk;
        200 in one commit cost 15 us each, which is no reason to hold paid replies back.

        Raises: ValueError for a completion without text: errors are never cached.
        """
        row = _row(key, completion, prompt)
        with self._lock:
            self._guarded(lambda db: db.execute(_INSERT, row))

    def put_many(self, replies: Iterable[tuple[bytes, Completion]]) -> None:
        """Keep many replies, all or none, in one commit: for those that come from a file.

        Raises: ValueError for a completion without text.
        """
        rows = [_row(key, completion, "") for key, completion in replies]
        with self._lock:
            self._guarded(lambda db: _insert_many(db, rows))

    def usual_reply(self, prompt: str, enough: int) -> float | None:
        """Mean tokens of the replies to a prompt, of whatever stage and run; None where there are not `enough`."""
        query = "SELECT COUNT(*), AVG(completion_tokens) FROM replies WHERE prompt = ?"
        with self._lock:
            count, mean = self._guarded(lambda db: db.execute(query, (prompt,)).fetchone())
        return float(mean) if count >= enough else None

    def drop(self, keys: Iterable[bytes]) -> None:
        """Forget replies."""
        rows = [(key,) for key in keys]
        with self._lock:
            self._guarded(lambda db: db.executemany("DELETE FROM replies WHERE key = ?", rows))

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work on other tables of the file, such as those of `tacos.llm.bill`, in one transaction that no other process
        comes between."""

        def alone(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE")
            try:
                found = work(db)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            if db.in_transaction:
                db.execute("COMMIT")
            return found

        with self._lock:
            return self._guarded(alone)

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
            self._db = sqlite3.connect(
                self.path, timeout=60.0, check_same_thread=False, isolation_level=None
            )  # every statement its own transaction, unless one is begun
            self._db.text_factory = bytes
            _use_wal(self._db)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            _add_columns(self._db)
            self._db.execute(_BY_PROMPT)
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
    for column in _ADDED:
        if column in known:
            continue
        try:
            db.execute(f"ALTER TABLE replies ADD COLUMN {column} TEXT")
        except sqlite3.OperationalError as error:
            if "duplicate column" not in str(error):  # another process was faster
                raise


def _select(db: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Completion]]:
    rest = iter(keys)
    while chunk := list(islice(rest, _LOOKUP)):
        marks = ",".join("?" * len(chunk))
        columns = "key, text, prompt_tokens, completion_tokens, logprobs, finish_reason"
        query = f"SELECT {columns} FROM replies WHERE key IN ({marks})"
        for key, text, sent, got, logprobs, finish in db.execute(query, chunk):
            if not text.strip():  # of a version that kept empty replies
                continue
            try:
                reply = Completion(
                    text=text.decode(),
                    finish_reason=finish.decode() if finish else None,
                    prompt_tokens=sent,
                    completion_tokens=got,
                    cached=True,
                    logprobs=json.loads(logprobs) if logprobs else None,
                )
            except ValueError:  # damaged bytes that SQLite did not notice: asked again, then replaced
                log.warning("a damaged reply in the cache is ignored")
                continue
            yield key, reply


def _row(key: bytes, reply: Completion, prompt: str) -> tuple[Any, ...]:
    if reply.text is None:
        raise ValueError("errors are never cached")
    logprobs = None if reply.logprobs is None else json.dumps(reply.logprobs)
    tokens = reply.prompt_tokens, reply.completion_tokens
    return key, reply.text, *tokens, time.time(), logprobs, reply.finish_reason, prompt or None


def _insert_many(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    with db:  # commits, or rolls back
        db.execute("BEGIN IMMEDIATE")
        db.executemany(_INSERT, rows)
