"""What a stage is: named work over the folders of other stages, done once and kept.

    artifacts/<name>/<fingerprint>/        a finished stage: its tables and done.json
    artifacts/<name>/<fingerprint>.partial the same while it is worked on, or after a kill

Stages form a graph by holding their inputs, so two methods that need the same tags hold the same
stage and pay once. The done record is written last and the folder renamed, so a folder without
`.partial` is whole. A partial folder is kept: a stage may find its own checkpoints in it.
"""

from __future__ import annotations

import errno
import logging
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
from pydantic import Field, ValidationError

from tacos import __version__
from tacos.errors import TacosError, first_line
from tacos.store.files import cannot_write, read_json, write_json
from tacos.store.fingerprint import fingerprint, plain
from tacos.store.held import held
from tacos.store.intact import WrittenFile, damage, listing
from tacos.types import Pool, Record
from tacos.usage import Ledger, Usage

if TYPE_CHECKING:
    from tacos.llm.base import LLM
    from tacos.llm.estimate import Asked
    from tacos.models.embedder import Embedder, EmbedderSettings
    from tacos.models.expected import Expect

log = logging.getLogger(__name__)
DONE = "done.json"
PACKAGES = "torch", "transformers", "trl", "peft", "scikit-learn", "sentence-transformers", "numpy"
"""Those that can change a result."""
NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
"""What an operating system says when a folder takes no more files."""


class Outcome(Record):
    """What a stage reports of its work: rows in, out and failed, and any numbers worth a line."""

    rows_in: int = 0
    rows_out: int = 0
    rows_failed: int = 0
    metrics: dict[str, Any] = Field(default_factory=dict)


class Done(Record):
    """The done record, `done.json`."""

    stage: str
    version: int
    fingerprint: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    outcome: Outcome
    usage: Usage
    created: str
    commit: str
    packages: dict[str, str]
    files: dict[str, WrittenFile]

    @property
    def unanswered(self) -> int:
        """Answers of a language model that are missing or cannot be read."""
        return max(self.usage.failed_calls, self.outcome.rows_failed if self.usage.asked else 0)


class EmbedderOf(Protocol):
    """Makes each embedder once."""

    def __call__(self, settings: EmbedderSettings | None = None, /) -> Embedder: ...


@dataclass
class Tools:
    """The collaborators a stage may ask for; each is made when first needed, so a run that finds
    everything done loads no model.

    embedder: settings -> a text embedder; without settings, or with none, the run's own.
    llm: name -> the LLM configured under `llms.<name>`.
    """

    ledger: Ledger
    embedder: EmbedderOf
    llm: Callable[[str], LLM]
    device: str = "auto"


@dataclass(frozen=True)
class Job:
    """One piece of work: where to write, the folders to read, the tools at hand, the stage's seed."""

    out: Path
    inputs: Mapping[str, Path]
    tools: Tools
    seed: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    """Numbers worth a line in the done record."""
    budget: int | None = None
    """Rows that will be selected, where a scorer looks at that (and says so in its identity)."""

    def pool(self) -> Pool:
        return Pool.read(self.inputs["pool"] / "pool.parquet")


@dataclass(frozen=True, eq=False)
class Stage:
    """A node of the graph.

    settings: what changes the answer (enters the fingerprint).
    work: writes its tables into `job.out`; may raise, and is then run again next time.
    estimate: pool and the folders of those inputs that are done -> what the stage will ask, for `tacos plan`;
        None for stages that ask no language model.
    passes: the same of what a model of this machine will read; None where none does.
    """

    name: str
    work: Callable[[Job], Outcome]
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Stage] = field(default_factory=dict)
    version: int = 1
    estimate: Callable[[Pool, Mapping[str, Path]], Asked] | None = None
    passes: Expect | None = None

    def with_settings(self, **more: Any) -> Stage:
        """The same with more that changes the answer."""
        return replace(self, settings={**self.settings, **more})

    @cached_property
    def fingerprint(self) -> str:
        parents = {name: stage.fingerprint for name, stage in self.inputs.items()}
        return fingerprint([self.name, self.version, self.settings, parents])

    def walk(self) -> Iterator[Stage]:
        """Every stage this one rests on, inputs first, itself last; each once."""
        seen: set[str] = set()

        def visit(stage: Stage) -> Iterator[Stage]:
            if stage.fingerprint in seen:
                return
            seen.add(stage.fingerprint)
            for parent in stage.inputs.values():
                yield from visit(parent)
            yield stage

        yield from visit(self)


