"""What a training with adapters leaves after every epoch, for methods that look at how it went (LESS).

out/epochs/1/adapter_model.safetensors, adapter_config.json
out/epochs/1/moments.safetensors      AdamW's first and second moments, "mean.NAME" and "square.NAME"
out/epochs/1/epoch.json               the mean learning rate of its steps, and AdamW's constants
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import TrainerCallback

from tacos.models.epochs import EPOCHS, MOMENTS, STATE
from tacos.store.files import write_json


def last_steps(plan: Sequence[Sequence[int]], samples: int) -> list[int]:
    """The number of the step that ends each whole epoch, from 1."""
    seen = list(accumulate(len(step) for step in plan))
    return [step for step, n in enumerate(seen, start=1) if n % samples == 0]


class KeepEpochs(TrainerCallback):
    """ends: the last step of each epoch, as `last_steps`."""

    def __init__(self, model: Any, ends: Sequence[int], out: Path):
        self.model, self.ends, self.out = model, list(ends), out / EPOCHS

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and state.global_step == 0:
            shutil.rmtree(self.out, ignore_errors=True)  # of another training

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step not in self.ends or not state.is_world_process_zero:
            return
        number = self.ends.index(state.global_step)
        folder = self.out / str(number + 1)
        self.model.save_pretrained(folder)
        optimizer = kwargs["optimizer"]
        save_file(moments(self.model, optimizer), folder / MOMENTS)
        first = self.ends[number - 1] if number else 0
        rates = learning_rates(kwargs["lr_scheduler"], range(first, state.global_step))
        group = optimizer.param_groups[0]
        constants = {"betas": list(group["betas"]), "epsilon": group["eps"]}
        write_json(folder / STATE, {"learning_rate": sum(rates) / len(rates), **constants})


def moments(model: Any, optimizer: Any) -> dict[str, Any]:
    """Of every weight that is trained, float32, by the model's names."""
    found = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            state = optimizer.state[weight]
            found[f"mean.{name}"] = state["exp_avg"].float().contiguous().cpu()
            found[f"square.{name}"] = state["exp_avg_sq"].float().contiguous().cpu()
    return found


def learning_rates(scheduler: Any, steps: Sequence[int]) -> list[float]:
    """Of some steps, from 0, whenever they were taken: a run that went on from a checkpoint has not seen all."""
    inner = getattr(scheduler, "scheduler", scheduler)
    return [inner.base_lrs[0] * inner.lr_lambdas[0](step) for step in steps]
