"""How many tokens a model has places for.

Rotary positions, biases by distance and states have no end, whatever `max_position_embeddings` says of what a model
was trained for. A table of positions has one, and the token after it is an error, on a GPU one that ends the process.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TABLES = re.compile(r"wpe|position|pos_encoding")
"""Names of modules and buffers that hold one row for each position; those of rotary models are none."""
BIASES = {"mpt": "max_seq_len"}
"""Types whose biases by distance are made for so many tokens and no more."""


def table_of_positions(model: PreTrainedModel) -> int | None:
    """Tokens that a model with a table of positions can hold; None where positions have no end."""
    from torch import nn

    config: Any = model.config.get_text_config()
    if config.model_type in BIASES:
        return int(getattr(config, BIASES[config.model_type]))
    buffers = [buffer for name, buffer in model.named_buffers() if named(name) and buffer.is_floating_point()]
    sizes = [buffer.shape[0] for buffer in buffers if buffer.ndim == 2]
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and named(name):
            unused = 0 if module.padding_idx is None else module.padding_idx + 1  # RoBERTa counts from there
            sizes.append(module.num_embeddings - unused)
    if not sizes:
        return None
    return min([*sizes, getattr(config, "max_position_embeddings", None) or sizes[0]])


def named(path: str) -> bool:
    return TABLES.search(path.rpartition(".")[2]) is not None
