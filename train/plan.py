"""Which samples each optimiser step sees, and in which micro-batches; decided before training."""

from __future__ import annotations

import bisect
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


def held_out(n: int, share: float) -> int:
    """How many of n rows are kept for validation: at least one when the share is above zero."""
    return max(1, round(n * share)) if share else 0


def deal(n: int, seed: int) -> Iterator[int]:
    """Row numbers below n without end, in one seeded shuffle after the other."""
    rng = random.Random(seed)
    while True:
        order = list(range(n))
        rng.shuffle(order)
        yield from order


def accumulation(
    plan: Sequence[Sequence[int]], lengths: Sequence[int], devices: int, limit: int, packed: bool
) -> int:
    """Micro-batches per step and device, so that the fullest step keeps to `limit` tokens in each.

    The trainer takes the same number in every step.
    """
    return max(-(-len(fill(step, lengths, limit, packed)) // devices) for step in plan)


def split(
    step: Sequence[int], lengths: Sequence[int], parts: int, packed: bool, empty: int
) -> list[list[int]]:
    """One step's rows in `parts` micro-batches of like cost, the lack filled with `empty`.

    Rows of like length come together, so that little is padded. The cap on a micro-batch is the smallest
    that needs no more than `parts` of them, which keeps devices from waiting for each other.
    `empty` is a row without a supervised token: it adds nothing to the step's summed loss nor to the token
    count that divides it. So the split, which is execution, never changes what a step learns.
    With lengths [9, 2, 8, 3] and two parts: [0, 2] of 18 tokens and [3, 1] of 6.
    """
    longest = max(lengths[row] for row in step)
    whole = longest * len(step)
    cap = bisect.bisect_left(
        range(whole), True, lo=longest, key=lambda c: len(fill(step, lengths, c, packed)) <= parts
    )
    filled = fill(step, lengths, cap, packed)
    return filled + [[empty]] * (parts - len(filled))


def fill(rows: Sequence[int], lengths: Sequence[int], limit: int, packed: bool) -> list[list[int]]:
    """Rows from the longest down, a new micro-batch whenever one more would take it past `limit` tokens.

    A row counts its own length when packed, else the length of the longest beside it; one that is longer
    than the limit stands alone.
    """
    filled: list[list[int]] = []
    tokens = limit
    for row in sorted(rows, key=lambda r: -lengths[r]):
        cost = lengths[row] if packed or not filled else lengths[filled[-1][0]]
        if not filled or tokens + cost > limit:
            filled.append([])
            tokens, cost = 0, lengths[row]
        filled[-1].append(row)
        tokens += cost
    return filled
