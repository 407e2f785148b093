"""Where a training process runs: which of several it is, as its launcher says by variables, and on what."""

from __future__ import annotations

import os

from train.settings import TrainSettings


def rank() -> int:
    """0 for the main process, or the only one."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Processes over all nodes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def on_cpu(settings: TrainSettings) -> bool:
    import torch

    return settings.device == "cpu" or not torch.cuda.is_available()


def leave_collectives_to_gloo() -> None:
    """Keep DeepSpeed on a CPU from compiling collectives of its own, which needs a C++ compiler and takes a minute on
    two cores; gloo has them all. To be called before DeepSpeed starts its process group."""
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
