"""`tracking` of every config: which project, what a run is called, what goes along."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tacos.types import Record


class TrackingSettings(Record):
    """Weights & Biases; the variable WANDB_MODE overrides `mode`."""

    mode: Literal["online", "offline", "disabled"] = "offline"
    project: str = "tacos"
    entity: str | None = None
    """Whose project it is; null is the user's own."""
    group: str | None = None
    """What the run is shown together with; null is the experiment, or the command's own name for its work."""
    name: str | None = None
    """Of the run of one command, or of an experiment as a whole; null is what is worked on."""
    tags: tuple[str, ...] = ()
    """Beside those of method, base and pool."""
    models: bool = False
    """Whether weights of trained models go along, as artifacts; without, a model is known by its fingerprint alone."""
    table_rows: int = Field(1000, ge=1)
    """Rows of a table of texts; of longer ones a sample is shown."""
    max_file_mb: float = Field(100.0, gt=0)
    """Larger files of artifacts are named by fingerprint and size alone."""
