"""Linear layers in float32 by oneDNN, for models that only read, on a CPU.

torch multiplies float32 matrices on a CPU by MKL, which takes no AVX-512 where the CPU is not Intel's: 95 GFLOP/s for
MiniLM's largest layer on one core of an AMD Zen 5, where oneDNN, which torch holds as well, has 227 (2026-11-26). The
same numbers are summed in another order, so that a number of a vector moves by up to 4e-7.
"""

from __future__ import annotations

import torch


class OneDNNLinear(torch.nn.Linear):
    """A linear layer that no gradient passes: what `torch.compile` makes of one on a CPU. torch has no public name for
    it but `torch.utils.mkldnn`, which takes the weights out of the model's parameters."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        linear = torch.ops.mkldnn._linear_pointwise
        made: torch.Tensor = linear(input, self.weight, self.bias, "none", [], "")
        return made


def read_by_onednn(model: torch.nn.Module) -> None:
    """Has the linear layers of a float32 model on a CPU computed by oneDNN, where torch was built with it."""
    if torch.backends.mkldnn.is_available():
        for layer in model.modules():
            if type(layer) is torch.nn.Linear:
                layer.__class__ = OneDNNLinear
