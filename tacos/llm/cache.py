"""Paid replies, kept in one SQLite file.

Keys are names of questions (`request_key`). Errors never enter, nor do replies that are empty
(`Completion.is_answer_to`); those that an older version left in the file are not found.

Every reply is committed as it arrives: in WAL mode that takes no fsync, and it survives a SIGKILL.
"""

from __future__ import annotations

import errno
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from tacos.amounts import money, plural
from tacos.errors import TacosError
from tacos.llm.base import Completion
from tacos.llm.cache_file import INSERT, TABLES, connect, is_broken, quick_check, set_aside
from tacos.llm.salvage import Loss, Salvaged, carried_over, digest_of, note_loss, salvage
from tacos.llm.settings import LLMSettings
from tacos.store.files import cannot_write

log = logging.getLogger(__name__)
T = TypeVar("T")

_LOOKUP = 500
"""Keys per SELECT; SQLite's oldest limit on variables is 999."""

LOST_SHARE = 0.05
"""Of a damaged cache's replies, up to which work goes on without a word of the user."""


class ReplyCache:
    """Replies by key. Safe to call from any thread, and several processes may share the file.

    A file that is no sound database is set aside as `<name>.corrupt-<timestamp>`; what can be read of it goes into a
    new one. What was lost is known to the new file until somebody goes on without it (`go_on`).

    Raises: TacosError, from any method, when the file cannot be opened or written.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._alone = FileLock(f"{path}.lock")
        """Held while the file is opened or replaced."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, self._alone:
                empty = path.is_file() and not path.stat().st_size
                self._guarded(quick_check)
                if empty:
                    self._guarded(lambda db: note_loss(db, Salvaged([], 0)))
        except OSError as error:
            raise cannot_write(path, error) from error

    def lost(self) -> Loss | None:
        """What a damaged file held and this one lacks; None where nothing is, or all was acknowledged."""

        def read(db: sqlite3.Connection) -> Loss | None:
            found = db.execute(
                "SELECT COUNT(*), SUM(kept), SUM(total), MAX(sent), MAX(got) FROM losses"
            ).fetchone()
            return Loss(*found[1:]) if found[0] else None

        with self._lock:
            return self._guarded(read)

    def go_on(self) -> None:
        """Acknowledge what was lost: it is asked, and paid for, again."""
        with self._lock:
            self._guarded(lambda db: db.execute("DELETE FROM losses"))

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
            self._guarded(lambda db: db.execute(INSERT, row))

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
                if db.in_transaction:
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
                if not is_broken(error):
                    raise
                self._set_aside(error)
                return work(self._open())
        except sqlite3.Error as error:
            raise cannot_write(self.path, OSError(errno.EIO, str(error))) from error
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = connect(self.path)
        return self._db

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Puts a new file with what can be saved in the place of a damaged one; of several processes that find it, one
        does."""
        if self._db:
            self._db.close()
            self._db = None
        with self._alone:
            if _is_sound(self.path):
                return
            aside = set_aside(self.path)
            found = salvage(aside)
            made = self.path.with_name(f"{self.path.name}.new")
            made.unlink(missing_ok=True)
            with closing(connect(made)) as db:
                _insert_many(db, found.rows)
                unread = carried_over(db, aside, TABLES)
                note_loss(db, found)
                db.execute("PRAGMA journal_mode=DELETE")  # all of it into the one file that is renamed
            made.rename(self.path)
        log.warning(
            "the reply cache %s is corrupt (%s): kept as %s; %d of about %d replies could be saved%s",
            self.path,
            error,
            aside,
            len(found.rows),
            found.total,
            "; what was spent under a cap is not known, and counts anew" if unread else "",
        )


def _is_sound(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with closing(connect(path)) as db:
            quick_check(db)
    except sqlite3.DatabaseError:
        return False
    return True


def check_losses(cache: ReplyCache, settings: LLMSettings, go_on: bool) -> None:
    """Whether work may go on without what a damaged cache lost; a small loss is told and taken.

    Raises: TacosError for a larger one, with what it would cost.
    """
    loss = cache.lost()
    if loss is None:
        return
    what = (
        f"{loss.missing:,} of about {plural(loss.total, 'reply', 'replies')}"
        if loss.total
        else "all its replies"
    )
    price = settings.price(round(loss.missing * loss.sent), round(loss.missing * loss.got))
    cost = (
        ""
        if settings.unpriced or not loss.total
        else f", about {money(price)} if {settings.model} gave them all"
    )
    if go_on or loss.share <= LOST_SHARE:
        log.warning("the reply cache %s lost %s%s: they are asked again", cache.path, what, cost)
        cache.go_on()
        return
    raise TacosError(
        f"the reply cache {cache.path} was damaged and lost {what}{cost}; what could be saved is in it, and the "
        "damaged file beside it: put a copy back, or give --continue to ask and pay again"
    )


def _select(db: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Completion]]:
    rest = iter(keys)
    while chunk := list(islice(rest, _LOOKUP)):
        marks = ",".join("?" * len(chunk))
        columns = "key, text, prompt_tokens, completion_tokens, logprobs, finish_reason, digest"
        query = f"SELECT {columns} FROM replies WHERE key IN ({marks})"
        for key, text, sent, got, logprobs, finish, digest in db.execute(query, chunk):
            if not text.strip():  # of a version that kept empty replies
                continue
            try:
                if digest is not None and digest != digest_of(key, text, sent, got):
                    raise ValueError("not what was written")
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
    digest = digest_of(key, reply.text.encode("utf-8", "surrogatepass"), *tokens)
    return key, reply.text, *tokens, time.time(), logprobs, reply.finish_reason, prompt or None, digest


def _insert_many(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    with db:  # commits, or rolls back
        db.execute("BEGIN IMMEDIATE")
        db.executemany(INSERT, rows)
