"""What a run has spent on a model, and what is in flight, in the file of the reply cache: processes and restarts that
work under one name share it, so that together they keep one cap.

    bills     what was spent, how many calls that were answered, the most that a call used
    billed    replies that are on a bill, so that one from the cache counts once
    flights   calls in flight: sent and not answered yet, with the process that waits

A process that was killed leaves calls in flight. Their servers may charge for them, so the next process that looks
books each with what it was asked for and the longest reply seen so far.

Calls are reserved with what the largest so far used: a prompt with its estimate times the worst ratio seen of tokens
to estimate, or, where that is less, with the worst ratio of long prompts and the most that short ones had beside their
estimate, as a chat template adds it; a reply with its limit, or the longest seen where a server does not keep to it.
Nothing is known before the first answer, so one call goes first, and then no more in flight than twice as many as were
answered. What is in flight when a larger call comes than any before is all that a cap can be overshot by.
"""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import count
from typing import NamedTuple, Protocol, TypeVar

import psutil

T = TypeVar("T")
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS bills (
        bill TEXT PRIMARY KEY, sent INTEGER NOT NULL, got INTEGER NOT NULL, calls INTEGER NOT NULL,
        ratio REAL NOT NULL, long_ratio REAL NOT NULL, extra INTEGER NOT NULL, longest INTEGER NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS billed (bill TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (bill, key))
    WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS flights (
        id INTEGER PRIMARY KEY, bill TEXT NOT NULL, owner TEXT NOT NULL, sent INTEGER NOT NULL, got INTEGER NOT NULL,
        since REAL NOT NULL
    )""",
)
_LOOKUP = 500
_COUNT = count()
LONG = 200
"""Tokens from which a prompt is long, so that what a template adds to it hardly counts."""
SAME_BIRTH_S = 120.0
"""Clocks are set; a process that began within this time of another with its number is the same."""
STALE_S = 3600.0
"""After this a call of another machine counts as lost: none takes so long."""


class Tokens(NamedTuple):
    """Of prompts and of replies: whole numbers, so that no sum drifts; money is computed from them."""

    sent: int
    got: int

    def plus(self, sent: int, got: int) -> Tokens:
        return Tokens(self.sent + sent, self.got + got)


class _Row(NamedTuple):
    """A bill. ratio: the worst of tokens to estimate, long_ratio: that of long prompts; extra: the most tokens of a
    short one beside its estimate."""

    sent: int
    got: int
    calls: int
    ratio: float
    long_ratio: float
    extra: int
    longest: int


class Transactions(Protocol):
    """Where bills are kept, with the tables of `SCHEMA`: a reply cache, or `InMemory`."""

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T: ...


class InMemory:
    """Bills of a client without a cache: of this process alone."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.text_factory = bytes  # as that of a cache
        for table in SCHEMA:
            self._db.execute(table)

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return work(self._db)


class Bill:
    """The bill of one name. Safe to use from several processes, and from the one thread that asks."""

    def __init__(self, kept: Transactions, name: str):
        self._kept, self.name = kept, name
        self.owner = f"{_me()}/{next(_COUNT)}"
        self._own: list[int] = []
        """Calls of this client that are in flight."""
        self.lost = kept.transact(self._open)
        """What calls used that were in flight when their process ended, one for each."""

    @property
    def spent(self) -> Tokens:
        row = self._kept.transact(self._row)
        return Tokens(row.sent, row.got)

    def reserve(self, estimate: int, limit: int, fits: Callable[[Tokens], bool]) -> int | None:
        """Reserve room for one call: its number; None where it would not fit, or too little is known for so many.

        estimate: prompt tokens; limit: the longest reply that is asked for. fits: whether so much may be spent.
        """

        def work(db: sqlite3.Connection) -> int | None:
            row = self._row(db)
            if len(self._own) > 2 * row.calls:
                return None
            by_both = estimate * row.long_ratio + row.extra
            reserved = math.ceil(min(estimate * row.ratio, by_both)), max(limit, row.longest)
            query = "SELECT COALESCE(SUM(sent), 0), COALESCE(SUM(got), 0) FROM flights WHERE bill = ?"
            in_flight = db.execute(query, (self.name,)).fetchone()
            if not fits(Tokens(row.sent, row.got).plus(*in_flight).plus(*reserved)):
                return None
            query = "INSERT INTO flights (bill, owner, sent, got, since) VALUES (?, ?, ?, ?, ?)"
            return db.execute(query, (self.name, self.owner, *reserved, time.time())).lastrowid

        number = self._kept.transact(work)
        if number is not None:
            self._own.append(number)
        return number

    def settle(self, number: int, key: bytes, estimate: int, used: Tokens, answered: bool = True) -> None:
        """Turn the reservation of a call that ended into what it used. answered: whether it tells what calls use."""

        long = estimate >= LONG

        def work(db: sqlite3.Connection) -> None:
            self._row(db)
            db.execute("DELETE FROM flights WHERE id = ?", (number,))
            if answered:
                db.execute("INSERT OR IGNORE INTO billed VALUES (?, ?)", (self.name, key))
            ratio = used.sent / max(estimate, 1)
            db.execute(
                "UPDATE bills SET sent = sent + ?, got = got + ?, calls = calls + ?, ratio = MAX(ratio, ?),"
                " long_ratio = MAX(long_ratio, ?), extra = MAX(extra, ?), longest = MAX(longest, ?) WHERE bill = ?",
                (
                    *used,
                    answered,
                    ratio,
                    ratio if long else 1.0,
                    0 if long else used.sent - estimate,
                    used.got,
                    self.name,
                ),
            )

        self._kept.transact(work)
        if number in self._own:
            self._own.remove(number)

    def add_known(self, replies: Sequence[tuple[bytes, Tokens]]) -> None:
        """Replies from the cache, each once: they were paid for this work before."""

        def work(db: sqlite3.Connection) -> None:
            self._row(db)
            for start in range(0, len(replies), _LOOKUP):
                chunk = dict(replies[start : start + _LOOKUP])
                for key in _billed(db, self.name, list(chunk)):
                    del chunk[key]
                db.executemany("INSERT INTO billed VALUES (?, ?)", ((self.name, key) for key in chunk))
                self._add(db, chunk.values())

        if replies:
            self._kept.transact(work)

    def others_in_flight(self) -> bool:
        """Whether others wait for answers; calls of processes that ended are booked."""
        query = "SELECT COUNT(*) FROM flights WHERE bill = ? AND owner != ?"

        def work(db: sqlite3.Connection) -> bool:
            self._book_lost(db)
            return bool(db.execute(query, (self.name, self.owner)).fetchone()[0])

        return self._kept.transact(work)

    def give_up(self, numbers: Sequence[int]) -> None:
        """Books calls that will have no answer: they were sent."""
        self._own = [number for number in self._own if number not in numbers]
        if numbers:
            self._kept.transact(lambda db: self._book(db, numbers))

    def _open(self, db: sqlite3.Connection) -> list[Tokens]:
        self._row(db)
        return self._book_lost(db)

    def _row(self, db: sqlite3.Connection) -> _Row:
        """What stands on the bill, which is made where there is none: a damaged file may have been replaced."""
        db.execute("INSERT OR IGNORE INTO bills VALUES (?, 0, 0, 0, 1.0, 1.0, 0, 0)", (self.name,))
        columns = ", ".join(_Row._fields)
        return _Row(*db.execute(f"SELECT {columns} FROM bills WHERE bill = ?", (self.name,)).fetchone())

    def _add(self, db: sqlite3.Connection, used: Iterable[Tokens]) -> None:
        every = list(used)
        both = sum(one.sent for one in every), sum(one.got for one in every)
        db.execute("UPDATE bills SET sent = sent + ?, got = got + ? WHERE bill = ?", (*both, self.name))

    def _book_lost(self, db: sqlite3.Connection) -> list[Tokens]:
        """Calls that were in flight when their process ended; what each is taken to have used."""
        rows = db.execute("SELECT id, owner, since FROM flights WHERE bill = ?", (self.name,)).fetchall()
        lost = [id_ for id_, owner, since in rows if not _lives(owner.decode(), since)]
        return self._book(db, lost)

    def _book(self, db: sqlite3.Connection, numbers: Sequence[int]) -> list[Tokens]:
        """With the prompts they were asked with, and the longest reply seen; before any was seen, with their limits."""
        longest, booked = self._row(db).longest, []
        for number in numbers:
            flight = db.execute("SELECT sent, got FROM flights WHERE id = ?", (number,)).fetchone()
            if flight is not None:  # else another process has booked it
                booked.append(Tokens(flight[0], min(flight[1], longest or flight[1])))
                db.execute("DELETE FROM flights WHERE id = ?", (number,))
        self._add(db, booked)
        return booked


def _billed(db: sqlite3.Connection, bill: str, keys: Sequence[bytes]) -> set[bytes]:
    marks = ",".join("?" * len(keys))
    query = f"SELECT key FROM billed WHERE bill = ? AND key IN ({marks})"
    return {key for (key,) in db.execute(query, (bill, *keys))}


class BillReader:
    """A bill as a plan looks at it: nothing is changed."""

    def __init__(self, kept: Transactions, name: str):
        self._kept, self.name = kept, name

    def total(self) -> Tokens:
        """What was spent, with the calls in flight as they are booked where no answer comes."""

        def read(db: sqlite3.Connection) -> Tokens:
            query = "SELECT sent, got, longest FROM bills WHERE bill = ?"
            sent, got, longest = db.execute(query, (self.name,)).fetchone() or (0, 0, 0)
            flights = db.execute("SELECT sent, got FROM flights WHERE bill = ?", (self.name,)).fetchall()
            limits = sum(min(limit, longest or limit) for _, limit in flights)
            return Tokens(sent, got).plus(sum(prompt for prompt, _ in flights), limits)

        return self._kept.transact(read)

    def holds(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` whose replies are on it."""

        def read(db: sqlite3.Connection) -> set[bytes]:
            chunks = (keys[start : start + _LOOKUP] for start in range(0, len(keys), _LOOKUP))
            return {key for chunk in chunks for key in _billed(db, self.name, chunk)}

        return self._kept.transact(read)


@cache
def _me_of(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/{psutil.Process(pid).create_time()}"


def _me() -> str:
    """This process, as no other one is named: pids come again."""
    return _me_of(os.getpid())


def _lives(owner: str, since: float) -> bool:
    """Whether the process still waits; one that was killed and not yet taken off by its parent does not."""
    host, pid, born, _ = owner.rsplit("/", 3)
    if time.time() - since > STALE_S:
        return False
    if host != socket.gethostname():
        return True
    try:
        process = psutil.Process(int(pid))
        return (
            abs(process.create_time() - float(born)) < SAME_BIRTH_S
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False
