"""Which model a stage reads: by name, a folder, one that another stage makes, or either with an adapter on it.

Source("Qwen/Qwen2.5-0.5B")                      by hub id; a folder is named by its content
Source(base)                                     a stage, which leaves `model/` in its folder
Source(base, adapter=warmup, part="epochs/2")    with the adapter that a training left there
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tacos.models.local import LocalModel, load_lm, with_adapter
from tacos.stage import Job, Stage
from tacos.store.fingerprint import named_by_content
from tacos.tracking import Ledger

MADE_HERE = "base"
"""The name of a model that a stage of this run makes."""


@dataclass(frozen=True)
class Source:
    """adapter, part: a stage that trained one, and the folder in it that holds it. template: as `load_lm`."""

    model: Stage | str
    adapter: Stage | None = None
    part: str = ""
    template: str = "auto"

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

    def load(self, job: Job, dtype: str, ledger: Ledger | None = None) -> LocalModel:
        """ledger: where its passes are counted. Raises: TacosError naming the model where it cannot be loaded."""
        source = str(job.inputs["base"] / "model") if isinstance(self.model, Stage) else self.model
        lm = load_lm(source, dtype, self.template, job.tools.device, ledger)
        return with_adapter(lm, job.inputs["adapter"] / self.part) if self.adapter is not None else lm
