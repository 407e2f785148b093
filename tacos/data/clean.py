"""What a value of a raw row is, where that is not plain."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

NO_INPUT = "<noinput>"
"""What self-instruct style generators write for an empty `input` column."""


def is_missing(value: Any) -> bool:
    """None, or NaN, which is what pandas makes of it."""
    return value is None or (isinstance(value, float) and value != value)


def is_finite(value: Any) -> TypeGuard[int | float]:
    """Whether it is a number that a float64 can hold; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def encodable(text: str) -> bool:
    """False for text with a lone surrogate, which no UTF-8 file, tokenizer or server can take."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
