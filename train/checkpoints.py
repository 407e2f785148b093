"""Checkpoints of a killed run: taken up only when they are whole and come from the very same run.

    out/checkpoints/identity.json      what the weights depend on, written before the first step
    out/checkpoints/checkpoint-<step>  as transformers writes it, trainer_state.json last
    out/trained.json                   the result, written last; out/model and out/adapter are complete then

Identity is content and not paths: another selection, base, seed or learning rate in the same folder
starts anew, since its checkpoint at the last step would otherwise pass for a finished training.
"""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from safetensors import SafetensorError, safe_open

from tacos.errors import ConfigError
from tacos.models.epochs import EPOCHS
from tacos.store.files import read_json, write_json
from tacos.store.fingerprint import plain
from train.curve import HISTORY

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"
RESULT = "trained.json"
ADAPTER = "adapter"
LOCK = ".lock"
IDENTITY = "identity.json"
STEP = re.compile(r"checkpoint-(\d+)")
INDEX = "model.safetensors.index.json"
TORCH = (".pt", ".pth")
"""Of files that torch writes, each with a directory at its end."""
FORMATS = (*TORCH, ".json", ".safetensors")
WEIGHTS = (("model.safetensors",), ("adapter_model.safetensors", "adapter_config.json"))


def refuse_foreign(out: Path) -> None:
    """Raises: ConfigError where `out` holds what this training would replace and no training has written to it."""
    ours = any((out / name).exists() for name in (LOCK, RESULT))
    for name in ("model", "model.new", "base.new", ADAPTER, CHECKPOINTS, EPOCHS, HISTORY):
        if (out / name).exists() and not ours:
            raise ConfigError(
                f"{out / name} is not of a training run and would be replaced: give another out"
            )


def make_out(out: Path) -> None:
    """The folder of a training. Raises: ConfigError as `refuse_foreign`, and where it cannot be written to."""
    refuse_foreign(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror or error}; give another out") from error


def resume_point(folder: Path, identity: Mapping[str, Any], deepspeed: bool = False) -> Path | None:
    """The newest whole checkpoint of this run in `folder`, or None; all that cannot be used is removed.

    The identity is written into the folder, so that checkpoints saved from here on are known by it.
    """
    saved, wanted = read_identity(folder), plain(identity)
    changed = sorted(key for key in saved.keys() | wanted.keys() if saved.get(key) != wanted.get(key))
    if changed:
        for checkpoint in checkpoints(folder):
            remove(checkpoint, f"of another run ({', '.join(changed)} differ)")
        write_json(folder / IDENTITY, wanted)  # after the removal: a kill in between changes nothing
    for checkpoint in reversed(checkpoints(folder)):
        if is_whole(checkpoint, deepspeed):
            log.info("going on from %s", checkpoint)
            return checkpoint
        remove(checkpoint, "incomplete")
    return None


def read_identity(folder: Path) -> dict[str, Any]:
    """What the folder says its checkpoints are; empty when it says nothing readable."""
    try:
        saved = read_json(folder / IDENTITY)
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}


def checkpoints(folder: Path) -> list[Path]:
    """The folder's checkpoints, whole or not, by step."""
    found = [(STEP.fullmatch(path.name), path) for path in folder.glob("checkpoint-*") if path.is_dir()]
    return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]


def remove(checkpoint: Path, reason: str) -> None:
    """Raises: OSError when it cannot be deleted, as the trainer might then go on from it."""
    log.warning("removing %s: %s", checkpoint, reason)
    shutil.rmtree(checkpoint)


def is_whole(checkpoint: Path, deepspeed: bool = False) -> bool:
    """Whether a run can go on from it exactly, by the files of transformers 5.19, full, LoRA or DeepSpeed.

    Without its optimizer, scheduler or random state the trainer would go on in silence, to other weights.
    """
    if not sound(checkpoint / "trainer_state.json") or not any(checkpoint.glob("rng_state*.pth")):
        return False
    if not all(sound(path) for path in checkpoint.rglob("*") if path.suffix in FORMATS):
        return False
    if deepspeed:  # its weights and optimizer lie in files of its own, named here when all are written
        return sound(checkpoint / "latest")
    states = all(sound(checkpoint / name) for name in ("optimizer.pt", "scheduler.pt"))
    return states and has_weights(checkpoint)


def has_weights(checkpoint: Path) -> bool:
    """One file of weights, an adapter, or every shard of the index."""
    if any(all(sound(checkpoint / name) for name in names) for names in WEIGHTS):
        return True
    try:
        shards = set(read_json(checkpoint / INDEX)["weight_map"].values())
    except (OSError, ValueError, KeyError):
        return False
    return bool(shards) and all(sound(checkpoint / name) for name in shards)


def sound(path: Path) -> bool:
    """Whether a file is there and nothing of it is cut off, as its format tells; the numbers in it are not read."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "np"):
                return True
        if path.suffix == ".json":
            read_json(path)
        if path.suffix in TORCH:
            return is_zipfile(path)
        return path.stat().st_size > 0
    except (OSError, ValueError, SafetensorError):
        return False
