"""Finished stages that machines without a common disk share, behind an fsspec URL such as s3://bucket/tacos.

    shared.done("tag/3f2a..")             its done record, written last, so a stage is there as a whole or not at all
    shared.get("tag/3f2a..", folder)      from there; shared.put(...) the other way
    with shared.lease("tag/3f2a..", "tag"):   one machine works on it; others wait, and say for whom

A lease is a small object with an end, renewed while its holder lives; who finds it past its end takes it over. Where
two write at once the later one has it, which both see when they read it again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from tacos.errors import ConfigError, TacosError, first_line
from tacos.store.intact import DONE

log = logging.getLogger(__name__)
LEASE_S = 180.0
"""How long a lease holds without being renewed: longer than clocks of machines differ."""
SETTLE_S = 0.5
"""After writing a lease, until it is read again."""
POLL_S = 2.0


class SharedFolder:
    """Places are "NAME/FINGERPRINT" under the URL.

    Raises: ConfigError for a URL of an unknown kind, or one whose package is not installed; methods raise TacosError
        where the place cannot be reached.
    """

    def __init__(
        self, url: str, lease_s: float = LEASE_S, settle_s: float = SETTLE_S, poll_s: float = POLL_S
    ):
        self.url, self.lease_s, self.settle_s, self.poll_s = url, lease_s, settle_s, poll_s
        try:
            self.fs, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"shared={url}: {first_line(error)}") from error

    def done(self, place: str) -> bytes | None:
        """The done record; None where the stage is not finished."""
        return self._read(f"{place}/{DONE}")

    def get(self, place: str, folder: Path) -> None:
        """Into `folder`, which is there as a whole or not at all."""
        partial = folder.with_name(f"{folder.name}.fetched.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        with self._reached(place):
            partial.parent.mkdir(parents=True, exist_ok=True)
            for path in self.fs.find(self._path(place)):
                to = partial / path.removeprefix(f"{self._path(place)}/")
                to.parent.mkdir(parents=True, exist_ok=True)
                self.fs.get_file(path, str(to))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)

    def put(self, place: str, folder: Path) -> None:
        """All files of `folder`, the done record last."""
        files = (path for path in folder.rglob("*") if path.is_file())
        with self._reached(place):
            if self.fs.exists(self._path(f"{place}/{DONE}")):
                self.fs.rm_file(self._path(f"{place}/{DONE}"))
            for path in sorted(files, key=lambda path: (path == folder / DONE, path)):
                to = self._path(f"{place}/{path.relative_to(folder).as_posix()}")
                self.fs.makedirs(to.rpartition("/")[0], exist_ok=True)
                self.fs.put_file(str(path), to)

    @contextmanager
    def lease(self, place: str, what: str) -> Iterator[None]:
        """Hold the stage at `place`. what: is worked on, for the log."""
        token, ended = uuid.uuid4().hex, threading.Event()
        self._acquire(place, what, token)
        renewing = threading.Thread(target=self._renew, args=(place, token, ended), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()
            if (self._lease(place) or {}).get("token") == token:
                with self._reached(place):
                    self.fs.rm_file(self._path(f"{place}.lease"))

    def _acquire(self, place: str, what: str, token: str) -> None:
        told = False
        while True:
            held = self._lease(place)
            if held is None or held["until"] < time.time():
                self._write_lease(place, token)
                time.sleep(self.settle_s)
                if (self._lease(place) or {}).get("token") == token:
                    return
                continue
            if not told:
                log.info("%s %s: waiting for %s", what, place.rpartition("/")[2], held["owner"])
                told = True
            time.sleep(self.poll_s)

    def _renew(self, place: str, token: str, ended: threading.Event) -> None:
        while not ended.wait(self.lease_s / 3):
            try:
                held = self._lease(place)
                if held and held["token"] != token:
                    log.warning("the lease of %s was taken over by %s", place, held["owner"])
                    return  # it was not renewed in time; both do the work, and the last one's files stay
                self._write_lease(place, token)
            except TacosError as error:
                log.warning("the lease of %s could not be renewed: %s", place, first_line(error))

    def _lease(self, place: str) -> dict[str, Any] | None:
        text = self._read(f"{place}.lease")
        try:
            found = json.loads(text) if text else None
            return found if found and {"token", "until", "owner"} <= found.keys() else None
        except ValueError:
            return None  # cut off while it was written

    def _write_lease(self, place: str, token: str) -> None:
        owner = f"process {os.getpid()} on {socket.gethostname()}"
        said = {"token": token, "owner": owner, "until": time.time() + self.lease_s}
        path = self._path(f"{place}.lease")
        with self._reached(place):
            self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.fs.pipe_file(path, json.dumps(said).encode())

    def _read(self, place: str) -> bytes | None:
        with self._reached(place):
            try:
                self.fs.invalidate_cache()
                found: bytes = self.fs.cat_file(self._path(place))
                return found
            except FileNotFoundError:
                return None

    def _path(self, place: str) -> str:
        return f"{self.root.rstrip('/')}/{place}"

    @contextmanager
    def _reached(self, place: str) -> Iterator[None]:
        """Stores raise errors of their own packages."""
        try:
            yield
        except TacosError:
            raise
        except Exception as error:
            raise TacosError(f"{self.url}/{place} cannot be reached: {first_line(error)}") from error
