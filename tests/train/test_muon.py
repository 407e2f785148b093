"""Muon in float32: the same steps as torch's, whose iterations are in bfloat16."""

from __future__ import annotations

import pytest
import torch

from train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(16, 16), (24, 8), (8, 24)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    made = orthogonal(torch.randn(3, *shape), iterations=5)
    values = torch.linalg.svdvals(made)
    assert made.dtype is torch.float32 and made.shape == (3, *shape)
    assert values.min() > 0.5 and values.max() < 1.3


def test_a_step_is_that_of_torch_up_to_its_rounding() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(12, 20), [torch.randn(12, 20) for _ in range(3)]
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    steps = [
        Muon([ours], lr=0.02),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.01, adjust_lr_fn="match_rms_adamw", ns_steps=3),
    ]
    for gradient in gradients:
        for weight, optimizer in zip((ours, theirs), steps, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved, wanted = ours - start, theirs - start
    assert torch.linalg.norm(moved - wanted) < 0.03 * torch.linalg.norm(wanted)


def test_matrices_of_one_shape_do_not_mix() -> None:
    torch.manual_seed(0)
    alone, beside, other = (torch.nn.Parameter(torch.ones(4, 6)) for _ in range(3))
    gradient, noise = torch.randn(4, 6), torch.randn(4, 6)
    alone.grad, beside.grad, other.grad = gradient, gradient.clone(), noise
    Muon([alone], lr=0.1).step()
    Muon([other, beside], lr=0.1).step()
    assert torch.allclose(alone, beside, atol=1e-6) and not torch.allclose(alone, other)
