"""Counts and money in a sentence."""

from __future__ import annotations

import pytest

from tacos.amounts import money, plural


def test_one_and_several() -> None:
    assert [plural(n, "call") for n in (0, 1, 4000)] == ["0 calls", "1 call", "4,000 calls"]
    assert [plural(n, "reply", "replies") for n in (1, 2)] == ["1 reply", "2 replies"]


@pytest.mark.parametrize(
    ("value", "beside", "written"),
    [
        (0.0, None, "$0"),
        (1234.5, None, "$1,234.50"),
        (0.004213, None, "$0.0042"),
        (0.0298, 0.03, "$0.0298"),
        (0.0302, 0.03, "$0.0302"),
        (0.0298, 5.0, "$0.030"),
        (5.0000004, 5.0, "$5.0000004"),
        (0.03, 0.03, "$0.030"),
    ],
)
def test_a_sum_is_told_apart_from_the_one_beside_it(value: float, beside: float | None, written: str) -> None:
    assert money(value, beside) == written
