"""Comparing short texts: one normal form, and the rule for "this reply gives that answer"."""

from __future__ import annotations

import re
import unicodedata

TRAILING = " .,;:!?…\"'`*)]}\u201d\u2019"
"""Marks that end a sentence or wrap an answer and say nothing about it."""


def normalise(text: str) -> str:
    """Unicode NFC, case folded, runs of white space as one space, trailing punctuation removed."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join(folded.split()).rstrip(TRAILING)


def exact_match(reply: str, answer: str) -> bool:
    """Whether `reply`, normalised, ends with `answer` at a word boundary.

    A word or number must end the reply whole: "one" is not given by "twenty-one", nor "14" by "3.14",
    "1/14" or "-14".

    >>> exact_match("So the total is **42**.", "42")
    True
    >>> exact_match("It is 142.", "42")
    False
    """
    wanted, given = normalise(answer), normalise(reply)
    if not wanted or not given.endswith(wanted):
        return False
    before = given[: len(given) - len(wanted)]
    word, number = r"\w-?$", r"(\w|\d[.,:/]|(^|[^\w)])[-\u2212])$"
    return not re.search(number if wanted[0].isdigit() else word, before)
