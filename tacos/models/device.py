"""Where a model of this process runs, and in which numbers.

A CPU without native bfloat16 needs about ten times as long for a bfloat16 product as for a float32 one, so weights
that are stored in 16 bits are computed in float32 there, unless a dtype is asked for by name.
"""

from __future__ import annotations

from typing import Any


def pick_device(device: str = "auto") -> str:
    """ "auto" takes CUDA, then Apple's MPS, then the CPU."""
    import torch

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def native_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 numbers by itself; elsewhere it is emulated, and slow."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    features = torch.cpu.get_capabilities()
    return any(features.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def in_native_numbers(model: Any, dtype: str, device: str) -> Any:
    """The model as it was loaded, or in float32 where its files are in 16 bits that the device has to emulate.

    dtype: what was asked for; anything but "auto" is kept.
    """
    import torch

    if dtype != "auto":
        return model
    emulated = model.dtype is torch.bfloat16 and not native_bfloat16(device)
    return model.float() if emulated or (model.dtype is torch.float16 and device == "cpu") else model
