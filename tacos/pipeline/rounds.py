"""The story of a selection in rounds (IterSelectTune): read from its stages, drawn beside its results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.results import HARDNESS_BINS, Round, RoundsReport
from tacos.artifacts import ArtifactStore
from tacos.methods.hard_rounds import State, read_records
from tacos.stage import Stage


def rounds_of(selection: Stage, store: ArtifactStore, arm: str = "") -> RoundsReport | None:
    """None for a selection that has no rounds."""
    last = next((s.inputs["last"] for s in selection.walk() if s.name == "infer"), None)
    if last is None:
        return None
    state = State.read(store.folder(last))
    kinds = {"judged hard": state.label == 1, "judged easy": state.label == 0, "not judged": state.label < 0}
    return RoundsReport(
        arm=arm,
        rounds=[
            Round(
                hard=record.hard,
                easy=record.easy,
                unread=record.unread,
                judge_calls=record.judge_calls,
                auc=record.check.auc if record.check else None,
            )
            for record in read_records(store.folder(last))
        ],
        hardness={
            name: np.histogram(state.hardness[rows], bins=HARDNESS_BINS, range=(0, 1))[0].tolist()
            for name, rows in kinds.items()
        },
    )


def draw_rounds(selection: Stage, store: ArtifactStore, folder: Path) -> None:
    """hard_shares.png and hardness.png; nothing for a selection that has no rounds."""
    report = rounds_of(selection, store)
    if report is None:
        return
    from eval.report.rounds import plots_of_rounds  # matplotlib, which a selection does without
    from eval.report.style import save_png

    for plot in plots_of_rounds(report):
        save_png(plot, folder)
