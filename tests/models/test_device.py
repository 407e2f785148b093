"""Which numbers a model computes in."""

from __future__ import annotations

import pytest
import torch

from tacos.models import device
from tacos.models.device import in_native_numbers, native_bfloat16, pick_device


class Model:
    def __init__(self, dtype: torch.dtype):
        self.dtype = dtype

    def float(self) -> Model:
        return Model(torch.float32)


def test_emulated_numbers_become_float32_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert not native_bfloat16("cpu")
    assert in_native_numbers(Model(torch.bfloat16), "auto", "cpu").dtype is torch.float32
    assert in_native_numbers(Model(torch.bfloat16), "bfloat16", "cpu").dtype is torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert in_native_numbers(Model(torch.bfloat16), "auto", "cpu").dtype is torch.bfloat16
    assert in_native_numbers(Model(torch.float16), "auto", "cpu").dtype is torch.float32


def test_a_device_by_name_is_taken_and_auto_finds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == "cuda"


def test_the_doctor_says_what_a_cpu_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from tacos import doctor

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert "no native bfloat16" in doctor.device().detail
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "avx512_f": True})
    assert doctor.device().detail.endswith("native bfloat16") and device
