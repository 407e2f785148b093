"""One Weights & Biases run of a command, of an experiment, or of one arm and seed in it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from tacos.errors import exit_code, first_line
from tacos.tracking.problem import chosen_mode, wandb_problem
from tacos.tracking.public import public
from tacos.tracking.settings import TrackingSettings
from tacos.types import Record

log = logging.getLogger(__name__)
STEPS = {"train/*": "train/step", "llm/*": "time_s", "progress/*": "time_s"}
"""Metrics with an axis of their own."""
BYTES_PER_MB = 1_000_000
MOST_OF_TAG = 64
"""Characters that W&B takes of a tag."""


class TrackedRun(Record):
    """What a run is called. The same id is the same run: a command that is repeated, or goes on, continues it."""

    id: str
    """Letters, digits and dashes: a job and a fingerprint."""
    name: str
    group: str
    job: str
    """The command: select, train, answer, eval, iqs; or experiment, or arm."""
    tags: tuple[str, ...] = ()


class Artifact(Record):
    """An artifact: files of this machine, or what stands for them."""

    name: str
    type: str
    files: dict[str, Path] = Field(default_factory=dict)
    """Name in the artifact -> file."""
    known_as: dict[str, str] = Field(default_factory=dict)
    """Name in the artifact -> a fingerprint that stands for a file, `tacos://load/44839e091919cde7/pool.parquet`."""
    about: dict[str, Any] = Field(default_factory=dict)


class Tracker:
    """WANDB_MODE (online, offline, disabled) is obeyed as usual, and goes before the settings.

    It stands beside the result and never before it: where W&B cannot start, or stops working, that is logged once and
    kept in `problem`, and everything else goes on. As a context manager it ends with the exit code of the command.

    config: what the run was made from; absolute paths in it lose their folders.
    """

    def __init__(
        self, settings: TrackingSettings, folder: Path, shown: TrackedRun, config: Mapping[str, Any]
    ):
        self.settings = settings
        self.run: Any = None
        self._lock = threading.RLock()
        self.problem = wandb_problem(settings.mode, folder)
        """Why there is no W&B run, or not all of it; None where all is well."""
        if self.problem is None and chosen_mode(settings.mode) != "disabled":
            with self._beside():
                self.run = _start(settings, folder, shown, public(dict(config)))
                for metric, step in STEPS.items():
                    self.run.define_metric(metric, step_metric=step)
        elif self.problem is not None:
            log.warning("Weights & Biases is left out: %s", self.problem)

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """What W&B raises in this block ends its run, and nothing else."""
        try:
            with self._lock:
                yield
        except Exception as error:  # wandb's own errors, a full disk, a network that is gone
            self.run = None
            self.problem = first_line(error)
            log.warning("Weights & Biases is left out: %s", self.problem)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.finish(exit_code(error))

    def log(self, values: Mapping[str, Any]) -> None:
        """Numbers, text or `wandb` media, under names such as "train/loss"."""
        with self._beside():
            if self.run is not None and values:
                self.run.log(dict(values))

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows with the same keys, as a W&B table; of more than `table_rows` evenly spaced ones."""
        if self.run is None or not rows:
            return
        import wandb

        columns: list[str | int] = list(rows[0])
        with self._beside():
            shown = _spaced(rows, self.settings.table_rows)
            data: list[Any] = [[row.get(str(column)) for column in columns] for row in shown]
            self.run.log({name: wandb.Table(columns=columns, data=data, allow_mixed_types=True)})
            if len(shown) < len(rows):
                self.run.summary.update({f"{name}_rows": len(rows), f"{name}_rows_shown": len(shown)})

    def image(self, name: str, path: Path) -> None:
        if self.run is None:
            return
        import wandb

        with self._beside():
            self.run.log({name: wandb.Image(str(path))})

    def page(self, name: str, path: Path) -> None:
        """An HTML file that needs nothing else."""
        if self.run is None:
            return
        import wandb

        with self._beside():
            self.run.log({name: wandb.Html(path.read_text(encoding="utf-8"), inject=False)})

    def summary(self, values: Mapping[str, Any]) -> None:
        """The figures of the run; None is left out."""
        with self._beside():
            if self.run is not None:
                self.run.summary.update({name: value for name, value in values.items() if value is not None})

    def known(self, name: str) -> Any:
        """A figure that the server has of this run from before; None where it is new, or of this machine alone."""
        with self._beside():
            if self.run is not None and self.run.resumed:
                return self.run.summary.get(name)
        return None

    def keep(self, kept: Artifact, used: bool = False) -> None:
        """An artifact that the run made or, where it is `used`, rests on."""
        with self._beside():
            if self.run is None:
                return
            made = _artifact(kept, self.settings.max_file_mb)
            if used:  # `use_artifact` does this too, but waits for the server, and refuses to offline
                self.run._log_artifact(made, use_after_commit=True, is_user_created=True)
            else:
                self.run.log_artifact(made)

    def finish(self, code: int = 0) -> None:
        with self._beside():
            if self.run is not None:
                self.run.finish(exit_code=code)
        self.run = None


_STARTED: list[bool] = []
"""Whether this process has asked for a run before."""


def _spaced(rows: Sequence[Mapping[str, Any]], most: int) -> Sequence[Mapping[str, Any]]:
    """Of more than `most` rows as many, evenly spaced from the first to the last."""
    if len(rows) <= most:
        return rows
    return [rows[i * (len(rows) - 1) // max(most - 1, 1)] for i in range(most)]


def _artifact(kept: Artifact, max_file_mb: float) -> Any:
    import wandb

    made = wandb.Artifact(kept.name, type=kept.type, metadata=public(kept.about))
    for name, path in kept.files.items():
        size = path.stat().st_size
        if size <= max_file_mb * BYTES_PER_MB:
            made.add_file(str(path), name=name, policy="immutable", skip_cache=True)
        else:
            made.add_reference(f"tacos://{kept.name}/{name}?bytes={size}", name=name, checksum=False)
    for name, address in kept.known_as.items():
        made.add_reference(address, name=name, checksum=False)
    return made


def _start(settings: TrackingSettings, folder: Path, shown: TrackedRun, config: dict[str, Any]) -> Any:
    import wandb

    chosen: Any = chosen_mode(settings.mode)
    if not os.environ.get("WANDB_MODE"):
        os.environ.pop("WANDB_MODE", None)  # wandb takes an empty one for a mode
    if not _STARTED:  # the service of a process that started this one knows runs that are none of ours
        os.environ.pop("WANDB_SERVICE", None)
        _STARTED.append(True)
    # silent, else it warns of fingerprints that stand for files
    wandb.setup(wandb.Settings(silent=True, console="off"))
    return wandb.init(
        project=settings.project,
        entity=settings.entity,
        id=shown.id,
        name=shown.name,
        group=shown.group,
        job_type=shown.job,
        tags=list(dict.fromkeys(tag[:MOST_OF_TAG] for tag in (*shown.tags, *settings.tags) if tag)),
        resume="allow",
        reinit="create_new",  # arms are tracked within their experiment's run
        dir=str(folder.resolve()),  # its service keeps the working folder that it was started in
        config=config,
        mode=chosen,
        # metadata would say where this machine keeps things, and who works here
        settings=wandb.Settings(console="off", silent=True, x_disable_meta=True, disable_git=True),
    )
