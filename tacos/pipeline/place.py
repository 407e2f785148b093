"""Where a stage runs under `--executor ray`: the rule that the cluster follows and `tacos plan` tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tacos.assets import Assets
from tacos.pipeline.graph import Experiment, runs_a_model
from tacos.pipeline.matrix import MatrixCell
from tacos.pipeline.plan import PlannedStage
from tacos.stage import Stage
from train.settings import TrainSettings


class StagePlace(NamedTuple):
    """here: in the process that runs the experiment. gpus: of a machine of the cluster, beside one CPU."""

    here: bool
    gpus: int = 0

    def __str__(self) -> str:
        if self.here:
            return "here (asks an LLM)"
        return "cluster, " + (f"{self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else "1 CPU")


def place_of(stage: Stage, train: TrainSettings | None, has_gpus: bool = True) -> StagePlace:
    """Here where it asks an LLM, so that the cap, the ledger and the reply cache are one; else in the cluster, with as
    many GPUs as its training has processes and one for another model, where the cluster has any."""
    if stage.estimate is not None:
        return StagePlace(here=True)
    if not has_gpus or not runs_a_model(stage):
        return StagePlace(here=False)
    return StagePlace(here=False, gpus=train.launch.processes if train and stage.name == "train" else 1)


def placed(
    planned: Iterable[PlannedStage], cells: Sequence[MatrixCell], assets: Assets | None
) -> list[PlannedStage]:
    """The stages of a plan with their `where`, in a cluster that has GPUs."""
    where: dict[str, str] = {}
    for cell in cells:
        for stage in Experiment(cell.settings, assets).walk():
            where.setdefault(stage.fingerprint, str(place_of(stage, cell.settings.train)))
    return [s.model_copy(update={"where": "" if s.cached else where[s.fingerprint]}) for s in planned]
