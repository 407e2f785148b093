"""Pictures of a selection in rounds (IterSelectTune), beside its results: hard_shares.png and hardness.png."""

from __future__ import annotations

from pathlib import Path

from tacos.methods.hard_rounds import State, read_records
from tacos.stage import ArtifactStore, Stage


def draw_rounds(selection: Stage, store: ArtifactStore, folder: Path, prefix: str = "") -> None:
    """Draws nothing for a selection that has no rounds. prefix: of the files' names."""
    last = next((s.inputs["last"] for s in selection.walk() if s.name == "infer"), None)
    if last is None:
        return
    from eval.report.rounds import hard_shares, hardness  # matplotlib, which a selection does without
    from eval.report.style import save_png

    records, state = read_records(store.folder(last)), State.read(store.folder(last))
    kinds = {"judged hard": state.label == 1, "judged easy": state.label == 0, "not judged": state.label < 0}
    plots = [
        hard_shares([(record.hard, record.easy) for record in records]),
        hardness({name: state.hardness[rows] for name, rows in kinds.items()}),
    ]
    for plot in plots:
        path = save_png(plot, folder)
        path.rename(path.with_name(prefix + path.name))
