"""Counts and money in a sentence.

plural(1, "call")                   1 call
plural(4000, "reply", "replies")    4,000 replies
money(0.004213)                     $0.0042
money(0.0298, beside=0.03)          $0.0298     two digits would say 0.030, the very cap that it is below
"""

from __future__ import annotations

import math

FINEST = 9
"""Decimals of a sum at most."""


def plural(number: int, noun: str, several: str = "") -> str:
    """several: the noun of more than one, where it is not `noun` with an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {several or noun + 's'}"


def money(value: float, beside: float | None = None) -> str:
    """US dollars, with two digits that mean something however small the sum.

    beside: a sum that it is compared with; it gets as many digits as tell the two apart.
    """
    if value == 0:
        return "$0"
    decimals = 2 if abs(value) >= 1 else 1 - math.floor(math.log10(abs(value)))
    if beside is not None and value != beside:
        while decimals < FINEST and round(value, decimals) == round(beside, decimals):
            decimals += 1
    return f"${value:,.{decimals}f}"
