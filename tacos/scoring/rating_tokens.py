"""A rating read from the next token's logits, without writing it: what Deita and SelectIT ask of a local model.

    text "... ##Quality: "    ->    logits of "1", "2", ... as the next token    ->    a number

A rating that cannot be read is missing: a text too long for the model, or logits that are no numbers (in 16 bits).
A tokenizer without a token for a digit is refused, since no row could be rated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tacos.errors import TacosError
from tacos.models.batches import next_logits
from tacos.models.local import LocalModel
from tacos.scoring.local_scorer import by_owner
from tacos.store.kept import Kept


def rated(
    lm: LocalModel,
    texts: Sequence[Sequence[str]],
    highest: int,
    read: Callable[[np.ndarray], Iterable[float]],
    budget: int,
    what: str,
) -> Iterator[tuple[int, Kept]]:
    """(row, Kept(the numbers of its texts, one text after the other)).

    texts: what is rated in each row. highest: ratings are 1 to this, below 10. read: (highest,) logits -> numbers.

    Raises: TacosError where a digit is no token.
    """
    tokens = digit_tokens(lm.tokenizer, highest)
    rows: list[list[int]] = []
    owners: list[int] = []
    for place, asked in enumerate(texts):
        ids = [lm.tokenizer(text)["input_ids"] for text in asked]
        if why := _unreadable([len(row) for row in ids], lm.context):
            yield place, Kept(error=why)
            continue
        rows += ids
        owners += [place] * len(ids)
    for place, logits in by_owner(next_logits(lm, rows, tokens, budget, what), owners):
        if np.isfinite(logits).all():
            numbers = [float(number) for row in logits for number in read(row.astype(np.float64))]
            yield place, Kept(tuple(numbers))
        else:
            yield place, Kept(error="the model gave no number for a rating token")


def _unreadable(lengths: Sequence[int], context: int | None) -> str | None:
    if not lengths:
        return "the response is empty"
    if context and max(lengths) > context:
        return f"over the {context:,} tokens that the model can hold"
    return None


def digit_tokens(tokenizer: Any, highest: int) -> list[int]:
    """The ids of "1" to `highest`. Raises: TacosError where one has no token of its own."""
    found = [tokenizer.convert_tokens_to_ids(str(digit)) for digit in range(1, highest + 1)]
    lost = [i + 1 for i, token in enumerate(found) if token is None or token == tokenizer.unk_token_id]
    if lost:
        raise TacosError(
            f"the tokenizer {tokenizer.name_or_path!r} has no token for {str(lost[0])!r} alone, so no rating can be "
            "read from this model: take one that writes digits one by one"
        )
    return found


def softmax(values: np.ndarray) -> np.ndarray:
    """(n,) positive, with the sum 1."""
    raised = np.exp(values - values.max())
    return np.asarray(raised / raised.sum())
