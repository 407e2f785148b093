"""Which model a stage reads: by name, a folder, one that another stage makes, or either with an adapter on it.

Source("Qwen/Qwen2.5-0.5B")                      by hub id; a folder is named by its content
Source(base)                                     a stage, which leaves `model/` in its folder
Source(base, adapter=warmup, part="epochs/2")    with the adapter that a training left there
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tacos.models.reading import ModelReading, Work
from tacos.stage import Job, Stage
from tacos.store.fingerprint import named_by_content

MADE_HERE = "base"
"""The name of a model that a stage of this run makes."""


@dataclass(frozen=True)
class Source:
    """adapter, part: a stage that trained one, and the folder in it that holds it. template: as `load_lm`. device: of
    the run, for `tacos plan`."""

    model: Stage | str
    adapter: Stage | None = None
    part: str = ""
    template: str = "auto"
    device: str = "auto"

    @property
    def identity(self) -> dict[str, Any]:
        """What it is; stages are known by being inputs."""
        named = MADE_HERE if isinstance(self.model, Stage) else named_by_content(self.model)
        known: dict[str, Any] = {"model": named}
        if self.adapter is not None:
            known["adapter"] = self.part
        return known if self.template == "auto" else known | {"template": self.template}

    @property
    def inputs(self) -> dict[str, Stage]:
        """The stages that make it."""
        base = {"base": self.model} if isinstance(self.model, Stage) else {}
        return base | ({"adapter": self.adapter} if self.adapter is not None else {})

    def reading(self, job: Job, name: str, dtype: str, work: Work) -> ModelReading:
        """What the stage `name` needs to read it, wherever that is."""
        model = str(job.inputs["base"] / "model") if isinstance(self.model, Stage) else self.model
        adapter = str(job.inputs["adapter"] / self.part) if self.adapter is not None else None
        return ModelReading(name, model, dtype, work, self.template, adapter)
