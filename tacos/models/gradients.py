"""Projected gradients of a LoRA adapter, one for each row: what LESS compares (arXiv 2402.04333, section 3).

    g      gradient of the row's mean loss by the adapter's weights, (size,)
    Adam   (b1 m + (1 - b1) g) / sqrt(b2 v + (1 - b2) g^2 + eps), m and v the moments that training ended with
    P g    P of -1 and 1, (dim, size): dot products stay as they are, up to 1 / sqrt(dim) of the lengths

Rows share a batch. A row's gradient of a linear layer is the sum over its own tokens of (what came back) x (what went
in), and padding gets nothing back, so it is that of the row alone.

P is drawn as TRAK's `BasicProjector` draws it, 128 rows of P at a time, each block from a seed of its own. Of an
adapter of more than 8 million weights these would not fit, and P is drawn in blocks of its weights. A device draws
numbers of its own, so a GPU's P differs from a CPU's. It is kept where it is small, and drawn again for every block of
gradients where it is not: 134 million weights by 8,192 are 1.1e12 signs. A GPU multiplies in TF32, as precise as the 16
bits of the released code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tacos.errors import TacosError
from tacos.models.batches import BUDGET, Supervised, run_batches, token_logits
from tacos.models.local import LocalModel

if TYPE_CHECKING:
    import torch

BLOCK = 128
"""Rows of P that are drawn from one seed."""
KEPT = 2**28
"""Signs up to which all of P is kept, 1 GiB."""
DRAWN = 2**30
"""Signs that are drawn at once, 4 GiB."""
HELD = 2**28
"""Numbers of gradients that a CPU holds before they are projected together, 1 GiB."""
SHARE = 0.2
"""Of a GPU's free memory, for the same."""
TOGETHER = 512
"""Gradients that are projected together at most: those not given out are lost in a kill. So many take a core as long as
drawing P does (2026-11-26, 65,536 weights), so that more would save less than half."""


class Moments(NamedTuple):
    """What Adam held of each weight when training ended, both (size,), and its constants."""

    mean: torch.Tensor
    square: torch.Tensor
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def step(self, gradients: torch.Tensor) -> torch.Tensor:
        """The update's direction for each of some gradients, (n, size); first steps are not corrected for."""
        first, second = self.betas
        mean = first * self.mean + (1 - first) * gradients
        square = second * self.square + (1 - second) * gradients**2
        return mean / (square + self.epsilon).sqrt()


