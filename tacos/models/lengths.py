"""How long responses are: what a scorer ranks by, and what a control draw matches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacos.text import tokens


def response_lengths(responses: Sequence[str], tokenizer: str | None, where: str) -> np.ndarray:
    """Length of each response, (n,) float64, in tokens of `tokenizer` or in words and marks.

    where: the setting that names the tokenizer. Raises: TacosError when it can be had from nowhere.
    """
    if tokenizer is None:
        return np.array([len(tokens(text)) for text in responses], dtype=np.float64)
    from tacos.models.local import load_tokenizer

    encode = load_tokenizer(tokenizer, what="tokenizer", instead=f"count words: leave {where} out")
    ids = encode(list(responses), add_special_tokens=False)["input_ids"]
    return np.array([len(row) for row in ids], dtype=np.float64)