class ArtifactStore:
    """Finished stages under one root folder, shared by all runs.

    A stage whose files are not as they were written is not done: that is said, and it is worked on again.

    retry_failed: work again on stages in which LLM calls failed for good or replies could not be read, and on all
        that rests on them; what was answered comes from the reply cache.
    verify: read every file to know that it is as it was written, not those alone whose size or time differs.
    """

    def __init__(self, root: Path, retry_failed: bool = False, verify: bool = False):
        self.root = root
        self.retry_failed = retry_failed
        self.verify = verify
        self._intact: dict[Path, Done] = {}
        """Folders that were looked through."""
        self._damaged: set[Path] = set()
        self._fresh: set[str] = set()
        """Fingerprints of the stages this store has worked on."""

    def folder(self, stage: Stage) -> Path:
        return self.root / stage.name / stage.fingerprint

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
        folder = self.folder(stage)
        if folder in self._intact:
            return self._intact[folder]
        try:
            done = Done.model_validate(read_json(folder / DONE))
        except (OSError, ValueError):
            return None
        if wrong := damage(folder, done.files, self.verify):
            if folder not in self._damaged:
                log.warning("%s %s is damaged (%s): it is done again", stage.name, stage.fingerprint, wrong)
            self._damaged.add(folder)
            return None
        self._intact[folder] = done
        return done

    def run(self, target: Stage, tools: Tools) -> Path:
        """Bring `target` and all it rests on to done, skipping what is; returns its folder."""
        for stage in target.walk():
            if not self.is_done(stage):
                self._work(stage, tools)
        return self.folder(target)

    def _work(self, stage: Stage, tools: Tools) -> None:
        final = self.folder(stage)
        partial = final.with_name(final.name + ".partial")
        before = self._read(stage)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with held(final, stage.name):
                self._intact.pop(final, None)
                now = self._read(stage)
                if now is None or now == before:  # else another process has done it while we waited
                    partial.mkdir(exist_ok=True)
                    self._fill(stage, partial, tools)
                    shutil.rmtree(final, ignore_errors=True)  # damaged, or to be done again
                    self._intact.pop(final, None)
                    partial.rename(final)
        except OSError as error:
            if error.errno in NO_PLACE:
                raise cannot_write(Path(error.filename or partial), error) from error
            raise TacosError(f"{stage.name}: {error}") from error
        except (pa.ArrowException, ValidationError, JSONDecodeError) as error:
            folders = ", ".join(str(self.folder(parent)) for parent in stage.inputs.values())
            raise TacosError(
                f"{stage.name} cannot read its inputs ({first_line(error)}): "
                f"delete the damaged folder among {folders} and run again"
            ) from error
        self._fresh.add(stage.fingerprint)

    def _fill(self, stage: Stage, partial: Path, tools: Tools) -> None:
        log.info("%s %s: start", stage.name, stage.fingerprint)
        inputs = {name: self.folder(parent) for name, parent in stage.inputs.items()}
        with tools.ledger.measure() as spent:
            job = Job(partial, inputs, tools, stage.settings.get("seed", 0))
            outcome = stage.work(job)
        done = Done(
            stage=stage.name,
            version=stage.version,
            fingerprint=stage.fingerprint,
            settings=plain(stage.settings),
            inputs={name: parent.fingerprint for name, parent in stage.inputs.items()},
            outcome=outcome.model_copy(update={"metrics": job.metrics | outcome.metrics}),
            usage=spent[0],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            **made_with(),
            files=listing(partial, (DONE,)),
        )
        write_json(partial / DONE, done)
        log.info("%s %s: done in %.1f s", stage.name, stage.fingerprint, done.usage.seconds)
        if done.unanswered:
            log.warning(
                "%s: %d answers are missing or cannot be read (%d calls failed); --retry-failed asks for them again",
                stage.name,
                done.unanswered,
                done.usage.failed_calls,
            )


@cache
def git_commit() -> str:
    """The commit of this checkout, or "unknown" where tacos is installed, also into a folder of another checkout."""
    root, command = Path(__file__).resolve().parents[1], ["git", "rev-parse", "--show-toplevel", "HEAD"]
    try:
        said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout
    except OSError:  # no git
        return "unknown"
    return said.splitlines()[1] if said.startswith(f"{root}\n") else "unknown"


@cache
def package_versions() -> dict[str, str]:
    """Versions of `PACKAGES`, and this one's."""
    return {"tacos": __version__} | {name: metadata.version(name) for name in PACKAGES}


def made_with() -> dict[str, Any]:
    """What a record says of its making: the code's commit and the versions of its packages."""
    return {"commit": git_commit(), "packages": package_versions()}