class Projection:
    """P, on the device that it is drawn on."""

    def __init__(self, size: int, dim: int, device: Any, seed: int = 0):
        self.size, self.dim, self.device, self.seed = size, dim, device, seed
        self._kept: dict[int, torch.Tensor] = {}

    def __call__(self, gradients: torch.Tensor) -> torch.Tensor:
        """(n, size) -> (n, dim) float32."""
        import torch

        gradients, found = gradients.float(), torch.zeros(len(gradients), self.dim, device=self.device)
        with tf32(self.device):
            for rows, columns, drawn in self._blocks():
                found[:, columns] += gradients[:, rows] @ drawn[:, : self.dim - (columns.start or 0)]
        return 2 * found - gradients.sum(dim=1, keepdim=True)  # (2 B - 1) g

    def _blocks(self) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        """Weights, numbers of the projection, and B of 0 and 1 for them, (weights, numbers): P is 2 B - 1."""
        width = min(BLOCK, self.dim)
        if self.size * width <= DRAWN:
            for number, start in enumerate(range(0, self.dim, width)):
                seed = self.seed + 1000 * number
                yield slice(None), slice(start, start + width), self._drawn(self.size, width, seed)
            return
        height = max(1, DRAWN // self.dim)
        for number, start in enumerate(range(0, self.size, height)):
            high = min(height, self.size - start)
            yield slice(start, start + high), slice(None), self._drawn(high, self.dim, self.seed + number)

    def _drawn(self, weights: int, numbers: int, seed: int) -> torch.Tensor:
        import torch

        if seed in self._kept:
            return self._kept[seed]
        generator = torch.Generator(device=self.device).manual_seed(seed)
        drawn = torch.empty(weights, numbers, device=self.device).bernoulli_(0.5, generator=generator)
        if self.size * self.dim <= KEPT:
            self._kept[seed] = drawn
        return drawn


@contextmanager
def tf32(device: Any) -> Iterator[None]:
    """Products of float32 in TF32, on a GPU."""
    import torch

    before = torch.get_float32_matmul_precision()
    if torch.device(device).type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def trained_weights(lm: LocalModel) -> list[tuple[str, torch.nn.Parameter]]:
    """The weights that want gradients, by name, in the model's order."""
    return [(name, weight) for name, weight in lm.model.named_parameters() if weight.requires_grad]


def gradients(
    lm: LocalModel, rows: Sequence[Supervised], budget: int = BUDGET, what: str = "gradients"
) -> Iterator[tuple[int, torch.Tensor]]:
    """(row, (size,) float32 on the model's device), not projected. rows: a token counts in each beside the first.

    Raises: TacosError for a layer that does not see rows one by one, such as an expert's.
    """
    most = rows_held(lm, sum(weight.numel() for _, weight in trained_weights(lm)))

    def work(batch: list[int]) -> list[torch.Tensor]:
        return list(_of_rows(lm, [rows[i] for i in batch]))

    yield from run_batches(lm, [len(row.ids) for row in rows], budget, what, work, most=most, backward=True)


def projected(
    lm: LocalModel,
    rows: Sequence[Supervised],
    projection: Projection,
    moments: Moments | None = None,
    budget: int = BUDGET,
    what: str = "gradients",
) -> Iterator[tuple[int, np.ndarray]]:
    """(row, (dim,) float32), of the gradient itself or, with moments, of Adam's step."""
    import torch

    held: list[tuple[int, torch.Tensor]] = []
    most = min(rows_held(lm, projection.size), TOGETHER)

    def done() -> Iterator[tuple[int, np.ndarray]]:
        together = torch.stack([gradient for _, gradient in held])
        made = projection(moments.step(together) if moments else together).cpu().numpy()
        yield from zip([row for row, _ in held], made, strict=True)
        held.clear()

    for row, gradient in gradients(lm, rows, budget, what):
        held.append((row, gradient))
        if len(held) == most:
            yield from done()
    if held:
        yield from done()


def rows_held(lm: LocalModel, size: int) -> int:
    """Gradients that fit into memory together; at least 1."""
    import torch

    numbers = HELD
    if lm.device.type == "cuda":
        numbers = int(SHARE * torch.cuda.mem_get_info(lm.device)[0]) // 4
    return max(1, numbers // size)


def _of_rows(lm: LocalModel, rows: Sequence[Supervised]) -> torch.Tensor:
    """(n_rows, size): the gradient of each row's mean loss."""
    import torch

    found: dict[str, torch.Tensor] = {}
    names = [name for name, _ in trained_weights(lm)]
    with ExitStack() as hooks:
        for name in names:
            hooks.callback(_watch(lm, name, len(rows), found).remove)
        losses = [
            torch.nn.functional.cross_entropy(logits, wanted) for logits, wanted in token_logits(lm, rows)
        ]
        torch.stack(losses).sum().backward()
    lm.model.zero_grad(set_to_none=True)
    return torch.cat([found[name].flatten(1) for name in names], dim=1)


def _watch(lm: LocalModel, name: str, n: int, found: dict[str, torch.Tensor]) -> Any:
    """Put each row's gradient of one weight into `found` when it comes back; the hook, to be removed."""
    import torch

    layer, _, kind = name.rpartition(".")
    module = lm.model.get_submodule(layer)
    if not isinstance(module, torch.nn.Linear) or kind != "weight":
        raise TacosError(
            f"gradients by row are of linear layers, and {name} is a {type(module).__name__}: "
            "set lora.target to linear layers"
        )

    def forward(_: Any, inputs: Any, output: torch.Tensor) -> None:
        went_in = inputs[0].detach()
        if n == 1:
            went_in = went_in.reshape(1, -1, went_in.shape[-1])
        elif went_in.dim() != 3 or len(went_in) != n:
            raise TacosError(
                f"{layer} does not see rows one by one: set batch_tokens to 1, one row at a time"
            )

        def backward(came_back: torch.Tensor) -> None:
            came_back = came_back.reshape(n, -1, came_back.shape[-1])
            own = torch.einsum("nto,nti->noi", came_back.float(), went_in.float())
            found[name] = found[name] + own if name in found else own

        output.register_hook(backward)

    return module.register_forward_hook(forward)
