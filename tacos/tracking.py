"""What a run costs and where its numbers go: the ledger of calls and money, and Weights & Biases."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tacos.errors import first_line, nearest
from tacos.types import Record

log = logging.getLogger(__name__)
MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")


class Usage(Record):
    """What some work used. `calls` were sent and paid now; `cached_calls` were answered from the cache."""

    calls: int = 0
    cached_calls: int = 0
    repeated_calls: int = 0
    """Rows that asked what another row of the same work had asked; they are on nobody's bill."""
    failed_calls: int = 0
    """Calls without an answer after every try."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    cached_prompt_tokens: int = 0
    cached_completion_tokens: int = 0
    cached_cost_usd: float = 0.0
    """What the cached answers cost when they were paid."""
    unpriced_calls: int = 0
    """Of `calls`, those to a model whose price is not known; `cost_usd` does not hold them."""
    cached_unpriced_calls: int = 0
    """The same of `cached_calls`."""
    forward_tokens: int = 0
    """Read by models of this machine: local language models, embedders, those in training; without padding."""
    backward_tokens: int = 0
    """Of `forward_tokens`, those that gradients were taken of."""
    flops: float = 0.0
    """Floating-point operations of these passes (`tacos.models.flops`)."""
    seconds: float = 0.0

    @property
    def asked(self) -> int:
        """Calls however they ended: paid now, before, or failed."""
        return self.calls + self.cached_calls + self.failed_calls

    def as_first_paid(self) -> Usage:
        """The same work with nothing cached: what it would have cost had it come first."""
        return Usage(
            calls=self.calls + self.cached_calls,
            repeated_calls=self.repeated_calls,
            failed_calls=self.failed_calls,
            prompt_tokens=self.prompt_tokens + self.cached_prompt_tokens,
            completion_tokens=self.completion_tokens + self.cached_completion_tokens,
            cost_usd=self.cost_usd + self.cached_cost_usd,
            unpriced_calls=self.unpriced_calls + self.cached_unpriced_calls,
            forward_tokens=self.forward_tokens,
            backward_tokens=self.backward_tokens,
            flops=self.flops,
            seconds=self.seconds,
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})

    def __sub__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) - getattr(other, name) for name in Usage.model_fields})


class Ledger:
    """Adds up usage, from any thread. Tokens and money count answers that were paid in this run."""

    def __init__(self) -> None:
        self._total = Usage()
        self._lock = threading.Lock()

    def add(self, usage: Usage) -> None:
        with self._lock:
            self._total = self._total + usage

    @property
    def total(self) -> Usage:
        with self._lock:
            return self._total

    @contextmanager
    def measure(self) -> Iterator[list[Usage]]:
        """Yields a list that holds, on leaving, the usage of the block with its wall-clock seconds."""
        spent: list[Usage] = []
        before, started = self.total, time.perf_counter()
        yield spent
        spent.append(self.total - before + Usage(seconds=time.perf_counter() - started))


class TrackingSettings(Record):
    """Weights & Biases; the variable WANDB_MODE overrides `mode`."""

    project: str = "tacos"
    mode: Literal["online", "offline", "disabled"] = "offline"


class Tracker:
    """One Weights & Biases run; WANDB_MODE (online, offline, disabled) is obeyed as usual.

    It stands beside the result and never before it: where W&B cannot start, or stops working, that is logged once and
    kept in `problem`, and everything else goes on.

    `mode` is the default where WANDB_MODE is unset. Runs of one `group`, such as an experiment and the
    trainings in it, are shown together; `job` tells them apart.
    """

    def __init__(
        self,
        project: str,
        name: str,
        folder: Path,
        config: Mapping[str, Any],
        mode: str = "offline",
        group: str | None = None,
        job: str | None = None,
    ):
        self.run: Any = None
        self.problem = wandb_problem(mode, folder)
        """Why there is no W&B run, or not all of it; None where all is well."""
        if self.problem is None:
            with self._beside():
                self.run = _start(project, name, folder, config, mode, group, job)
        else:
            log.warning("Weights & Biases is left out: %s", self.problem)

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """What W&B raises in this block ends its run, and nothing else."""
        try:
            yield
        except Exception as error:  # wandb's own errors, a full disk, a network that is gone
            self.run = None
            self.problem = first_line(error)
            log.warning("Weights & Biases is left out: %s", self.problem)

    def log(self, values: Mapping[str, Any]) -> None:
        """Numbers, text or `wandb` media, under names such as "select/tacos/seconds"."""
        with self._beside():
            if self.run is not None:
                self.run.log(dict(values))

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Rows with the same keys, as a W&B table."""
        if self.run is None or not rows:
            return
        import wandb

        columns: list[str | int] = list(rows[0])
        with self._beside():
            data: list[Any] = [[row.get(str(column)) for column in columns] for row in rows]
            self.run.log({name: wandb.Table(columns=columns, data=data)})

    def image(self, name: str, path: Path) -> None:
        if self.run is None:
            return
        import wandb

        with self._beside():
            self.run.log({name: wandb.Image(str(path))})

    def summary(self, values: Mapping[str, Any]) -> None:
        with self._beside():
            if self.run is not None:
                self.run.summary.update(dict(values))

    def finish(self) -> None:
        with self._beside():
            if self.run is not None:
                self.run.finish()


def wandb_problem(mode: str, folder: Path) -> str | None:
    """Why W&B could not track a run into `folder`; None where nothing is in its way. Cheap, to be asked before anything
    is paid: whether its server answers is found out later.

    mode: where WANDB_MODE is unset.
    """
    chosen = os.environ.get("WANDB_MODE") or mode
    if chosen not in MODES:
        return f"WANDB_MODE is {chosen!r}: {nearest(chosen, MODES)}"
    if chosen == "disabled":
        return None
    try:
        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder / "wandb").close()
    except OSError as error:
        return f"{folder / 'wandb'} takes no files ({error.strerror or error}); set WANDB_MODE=disabled"
    try:
        _check_environment()
        if chosen in ("offline", "dryrun") or _logged_in():
            return None
    except Exception as error:  # of whatever kind, it is what `init` would say after all was paid
        return f"{first_line(error).rstrip('.')}: correct it, or set WANDB_MODE=disabled"
    return "no login: run `wandb login`, or set WANDB_MODE=offline"


def _check_environment() -> None:
    """Raises: ValueError for a variable that wandb refuses; an empty one is as good as none."""
    import wandb

    try:
        wandb.Settings().update_from_env_vars({name: value for name, value in os.environ.items() if value})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ValueError(f"WANDB_{str(wrong['loc'][0]).upper()}: {wrong['msg']}") from error


def _logged_in() -> bool:
    import wandb

    return bool(wandb.login(prompt=False, verify=False))


def _start(
    project: str,
    name: str,
    folder: Path,
    config: Mapping[str, Any],
    mode: str,
    group: str | None,
    job: str | None,
) -> Any:
    import wandb

    chosen: Any = os.environ.get("WANDB_MODE") or mode
    if not os.environ.get("WANDB_MODE"):
        os.environ.pop("WANDB_MODE", None)  # wandb takes an empty one for a mode
    return wandb.init(
        project=project,
        name=name,
        group=group or name,
        job_type=job,
        reinit="create_new",  # a training is tracked within its experiment's run
        dir=str(folder),
        config=dict(config),
        mode=chosen,
        settings=wandb.Settings(console="off", silent=True),
    )
