"""The collaborators of a run's stages: its embedders and its LLMs, each made once and when first asked for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tacos.artifacts import ArtifactStore
from tacos.llm.base import LLM
from tacos.llm.build import build_llm
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.pipeline.settings import ModelsSettings
from tacos.stage import Tools
from tacos.usage import Ledger


def work_name(settings: ModelsSettings) -> str:
    """What the caps of a run hold for: the experiment, the method of a selection, or evaluation."""
    return str(getattr(settings, "name", None) or getattr(settings, "method", "eval"))


def open_store(settings: ModelsSettings, retry_failed: bool = False, verify: bool = False) -> ArtifactStore:
    """The finished stages of a run, of its folder and of where they are shared.

    Raises: ConfigError for a `shared` that cannot be; the rest as `ArtifactStore`.
    """
    shared = None
    if settings.shared:
        from tacos.store.shared import SharedFolder

        shared = SharedFolder(settings.shared)
    return ArtifactStore(Path(settings.artifacts), retry_failed, verify, shared)


def make_tools(
    settings: ModelsSettings, ledger: Ledger, retry_failed: bool = False, go_on: bool = False
) -> Tools:
    """Collaborators, each made once and when first asked for; replies are cached beside the artifacts.

    retry_failed: replies of an earlier run that cannot be read are asked for anew.
    go_on: those that a damaged cache lost, too.
    """
    models = cache(settings.models)  # the price table is read when a model is first asked for

    @cache
    def made(chosen: EmbedderSettings) -> Embedder:
        return Embedder(chosen, ledger)

    def embedder(chosen: EmbedderSettings | None = None) -> Embedder:
        return made(chosen or settings.embedder)

    @cache
    def llm(name: str) -> LLM:
        bill = f"{work_name(settings)}/{name}"
        client = build_llm(models()[name], ledger, settings.replies, settings.embedder.device, bill, go_on)
        client.retry_unread = retry_failed
        return client

    return Tools(ledger=ledger, embedder=embedder, llm=llm, device=settings.embedder.device)
