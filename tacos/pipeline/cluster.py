"""The stages of an experiment on the machines of a Ray cluster: `tacos run CONFIG --executor ray`.

    stage asks an LLM       here, one after the other
    any other stage         a Ray task, as soon as what it rests on is done (`tacos.pipeline.place`)

A task is given the settings and the stage's fingerprint, builds the same graph and brings that one stage to done in the
artifact folder, which all machines see at the same path; where they have no disk in common, `shared` carries finished
stages between their own folders. The folder's lock is the stage's lease, or the one in `shared`: a stage that another
process works on is waited for, and one whose process was killed is free again. Ray runs the task of a lost machine once
more elsewhere, and it goes on from its checkpoints. What comes out is what `tacos run` gives here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from eval.results import Failure
from tacos.artifacts import ArtifactStore
from tacos.assets import Assets
from tacos.errors import ConfigError, TacosError, first_line
from tacos.pipeline.graph import ArmStages, Experiment
from tacos.pipeline.place import place_of
from tacos.pipeline.settings import ExperimentSettings
from tacos.pipeline.tools import make_tools, open_store
from tacos.ray_cluster import RayActors, connect
from tacos.stage import Stage, Tools
from tacos.store.fingerprint import plain
from tacos.usage import Ledger

log = logging.getLogger(__name__)
RETRIES = 3
"""How often Ray runs a task again whose process or machine is gone."""


class Work(NamedTuple):
    """What a task is told. here: the folder that relative paths stand under."""

    settings: Mapping[str, Any]
    assets: Assets | None
    fingerprint: str
    here: str


def do(work: Work) -> str | None:
    """In a task: bring a stage to done; returns why it could not be."""
    os.makedirs(work.here, exist_ok=True)
    os.chdir(work.here)
    settings = ExperimentSettings.model_validate(work.settings)
    stage = next(s for s in Experiment(settings, work.assets).walk() if s.fingerprint == work.fingerprint)
    try:
        open_store(settings).run(stage, make_tools(settings, Ledger()))
    except TacosError as error:
        return first_line(error)
    return None


class Cluster:
    """Stages at work, here and there."""

    def __init__(self, experiment: Experiment, store: ArtifactStore, tools: Tools, address: str):
        self.experiment, self.store, self.tools = experiment, store, tools
        self.settings: Mapping[str, Any] = plain(experiment.settings)
        self.ray = connect(RayActors(address=address))
        self.gpus = self.ray.cluster_resources().get("GPU", 0)
        self.remote: dict[Any, Stage] = {}
        self.local: dict[Future[None], Stage] = {}
        self.reasons: dict[str, tuple[str, str]] = {}
        """Fingerprint of a stage that failed, or rests on one -> the stage that did, and why."""

    def run(self, stages: Sequence[Stage]) -> None:
        """All of them, inputs first; what cannot be done is in `reasons`."""
        waiting = {stage.fingerprint: stage for stage in stages if not self.store.is_done(stage)}
        with ThreadPoolExecutor(1) as here:
            while waiting or self.remote or self.local:
                for stage in list(self._ready(waiting)):
                    del waiting[stage.fingerprint]
                    self._start(stage, here)
                self._settle()

    def _ready(self, waiting: Mapping[str, Stage]) -> Iterator[Stage]:
        busy = {stage.fingerprint for stage in (*self.remote.values(), *self.local.values())}
        for stage in waiting.values():
            parents = [parent.fingerprint for parent in stage.inputs.values()]
            if lost := next((p for p in parents if p in self.reasons), None):
                self.reasons[stage.fingerprint] = self.reasons[lost]
                yield stage
            elif not any(p in waiting or p in busy for p in parents):
                yield stage

    def _start(self, stage: Stage, here: ThreadPoolExecutor) -> None:
        if stage.fingerprint in self.reasons:
            return
        place = place_of(stage, self.experiment.settings.train, self.gpus > 0)
        if place.here:
            self.local[here.submit(self._work_here, stage)] = stage
            return
        work = Work(self.settings, self.experiment.assets, stage.fingerprint, os.getcwd())
        options = {"num_cpus": 1, "num_gpus": place.gpus, "max_retries": RETRIES}
        log.info("%s %s: to the cluster", stage.name, stage.fingerprint)
        self.remote[self.ray.remote(do).options(**options).remote(work)] = stage

    def _work_here(self, stage: Stage) -> None:
        self.store.run(stage, self.tools)

    def _settle(self) -> None:
        """Wait until something ends, for at most a tenth of a second where both sides work."""
        if self.remote:
            ready, _ = self.ray.wait(list(self.remote), timeout=0.1 if self.local else None)
            for call in ready:
                self._end(self.remote.pop(call), self._said(call))
        for future in [f for f in self.local if f.done() or not self.remote]:
            stage, error = self.local.pop(future), future.exception()
            if error is not None and not isinstance(error, TacosError):
                raise error
            if isinstance(error, ConfigError):
                raise error
            self._end(stage, first_line(error) if error else None)

    def _said(self, call: Any) -> str | None:
        """Raises: RayTaskError for a bug there."""
        try:
            said: str | None = self.ray.get(call)
        except self.ray.exceptions.RayTaskError:
            raise
        except self.ray.exceptions.RayError as error:
            return f"its machine was lost {RETRIES + 1} times: {first_line(error)[:200]}"
        return said

    def _end(self, stage: Stage, reason: str | None) -> None:
        if reason is not None:
            log.error("%s %s failed: %s; the others go on", stage.name, stage.fingerprint, reason)
            self.reasons[stage.fingerprint] = (stage.name, reason)


def work_on_ray(
    experiment: Experiment, store: ArtifactStore, tools: Tools, needed: set[str] | None, address: str
) -> list[Failure]:
    """All stages of all arms; returns what failed, an arm once. needed, raises: as `tacos.pipeline.run.work`.

    Raises: ConfigError where Ray is not installed, TacosError where there is no cluster at `address`.
    """
    if store.retry_failed:
        raise ConfigError("--retry-failed asks again on this machine: leave out --executor ray")
    cluster = Cluster(experiment, store, tools, address)
    cluster.run(experiment.walk())
    failures: dict[str, Failure] = {}
    for arm in experiment.arms:
        if found := _lost(arm, cluster.reasons):
            stage, reason = found
            if needed is None or arm.arm in needed:
                raise TacosError(f"{arm.arm}, seed {arm.seed}: {stage} failed: {reason}")
            failures.setdefault(arm.arm, Failure(arm=arm.arm, seed=arm.seed, stage=stage, reason=reason))
    return list(failures.values())


def _lost(arm: ArmStages, reasons: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    return next((reasons[s.fingerprint] for s in arm.stages().values() if s.fingerprint in reasons), None)
