"""Two epochs of a warm-up that never was: adapters and AdamW's moments whose numbers are the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tacos.models.epochs import MOMENTS, STATE, epoch
from tacos.models.local import weights
from tacos.store.files import write_json

RATES = (1.5e-5, 0.5e-5)


def write_epochs(base: str, folder: Path) -> None:
    """`epochs/1` and `epochs/2` in the folder."""
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import save_file

    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    for number, rate in enumerate(RATES, start=1):
        config = LoraConfig(
            r=4, lora_alpha=16, lora_dropout=0.1, target_modules=targets, task_type="CAUSAL_LM"
        )
        model: Any = get_peft_model(weights("causal", base, dtype=torch.float32), config)
        numbers, held = np.random.default_rng(number), {}
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                shape = tuple(weight.shape)
                drawn = (
                    numbers.standard_normal(shape) * 0.1,
                    numbers.standard_normal(shape) * 0.01,
                    numbers.uniform(0, 1e-3, shape),
                )
                value, mean, square = (torch.tensor(each, dtype=torch.float32) for each in drawn)
                weight.data.copy_(value)
                held |= {f"mean.{name}": mean, f"square.{name}": square}
        out = folder / epoch(number)
        model.save_pretrained(out)
        save_file(held, out / MOMENTS)
        write_json(out / STATE, {"learning_rate": rate, "betas": [0.9, 0.999], "epsilon": 1e-8})
