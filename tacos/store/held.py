"""One process at a time works on a stage; the others wait, and say for whom."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)
PATIENCE_S = 5.0
"""After this a process that waits says so."""


@contextmanager
def held(folder: Path, what: str) -> Iterator[None]:
    """Keeps the lock of a folder. what: is worked on, for the log."""
    path, owner = _files(folder)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        log.info("%s %s: waiting for %s", what, folder.name, _read(owner))
        lock.acquire()
    try:
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}, which works on it since {since}")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def works_since(folder: Path) -> float | None:
    """Since when a process works on a folder, in seconds of the epoch; None where nobody does."""
    lock, owner = _files(folder)
    try:
        since = owner.stat().st_mtime
        with FileLock(lock, blocking=False):
            return None  # a process that was killed left its name
    except FileNotFoundError:
        return None
    except Timeout:
        return since


def _files(folder: Path) -> tuple[Path, Path]:
    """The lock, and who has it."""
    return folder.with_name(f"{folder.name}.lock"), folder.with_name(f"{folder.name}.owner")


def _read(owner: Path) -> str:
    try:
        return owner.read_text() or "another process"
    except OSError:
        return "another process"
