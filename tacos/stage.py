"""What a stage is: named work over the folders of other stages, done once and kept.

    artifacts/<name>/<fingerprint>/        a finished stage: its tables and done.json
    artifacts/<name>/<fingerprint>.partial the same while it is worked on, or after a kill

Stages form a graph by holding their inputs, so two methods that need the same tags hold the same
stage and pay once. The done record is written last and the folder renamed, so a folder without
`.partial` is whole. A partial folder is kept: a stage may find its own checkpoints in it.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic import Field

from tacos.store.files import cannot_write, read_json, write_json
from tacos.store.fingerprint import fingerprint, plain
from tacos.tracking import Ledger, Usage
from tacos.types import Pool, Record

if TYPE_CHECKING:
    from tacos.embed import Embedder
    from tacos.llm.base import LLM

log = logging.getLogger(__name__)
DONE = "done.json"


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


@dataclass
class Tools:
    """The collaborators a stage may ask for; each is made when first needed, so a run that finds
    everything done loads no model.

    embedder: () -> the run's text embedder.
    llm: name -> the LLM configured under `llms.<name>`.
    """

    ledger: Ledger
    embedder: Callable[[], Embedder]
    llm: Callable[[str], LLM]
    device: str = "auto"


@dataclass(frozen=True)
class Job:
    """One piece of work: where to write, the folders to read, and the tools at hand."""

    out: Path
    inputs: Mapping[str, Path]
    tools: Tools

    def pool(self) -> Pool:
        return Pool.read(self.inputs["pool"] / "pool.parquet")


@dataclass(frozen=True, eq=False)
class Stage:
    """A node of the graph.

    settings: what changes the answer (enters the fingerprint).
    work: writes its tables into `job.out`; may raise, and is then run again next time.
    estimate: pool and the folders of those inputs that are done -> expected paid calls, tokens and
        money, for `tacos plan`; None for free stages.
    """

    name: str
    work: Callable[[Job], Outcome]
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Stage] = field(default_factory=dict)
    version: int = 1
    estimate: Callable[[Pool, Mapping[str, Path]], Usage] | None = None

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
    """Finished stages under one root folder, shared by all runs."""

    def __init__(self, root: Path):
        self.root = root

    def folder(self, stage: Stage) -> Path:
        return self.root / stage.name / stage.fingerprint

    def is_done(self, stage: Stage) -> bool:
        return (self.folder(stage) / DONE).exists()

    def record(self, stage: Stage) -> Done:
        """Raises: FileNotFoundError when the stage is not done."""
        return Done.model_validate(read_json(self.folder(stage) / DONE))

    def run(self, target: Stage, tools: Tools, on_start: Callable[[Stage], None] | None = None) -> Path:
        """Bring `target` and all it rests on to done, skipping what is; returns its folder."""
        if not self.is_done(target):
            for stage in target.inputs.values():
                self.run(stage, tools, on_start)
            if on_start:
                on_start(target)
            self._work(target, tools)
        return self.folder(target)

    def _work(self, stage: Stage, tools: Tools) -> None:
        final = self.folder(stage)
        partial = final.with_name(final.name + ".partial")
        try:
            partial.mkdir(parents=True, exist_ok=True)
            with FileLock(final.with_name(final.name + ".lock")):
                if not self.is_done(stage):  # another process may have finished it while we waited
                    self._fill(stage, partial, tools)
                    partial.rename(final)
        except OSError as error:
            raise cannot_write(Path(error.filename or partial), error) from error

    def _fill(self, stage: Stage, partial: Path, tools: Tools) -> None:
        log.info("%s %s: start", stage.name, stage.fingerprint)
        inputs = {name: self.folder(parent) for name, parent in stage.inputs.items()}
        with tools.ledger.measure() as spent:
            outcome = stage.work(Job(partial, inputs, tools))
        done = Done(
            stage=stage.name,
            version=stage.version,
            fingerprint=stage.fingerprint,
            settings=plain(stage.settings),
            inputs={name: parent.fingerprint for name, parent in stage.inputs.items()},
            outcome=outcome,
            usage=spent[0],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=git_commit(),
            packages=package_versions(),
        )
        write_json(partial / DONE, done)
        log.info("%s %s: done in %.1f s", stage.name, stage.fingerprint, done.usage.seconds)


@cache
def git_commit() -> str:
    """The commit of this checkout, or "unknown" outside one."""
    here = Path(__file__).parent
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or "unknown"


@cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that can change a result."""
    names = (
        "tacos",
        "torch",
        "transformers",
        "trl",
        "peft",
        "scikit-learn",
        "sentence-transformers",
        "numpy",
    )
    return {name: metadata.version(name) for name in names}
