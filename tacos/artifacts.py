"""The finished stages under one folder, done once and kept, and how one is brought to done.

store = ArtifactStore(Path("artifacts"))
folder = store.run(stage, tools)          # works on what is not done of all that it rests on
"""

from __future__ import annotations

import errno
import logging
import shutil
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import ValidationError

from tacos.amounts import plural
from tacos.errors import TacosError, first_line
from tacos.stage import DONE, Done, Job, Stage, Tools, made_with, package_versions
from tacos.store.files import cannot_write, read_json, write_json
from tacos.store.fingerprint import plain
from tacos.store.held import held
from tacos.store.intact import damage, listing

if TYPE_CHECKING:
    from tacos.store.shared import SharedFolder

log = logging.getLogger(__name__)
NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
"""What an operating system says when a folder takes no more files."""


class ArtifactStore:
    """Finished stages under one root folder, shared by all runs.

    A stage whose files are not as they were written is not done: that is said, and it is worked on again.

    retry_failed: work again on stages in which LLM calls failed for good or replies could not be read, and on all
        that rests on them; what was answered comes from the reply cache.
    verify: read every file to know that it is as it was written, not those alone whose size or time differs.
    shared: where finished stages are fetched from, when their files are needed, and put to.
    """

    def __init__(
        self,
        root: Path,
        retry_failed: bool = False,
        verify: bool = False,
        shared: SharedFolder | None = None,
    ):
        self.root, self.shared = root, shared
        self.retry_failed = retry_failed
        self.verify = verify
        self._intact: dict[Path, Done] = {}
        """Folders that were looked through."""
        self._damaged: set[Path] = set()
        self._fresh: set[str] = set()
        """Fingerprints of the stages this store has worked on."""

    def path(self, stage: Stage) -> Path:
        """Where it lies, or will."""
        return self.root / stage.place

    def folder(self, stage: Stage) -> Path:
        """The same, with the files of a finished stage in it."""
        path = self.path(stage)
        if self.shared and not (path / DONE).is_file() and self.shared.done(stage.place) is not None:
            log.info("%s %s: from %s", stage.name, stage.fingerprint, self.shared.url)
            self.shared.get(stage.place, path)
            self._intact.pop(path, None)
        return path

    def is_done(self, stage: Stage) -> bool:
        """Whether nothing is left to do; a done record that cannot be read counts as none."""
        record = self._read(stage)
        if record is None or not self.retry_failed or stage.fingerprint in self._fresh:
            return record is not None
        parents = stage.inputs.values()
        outdated = any(p.fingerprint in self._fresh or not self.is_done(p) for p in parents)
        return not outdated and not record.unanswered

    def record(self, stage: Stage) -> Done:
        """Raises: TacosError when the stage is not done."""
        record = self._read(stage)
        if record is None:
            raise TacosError(f"{self.folder(stage)} holds no finished stage: run the command again")
        return record

    def _read(self, stage: Stage) -> Done | None:
        folder = self.path(stage)
        if folder in self._intact:
            return self._intact[folder]
        try:
            done = Done.model_validate(read_json(folder / DONE))
        except (OSError, ValueError):
            return self._read_shared(stage)
        if wrong := damage(folder, done.files, self.verify):
            if folder not in self._damaged:
                log.warning("%s %s is damaged (%s): it is done again", stage.name, stage.fingerprint, wrong)
            self._damaged.add(folder)
            return None
        self._intact[folder] = done
        if done.code and done.code != stage.code and done.packages == package_versions():
            log.warning(
                "%s %s is taken as it is, though the file of its part has changed since it was made: where answers "
                "change, give the part a higher version, as in `version: ClassVar[int] = 2`",
                _titled(stage),
                stage.fingerprint,
            )
        return done

    def _read_shared(self, stage: Stage) -> Done | None:
        """Its files are fetched when they are asked for."""
        said = self.shared.done(stage.place) if self.shared else None
        try:
            done = Done.model_validate_json(said) if said else None
        except ValueError:
            return None
        if done:
            self._intact[self.path(stage)] = done
        return done

    def run(self, target: Stage, tools: Tools) -> Path:
        """Bring `target` and all it rests on to done, skipping what is; returns its folder."""
        for stage in target.walk():
            if not self.is_done(stage):
                self._work(stage, tools)
        return self.folder(target)

    def _work(self, stage: Stage, tools: Tools) -> None:
        final = self.path(stage)
        partial = final.with_name(final.name + ".partial")
        before = self._read(stage)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with held(final, stage.name), self._lease(stage):
                self._intact.pop(final, None)
                now = self._read(stage)
                if now is None or now == before:  # else another process has done it while we waited
                    partial.mkdir(exist_ok=True)
                    self._fill(stage, partial, tools)
                    shutil.rmtree(final, ignore_errors=True)  # damaged, or to be done again
                    self._intact.pop(final, None)
                    partial.rename(final)
                    if self.shared:
                        self.shared.put(stage.place, final)
        except OSError as error:
            if error.errno in NO_PLACE:
                raise cannot_write(Path(error.filename or partial), error) from error
            if error.errno is not None:
                raise TacosError(f"{stage.name}: {error}") from error
            raise self._unreadable(stage, error) from error  # as Arrow raises for most damaged Parquet
        except (pa.ArrowException, ValidationError, JSONDecodeError, UnicodeDecodeError) as error:
            raise self._unreadable(stage, error) from error
        self._fresh.add(stage.fingerprint)

    def _unreadable(self, stage: Stage, error: Exception) -> TacosError:
        folders = ", ".join(str(self.folder(parent)) for parent in stage.inputs.values())
        return TacosError(
            f"{_titled(stage)} cannot read its inputs ({first_line(error)}): delete the damaged folder among "
            f"{folders} and run again; where its own code reads something else, look there first"
        )

    def _lease(self, stage: Stage) -> AbstractContextManager[None]:
        return self.shared.lease(stage.place, stage.name) if self.shared else nullcontext()

    def _fill(self, stage: Stage, partial: Path, tools: Tools) -> None:
        log.info("%s %s: start", stage.name, stage.fingerprint)
        inputs = {name: self.folder(parent) for name, parent in stage.inputs.items()}
        with tools.ledger.measure() as spent:
            job = Job(partial, inputs, tools, stage.settings.get("seed", 0))
            try:
                outcome = stage.work(job)
            except Exception as error:
                error.add_note(f"in the stage {_titled(stage)}")
                raise
        done = Done(
            stage=stage.name,
            version=stage.version,
            fingerprint=stage.fingerprint,
            settings=plain(stage.settings),
            inputs={name: parent.fingerprint for name, parent in stage.inputs.items()},
            outcome=outcome.model_copy(update={"metrics": job.metrics | outcome.metrics}),
            usage=spent[0],
            code=stage.code,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            **made_with(),
            files=listing(partial, (DONE,)),
        )
        write_json(partial / DONE, done)
        log.info("%s %s: done in %.1f s", stage.name, stage.fingerprint, done.usage.seconds)
        if done.unanswered:
            log.warning(
                "%s: %s missing or unreadable (%s failed); --retry-failed asks again",
                stage.name,
                plural(done.unanswered, "answer"),
                plural(done.usage.failed_calls, "call"),
            )


def _titled(stage: Stage) -> str:
    """Its name, with the part that does its work."""
    part = stage.settings.get("by")
    return f"{stage.name} ({part})" if part else stage.name
