"""The epochs that a training with adapters kept (`train.keep_epochs`), as selection reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacos.errors import TacosError
from tacos.models.gradients import Moments, trained_weights
from tacos.store.files import read_json

if TYPE_CHECKING:
    from tacos.models.local import LocalModel

EPOCHS = "epochs"
MOMENTS = "moments.safetensors"
STATE = "epoch.json"


def epoch(number: int) -> str:
    """The folder of an epoch, from 1, in that of a training."""
    return f"{EPOCHS}/{number}"


def learning_rate(folder: Path) -> float:
    """The mean over the steps of an epoch."""
    return float(read_json(folder / STATE)["learning_rate"])


def read_moments(lm: LocalModel) -> Moments:
    """What is kept beside the model's adapter. Raises: TacosError where nothing is."""
    import torch
    from safetensors.torch import load_file

    folder = lm.adapter
    if folder is None or not (folder / MOMENTS).is_file():
        raise TacosError(f"{folder} holds no moments of AdamW: train with train.keep_epochs=true")
    held, said = load_file(folder / MOMENTS), read_json(folder / STATE)
    names = [name for name, _ in trained_weights(lm)]

    def of(kind: str) -> Any:
        return torch.cat([held[f"{kind}.{name}"].flatten() for name in names]).to(lm.device)

    return Moments(of("mean"), of("square"), tuple(said["betas"]), said["epsilon"])
