"""Verdicts in brackets: ratings [[1]] to [[10]] and choices [[A]], [[B]], [[C]] (tie).

MT-Bench's judges (https://arxiv.org/abs/2306.05685) explain first and then give a verdict in double
brackets. Two readers:

    reply                            last (ours)                 fastchat (parity)
    "... [[7]] ... no, [[5]]"        5, the last one             7, the first one
    "see [1] ... [6]"                6                           1
    "Rating: [[7/10]]"               7                           unread
    "Rating: [[08]]"                 8                           unread; FastChat itself stops there
    "Rating: [[0]]", "[[11]]"        unread, off the scale       0, 11
    "[[B]] at first, but [[A]]"      A                           A, since it asks for A, B, C in this order
    "[[A]] or [[B]]"                 unread, undecided           A

The last well-formed verdict wins, because drafts come first. One that is off the scale is not passed over
for an earlier one: the judge meant it. What cannot be read is missing and says why; never 0, never a tie.
Single brackets are read only where no double ones follow, and not where they index an array or make a link.
"""

from __future__ import annotations

import ast
import re
from typing import Literal

from tacos.types import Record

Parser = Literal["last", "fastchat"]
Choice = Literal["A", "B", "tie"]

LOW, HIGH = 1, 10
FAILED = "$ERROR$"
"""What FastChat stores as the reply of a call that failed."""

_NUMBER = r"(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)(?:\s*/\s*([0-9]{1,9}))?"
_DOUBLE = re.compile(r"\[\[([^\[\]]{0,200})\]\](?:\s*/\s*([0-9]{1,9}))?")
_SINGLE = re.compile(r"(?<![\w\[\])])\[([^\[\]\n]{1,24})\](?![\](\[])(?:\s*/\s*([0-9]{1,9}))?")
_RATING = re.compile(rf"\s*(?:(?:rating|score)\s*[:=]\s*)?{_NUMBER}\s*", re.IGNORECASE)
_CHOICE = re.compile(r"\[\[\s*([ABC])\s*\]\]")
_EITHER = re.compile(r"[\s\"'`*]*(?:or|and/or|/|\|)[\s\"'`*]*", re.IGNORECASE)
_FASTCHAT = (re.compile(r"\[\[(\d+\.?\d*)\]\]"), re.compile(r"\[(\d+\.?\d*)\]"))
_WINNER: dict[str, Choice] = {"A": "A", "B": "B", "C": "tie"}


class Rating(Record):
    """A rating, or why there is none."""

    score: float | None = None
    error: str | None = None


class Preference(Record):
    """Which of two answers is better, as shown to the judge, or why nobody knows."""

    winner: Choice | None = None
    error: str | None = None


def read_rating(text: str, parser: Parser = "last") -> Rating:
    """The rating in a judge's reply, 1-10, higher is better; `fastchat` knows no scale."""
    if missing := _nothing(text):
        return Rating(error=missing)
    return _fastchat_rating(text) if parser == "fastchat" else _last_rating(text)


def read_choice(text: str, parser: Parser = "last") -> Preference:
    """The choice between two answers in a judge's reply; [[C]] is a tie."""
    if missing := _nothing(text):
        return Preference(error=missing)
    if parser == "fastchat":
        first = next((name for name in "ABC" if f"[[{name}]]" in text), None)
        return Preference(winner=_WINNER[first]) if first else Preference(error="no [[A]], [[B]] or [[C]]")
    return _last_choice(text)


def _nothing(text: str) -> str | None:
    if text.strip() == FAILED:
        return "the call failed"
    return None if text.strip() else "an empty reply"


def _last_rating(text: str) -> Rating:
    found = _in_brackets(text, _DOUBLE) or _in_brackets(text, _SINGLE, after=_end_of_double(text))
    if not found:
        last = [match.group(0) for match in _DOUBLE.finditer(text)]
        return Rating(error=f"no number in {last[-1][:40]!r}" if last else "no [[rating]]")
    value, scale, match = found[-1]
    if len(found) > 1 and found[-2][0] != value and _joined(text, found[-2][2], match):
        return Rating(error=f"undecided between {found[-2][0]:g} and {value:g}")
    if scale is not None and scale != HIGH:
        return Rating(error=f"a rating out of {scale:g}, where the scale ends at {HIGH}")
    if not LOW <= value <= HIGH:
        return Rating(error=f"a rating of {value:g}, off the scale {LOW} to {HIGH}")
    return Rating(score=value)


def _in_brackets(
    text: str, brackets: re.Pattern[str], after: int = 0
) -> list[tuple[float, float | None, re.Match[str]]]:
    """(number, upper end of its scale if it names one, match) of all brackets that hold a number."""
    found = []
    for match in brackets.finditer(text, after):
        inside, outside = match.groups()
        if number := _RATING.fullmatch(inside):
            scale = number.group(2) or outside
            found.append((float(number.group(1)), float(scale) if scale else None, match))
    return found


def _end_of_double(text: str) -> int:
    """Where the last double bracket ends: after "[[N/A]]", an earlier "[1]" is no verdict."""
    return max((match.end() for match in _DOUBLE.finditer(text)), default=0)


def _joined(text: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """Whether only an "or" stands between two verdicts."""
    return _EITHER.fullmatch(text, first.end(), second.start()) is not None


def _last_choice(text: str) -> Preference:
    found = list(_CHOICE.finditer(text))
    if not found:
        return Preference(error="no [[A]], [[B]] or [[C]]")
    if len(found) > 1 and found[-2].group(1) != found[-1].group(1) and _joined(text, found[-2], found[-1]):
        return Preference(error=f"undecided between {found[-2].group(0)} and {found[-1].group(0)}")
    return Preference(winner=_WINNER[found[-1].group(1)])


def _fastchat_rating(text: str) -> Rating:
    """The first match, read as a Python literal, as FastChat does; "08" is none."""
    match = _FASTCHAT[0].search(text) or _FASTCHAT[1].search(text)
    if match is None:
        return Rating(error="no [[rating]]")
    try:
        return Rating(score=float(ast.literal_eval(match.group(1))))
    except (SyntaxError, ValueError, OverflowError):
        return Rating(error=f"FastChat stops at {match.group(0)[:40]!r}")
