"""What a stage is: named work over the folders of other stages, done once and kept.

    artifacts/<name>/<fingerprint>/        a finished stage: its tables and done.json
    artifacts/<name>/<fingerprint>.partial the same while it is worked on, or after a kill

Stages form a graph by holding their inputs, so two methods that need the same tags hold the same
stage and pay once. The done record is written last and the folder renamed, so a folder without
`.partial` is whole. A partial folder is kept: a stage may find its own checkpoints in it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from tacos import __version__
from tacos.store.fingerprint import fingerprint
from tacos.store.intact import DONE as DONE
from tacos.store.intact import WrittenFile
from tacos.types import Pool, Record
from tacos.usage import Ledger, Usage

if TYPE_CHECKING:
    from tacos.llm.base import LLM
    from tacos.llm.estimate import Asked
    from tacos.models.embedder import Embedder, EmbedderSettings
    from tacos.models.expected import Expect

PACKAGES = "torch", "transformers", "trl", "peft", "scikit-learn", "sentence-transformers", "numpy"
"""Those that can change a result."""


class Outcome(Record):
    """What a stage reports of its work."""

    rows_in: int = 0
    """Of the pool, or whatever the stage goes through."""
    rows_out: int = 0
    """Rows that something came of: scores, groups, picks."""
    rows_failed: int = 0
    """Rows, or answers that rows share, that are missing and should not be."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """Any numbers worth a line."""


class Done(Record):
    """The done record, `done.json`."""

    stage: str
    version: int
    fingerprint: str
    settings: dict[str, Any]
    """Those that changed the answer."""
    inputs: dict[str, str]
    """Name of an input -> the fingerprint of its stage."""
    outcome: Outcome
    usage: Usage
    created: str
    """When, as ISO 8601 in UTC."""
    code: str = ""
    """Of the part's file; "" where there is none."""
    commit: str
    """Of the code, or "unknown"."""
    packages: dict[str, str]
    """Name -> version."""
    files: dict[str, WrittenFile]
    """All others in the folder, by name."""

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
        """The clean pool, of the input of that name."""
        return Pool.read(self.inputs["pool"] / "pool.parquet")


@dataclass(frozen=True, eq=False)
class Stage:
    """A node of the graph.

    settings: what changes the answer (enters the fingerprint).
    work: writes its tables into `job.out`; may raise, and is then run again next time.
    estimate: pool and the folders of those inputs that are done -> what the stage will ask, for `tacos plan`;
        None for stages that ask no language model.
    passes: the same of what a model of this machine will read; None where none does.
    code: of the file of the part that works; no part of the fingerprint, and a change is told.
    """

    name: str
    work: Callable[[Job], Outcome]
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Stage] = field(default_factory=dict)
    version: int = 1
    estimate: Callable[[Pool, Mapping[str, Path]], Asked] | None = None
    passes: Expect | None = None
    code: str = ""

    def with_settings(self, **more: Any) -> Stage:
        """The same with more that changes the answer."""
        return replace(self, settings={**self.settings, **more})

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits naming all that changes its answer."""
        parents = {name: stage.fingerprint for name, stage in self.inputs.items()}
        return fingerprint([self.name, self.version, self.settings, parents])

    @property
    def place(self) -> str:
        """Where it lies under the folder of artifacts, NAME/FINGERPRINT."""
        return f"{self.name}/{self.fingerprint}"

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
