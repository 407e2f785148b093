"""Stages as they are worked, in a W&B run: live figures, curves, and what they leave as artifacts.

    stage/train/seconds, stage/train/reused   of every stage; the usage that it had when it was first done
    train/loss by train/step                  the stored curve of a training, whether it ran now or before
    pool-3f0c.. -> selection-44ab.. -> model-91d2.. -> answers-07e5.. -> judgments-5b1c..

A run that goes on under its id is told what its server lacks. Files of this machine (offline) are whole in
themselves, since those of a killed process may end anywhere: the newest of an id has all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tacos.artifacts import ArtifactStore
from tacos.stage import Done, Stage, Tools
from tacos.store.files import read_jsonl
from tacos.tracking.live import Live
from tacos.tracking.tracker import Artifact, Tracker
from tacos.usage import Ledger
from train.curve import HISTORY, curve
from train.outcome import model_artifact

KINDS = {
    "load": "pool",
    "select": "selection",
    "given": "selection",
    "warmup": "selection",
    "experience": "selection",
    "refine": "selection",
    "tag": "tags",
    "normalize": "tags",
    "group": "groups",
    "kmeans": "groups",
    "score": "scores",
    "compare": "scores",
    "infer": "scores",
    "losses": "scores",
    "ratings": "scores",
    "fit": "scores",
    "round": "scores",
    "base": "model",
    "train": "model",
    "answer": "answers",
    "judge": "judgments",
    "mt_bench": "judgments",
    "alpaca_eval": "judgments",
    "five_sets": "judgments",
    "lm_tasks": "judgments",
}
"""How the name of a stage begins, and the type of its artifact; others, such as embeddings, leave none."""
ROWS_TOLD = "stage/train/rows_told"
BY_NAME_ALONE = ("pool", "groups")
"""Types whose files do not go along: their fingerprint stands for them."""


class StageRun:
    """Works on stages, and tells a tracker of them. A context manager, in which figures are told live.

    own: fingerprints of the stages that are told of; others that these rest on, such as the answers of the arm that is
    compared with, are worked on alone. None is all. training: whose curve is told; others are on the way to a
    selection.
    """

    def __init__(
        self,
        tracker: Tracker,
        store: ArtifactStore,
        ledger: Ledger,
        own: Collection[str] | None = None,
        training: Stage | None = None,
    ):
        self.tracker, self.store, self.own, self.training = tracker, store, own, training
        self._told: int | None = None
        """Rows of the training's history that were told; None before the first."""
        self._seen: set[str] = set()
        self._current: Stage | None = None
        self._live = Live(tracker, ledger, self._new_rows)

    def __enter__(self) -> StageRun:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__()

    def work(self, target: Stage, tools: Tools) -> Path:
        """Bring `target` and all it rests on to done, as `ArtifactStore.run` does."""
        for stage in target.walk():
            if stage.fingerprint in self._seen:
                continue
            self._seen.add(stage.fingerprint)
            if self.own is None or stage.fingerprint in self.own:
                self._work(stage, tools)
            else:
                self.store.run(stage, tools)
        return self.store.folder(target)

    def _work(self, stage: Stage, tools: Tools) -> None:
        reused = self.store.is_done(stage)
        self._current = stage
        self.store.run(stage, tools)
        self._live.beat()  # the rest of its curve
        self._current = None
        if self.tracker.run is None:
            return
        done = self.store.record(stage)
        self.tracker.summary(
            {f"stage/{stage.name}/seconds": done.usage.seconds, f"stage/{stage.name}/reused": reused}
        )
        if kept := self.artifact(stage, done):
            self.tracker.keep(kept, used=reused or kept.type == "pool")

    def _new_rows(self) -> Iterator[dict[str, Any]]:
        """Of the training that is worked on, those rows of its history that were not told yet."""
        stage = self.training
        if stage is None or self._current is None or self._current.fingerprint != stage.fingerprint:
            return
        final = self.store.path(stage)
        for path in (final / HISTORY, final.with_name(f"{final.name}.partial") / HISTORY):
            if path.is_file():
                rows = list(read_jsonl(path))
                known = self.tracker.known(ROWS_TOLD) or 0 if self._told is None else self._told
                self._told = len(rows)
                yield from (curve(row) for row in rows[known:])
                self.tracker.summary({ROWS_TOLD: self._told})
                return

    def artifact(self, stage: Stage, done: Done) -> Artifact | None:
        """What the stage left; None for what nobody would look up."""
        kind = _kind(stage)
        if kind is None:
            return None
        folder, name = self.store.folder(stage), _name(stage)
        about = {
            "stage": stage.name,
            "rows_in": done.outcome.rows_in,
            "rows_out": done.outcome.rows_out,
            "made_from": {name: _name(parent) for name, parent in stage.inputs.items()},
            "created": done.created,
            "commit": done.commit,
        }
        if kind == "model":
            made = model_artifact(name, folder, self.tracker.settings.models)
            return made.model_copy(update={"about": made.about | about})
        files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
        if kind in BY_NAME_ALONE:
            known = {file: f"tacos://{stage.place}/{file}" for file in files}
            return Artifact(name=name, type=kind, known_as=known, about=about)
        return Artifact(name=name, type=kind, files=files, about=about)


def _kind(stage: Stage) -> str | None:
    return next((kind for begins, kind in KINDS.items() if stage.name.startswith(begins)), None)


def _name(stage: Stage) -> str:
    return f"{_kind(stage) or stage.name}-{stage.fingerprint}"
