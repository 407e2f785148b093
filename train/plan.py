"""Which samples each optimiser step sees, decided before training."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tacos.errors import ConfigError


def plan_batches(loss_tokens: Sequence[int], steps: int, tokens_per_step: int, seed: int) -> list[list[int]]:
    """Rows of each step, so that all arms see the same loss tokens however long their samples are.

    The rows are dealt in seeded shuffles, one after the other. Step k ends with the first sample that
    brings the running total to (k + 1) * tokens_per_step; so a sample too many in one step is made
    good in the next, and the total is off by less than one sample. With loss_tokens [3, 3, 3], 4 per
    step and the order 0 1 2 | 2 0 1: step 0 takes 0 and 1 (6 >= 4), step 1 takes 2 (9 >= 8),
    step 2 takes 2 (12 >= 12).

    Raises: ConfigError when a sample alone is worth more than a step, which would leave a step empty.
    """
    if not loss_tokens or min(loss_tokens) < 1:
        raise ValueError("every sample needs at least one supervised token")
    if max(loss_tokens) > tokens_per_step:
        raise ConfigError(
            f"loss_tokens_per_step is {tokens_per_step}, but one sample alone has {max(loss_tokens)}: "
            f"set it to {max(loss_tokens)} or more, or lower max_length"
        )
    rows = deal(len(loss_tokens), seed)
    plan: list[list[int]] = []
    total = 0
    for step in range(steps):
        batch: list[int] = []
        while total < (step + 1) * tokens_per_step:
            batch.append(next(rows))
            total += loss_tokens[batch[-1]]
        plan.append(batch)
    return plan


def plan_epochs(n: int, epochs: float, batch_size: int, seed: int) -> list[list[int]]:
    """`epochs` passes over n rows in batches; the last batch of a pass may be smaller."""
    rows = deal(n, seed)
    plan: list[list[int]] = []
    left = round(n * epochs) or 1
    while left > 0:
        this_pass = min(n, left)
        order = [next(rows) for _ in range(this_pass)]
        plan += [order[i : i + batch_size] for i in range(0, this_pass, batch_size)]
        left -= this_pass
    return plan


def deal(n: int, seed: int) -> Iterator[int]:
    """Row numbers below n without end, in one seeded shuffle after the other."""
    rng = random.Random(seed)
    while True:
        order = list(range(n))
        rng.shuffle(order)
        yield from order


def split_micro(batch: Sequence[int], parts: int, empty: int) -> list[list[int]]:
    """One step's rows dealt to `parts` micro-batches (devices x accumulation), the lack filled with `empty`.

    The trainer takes the same number of micro-batches in every step. A step of fewer rows, such as the
    end of a pass or a few long samples, gets micro-batches of the one row `empty`, which has no
    supervised token: it adds nothing to the step's summed loss nor to the token count that divides it.
    So the split, which is execution, never changes what a step learns; to merge the short step into the
    one before would. Three parts of [4, 7] with `empty` 9: [4], [7], [9].
    """
    return [list(batch[i::parts]) or [empty] for i in range(parts)]
