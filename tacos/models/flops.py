"""What models of this machine computed: parameters at work, tokens, floating-point operations (FLOPs).

    forward     2 x N x tokens                      N parameters, each one product and one sum a token
    training    2 x N x tokens forward, and (2 x N + 2 x T) x tokens backward, T of the N being trained:
                6 x N x tokens in full, 4 x N x tokens and a little more with LoRA, whose base needs no gradient

    gpt2, N = 85 million, 1,000 rows of 200 tokens read twice:   2 x 85e6 x 400,000 = 6.8e13

After Kaplan et al. 2020 (arXiv 2001.08361, section 2.1), and in their convention: N leaves out the embeddings of tokens
and positions and the output head, and nothing is added for attention over the context. So the figure compares methods
on any hardware, and is not what a profiler shows: it counts no padding, no passes that gradient checkpointing repeats,
and every expert of a mixture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tacos.usage import Ledger, Usage


def flops(parameters: int, forward: float, backward: float = 0, trained: int | None = None) -> float:
    """forward, backward: tokens. trained: parameters that get a gradient in the backward passes; None is all."""
    moved = parameters if trained is None else trained
    return 2.0 * parameters * forward + 2.0 * (parameters + moved) * backward


def passes(parameters: int, forward: int, backward: int = 0, trained: int | None = None) -> Usage:
    """As a line of the ledger; arguments as those of `flops`."""
    spent = flops(parameters, forward, backward, trained)
    return Usage(forward_tokens=forward, backward_tokens=backward, flops=spent)


def parameters_at_work(model: Any, trained: bool = False) -> int:
    """N of a torch module; with `trained`, those among them that take a gradient."""
    import torch

    inner = [part for part in model.modules() if isinstance(part, torch.nn.Embedding)]
    found = [model.get_output_embeddings()] if hasattr(model, "get_output_embeddings") else []
    left_out = {id(p) for part in (*inner, *found) if part is not None for p in part.parameters()}
    return sum(
        _size(p) for p in model.parameters() if id(p) not in left_out and (p.requires_grad or not trained)
    )


def watch(model: Any, ledger: Ledger) -> None:
    """Count every pass of a torch module that is given an `attention_mask` by name, from now on; one that is made to
    be trained by counts as forward and backward."""
    import torch

    size = parameters_at_work(model)

    def passed(module: Any, given: Any, named: dict[str, Any], made: Any) -> None:
        tokens = int(named["attention_mask"].sum())
        trained = parameters_at_work(module, trained=True) if torch.is_grad_enabled() else 0
        ledger.add(passes(size, tokens, tokens if trained else 0, trained))

    model.register_forward_hook(passed, with_kwargs=True)


def _size(parameter: Any) -> int:
    """Numbers of a parameter, also where 4 bits pack two in a byte, or DeepSpeed holds a share of it here."""
    state = getattr(parameter, "quant_state", None)
    if state is not None:
        return int(state.shape.numel())
    return int(getattr(parameter, "ds_numel", parameter.numel()))


class KeptLedger(Ledger):
    """The ledger of a stage that resumes by row: what earlier attempts read for the rows that it has counts, too.

    path: a line for each batch, beside the rows. What was read in vain, of rows that a kill left half-read, is in it.
    """

    def __init__(self, ledger: Ledger, path: Path):
        super().__init__()
        self.ledger, self.path = ledger, path
        for usage in _kept(path):
            ledger.add(usage)

    @property
    def total(self) -> Usage:
        return self.ledger.total

    def add(self, usage: Usage) -> None:
        self.ledger.add(usage)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(usage.model_dump_json(exclude_defaults=True) + "\n")


def _kept(path: Path) -> list[Usage]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(Usage.model_validate(json.loads(line)))
        except ValueError:
            continue  # torn by the kill
    return found
