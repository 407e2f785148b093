"""The rows that every arm selected, read from its artifacts, for `eval.overlap`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.overlap import Rows, overlaps, row_names
from eval.results import Overlap
from tacos.artifacts import ArtifactStore
from tacos.pipeline.graph import ArmStages
from tacos.store import tables
from tacos.types import content_id


def overlap_of(arms: Sequence[ArmStages], store: ArtifactStore) -> Overlap | None:
    """Of selections before they are refined; None for fewer than two arms that select.

    A selection that several seeds share is read once.
    """
    read: dict[str, Rows] = {}
    selected: dict[str, dict[int, Rows]] = {}
    for arm in arms:
        if arm.select is not None:
            name = arm.select.fingerprint
            if name not in read:
                read[name] = selected_rows(store.folder(arm.select))
            selected.setdefault(arm.arm, {})[arm.seed] = read[name]
    return overlaps(selected)


def selected_rows(folder: Path) -> Rows:
    """Named by their conversations: ids of a given set are of another file."""
    return row_names([content_id(sample.messages) for sample in tables.read_selection(folder)])
