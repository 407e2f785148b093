"""A finished run once more from what was recorded: `tacos run CONFIG --replay`.

    asks an LLM                    worked on anew: replies come from the cache and are read, scored and counted again
    rests on such a stage          worked on anew too, unless a model does the work
    a model's work                 as it is: trainings, answers, losses, embeddings of the pool

So a changed parser, score or statistic is tried on replies that were paid long ago, without keys or models. A reply
that is not in the cache ends the replay, and so does a model's work that is not finished. What comes out otherwise than
recorded is named: a model that was trained on another selection than the replayed one, for instance. The stages made
anew stand in `artifacts/replay/NAME/`, the report in `runs/NAME-replay/`; the run itself is left as it is.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from tacos.artifacts import ArtifactStore
from tacos.errors import TacosError
from tacos.llm.backends.recorded import RecordedBackend
from tacos.llm.base import LLM
from tacos.llm.cache import ReplyCache
from tacos.llm.client import CachedLLM
from tacos.pipeline.graph import runs_a_model
from tacos.pipeline.settings import ModelsSettings
from tacos.pipeline.tools import make_tools
from tacos.stage import DONE, Stage, Tools
from tacos.usage import Ledger

log = logging.getLogger(__name__)
TIME = re.compile(rb'"tstamp": [0-9.]+')


@cache
def worked_anew(stage: Stage) -> bool:
    """Whether a stage asks an LLM, or does without a model what rests on one that does."""
    if stage.estimate is not None:
        return True
    return not runs_a_model(stage) and any(worked_anew(parent) for parent in stage.inputs.values())


class ReplayStore(ArtifactStore):
    """Stages that are worked on anew in a folder of the replay's own, all others as they were finished."""

    def __init__(self, root: Path, name: str):
        super().__init__(root)
        self.made = root / "replay" / name
        if self.made.exists():
            shutil.rmtree(self.made)  # of an earlier replay

    def path(self, stage: Stage) -> Path:
        recorded = super().path(stage)
        return self.made / recorded.relative_to(self.root) if worked_anew(stage) else recorded

    def run(self, target: Stage, tools: Tools) -> Path:
        """Raises: TacosError for a model's work that is not finished."""
        for stage in target.walk():
            if not worked_anew(stage) and not self.is_done(stage):
                raise TacosError(
                    f"{stage.name} {stage.fingerprint} is not finished, and a replay does what was recorded: run "
                    "without --replay first"
                )
        return super().run(target, tools)

    def tell(self, stages: Iterable[Stage]) -> None:
        """Says which stages came out otherwise than recorded, and that the others did not."""
        anew = [stage for stage in stages if worked_anew(stage) and self.is_done(stage)]
        changed = 0
        for stage in anew:
            if files := _unlike(self.path(stage), super().path(stage)):
                changed += 1
                log.warning(
                    "%s %s is not as it was recorded: %s", stage.name, stage.fingerprint, ", ".join(files)
                )
        log.info("replayed %d stages, %d of them as they were recorded", len(anew), len(anew) - changed)


def _unlike(made: Path, recorded: Path) -> list[str]:
    """Files of either folder that the other has not, or has otherwise; all of them where nothing was recorded."""
    names = sorted(
        {path.name for folder in (made, recorded) if folder.is_dir() for path in folder.iterdir()} - {DONE}
    )
    return [name for name in names if _digest(made / name) != _digest(recorded / name)]


def _digest(path: Path) -> bytes | None:
    """Of the content, but for the times that judgments carry."""
    return hashlib.sha256(TIME.sub(b"", path.read_bytes())).digest() if path.is_file() else None


def replay_tools(settings: ModelsSettings, ledger: Ledger) -> Tools:
    """Tools whose every LLM is the reply cache alone. Raises: TacosError where there is no cache."""
    if not settings.replies.is_file():
        raise TacosError(
            f"there is no {settings.replies}, so no reply is recorded: run without --replay first"
        )
    models = settings.models()
    replies = ReplyCache(settings.replies)

    @cache
    def llm(name: str) -> LLM:
        return CachedLLM(RecordedBackend(models[name]), replies, ledger, models[name])

    return replace(make_tools(settings, ledger), llm=llm)
