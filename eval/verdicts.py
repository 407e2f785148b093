"""Verdicts in brackets: ratings [[1]] to [[10]] and choices [[A]], [[B]], [[C]] (tie).

MT-Bench's judges (https://arxiv.org/abs/2306.05685) explain first and then give a verdict in double
brackets. Two readers:

    reply                            last (ours)                 fastchat (parity)
    "... [[7]] ... no, [[5]]"        5, the last one             7, the first one
    "see [1] ... [6]"                6                           1
    "Rating: [[7/10]]"               7                           unread
    "[[4]] out of 5"                 unread, another scale       4
    "[[8]]. A [[10]] would need..."  8, an example is none       8
    "Rating: [[08]]"                 8                           unread; FastChat itself stops there
    "Rating: [[0]]", "[[11]]"        unread, off the scale       0, 11
    "[[B]] at first, but [[A]]"      A                           A, since it asks for A, B, C in this order
    "[[A]] or [[B]]"                 unread, undecided           A
    "[[B]] rather than [[A]]"        B, the other is passed over A

The last well-formed verdict wins, because drafts come first; examples are none (`tacos.llm.verdict`). One that is off
the scale is not passed over for an earlier one: the judge meant it. What cannot be read is missing and says why; never
0, never a tie. Single brackets are read only where no double ones follow, and not where they index an array or make a
link. What a judge thinks aloud is read by neither.
"""

from __future__ import annotations

import ast
import re
from typing import Literal, NamedTuple

from tacos.answering.faults import FAILED
from tacos.llm.reasoning import Spoken, spoken
from tacos.llm.verdict import SCALE, Number, the_verdict, undecided, upper_end
from tacos.types import Record

Parser = Literal["last", "fastchat"]
Choice = Literal["A", "B", "tie"]

LOW, HIGH = 1, 10

_NUMBER = rf"(-?[0-9]{{1,9}}(?:\.[0-9]{{0,9}})?){SCALE}"
_DOUBLE = re.compile(rf"\[\[([^\[\]]{{0,200}})\]\]{SCALE}", re.IGNORECASE)
_SINGLE = re.compile(rf"(?<![\w\[\])])\[([^\[\]\n]{{1,24}})\](?![\](\[]){SCALE}", re.IGNORECASE)
_RATING = re.compile(rf"\s*(?:(?:rating|score)\s*[:=]\s*)?{_NUMBER}\s*", re.IGNORECASE)
_CHOICE = re.compile(r"\[\[\s*([ABC])\s*\]\]")
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


class _Chosen(NamedTuple):
    """A letter in double brackets."""

    start: int
    end: int
    letter: str


def read_rating(text: str, parser: Parser = "last") -> Rating:
    """The rating in a judge's reply, 1-10, higher is better; `fastchat` knows no scale."""
    reply = spoken(text)
    if missing := _nothing(reply):
        return Rating(error=missing)
    return _fastchat_rating(reply.text) if parser == "fastchat" else _last_rating(reply.text)


def read_choice(text: str, parser: Parser = "last") -> Preference:
    """The choice between two answers in a judge's reply; [[C]] is a tie."""
    reply = spoken(text)
    if missing := _nothing(reply):
        return Preference(error=missing)
    if parser == "fastchat":
        first = next((name for name in "ABC" if f"[[{name}]]" in reply.text), None)
        return Preference(winner=_WINNER[first]) if first else Preference(error="no [[A]], [[B]] or [[C]]")
    return _last_choice(reply.text)


def _nothing(reply: Spoken) -> str | None:
    """Why there is nothing to read."""
    if reply.unfinished:
        return "it ends in its reasoning"
    if reply.text.strip() == FAILED:
        return "the call failed"
    if not reply.text.strip():
        return "nothing but reasoning" if reply.reasoned else "an empty reply"
    return None


def _last_rating(text: str) -> Rating:
    found = _in_brackets(text, _DOUBLE) or _in_brackets(text, _SINGLE, after=_end_of_double(text))
    if not found:
        last = [match.group(0) for match in _DOUBLE.finditer(text)]
        return Rating(error=f"no number in {last[-1][:40]!r}" if last else "no [[rating]]")
    chosen = the_verdict(text, found)
    if (other := undecided(text, found, chosen)) and other.value != chosen.value:
        return Rating(error=f"undecided between {other.value:g} and {chosen.value:g}")
    if chosen.scale is not None and chosen.scale != HIGH:
        return Rating(error=f"a rating out of {chosen.scale:g}, where the scale ends at {HIGH}")
    if not LOW <= chosen.value <= HIGH:
        return Rating(error=f"a rating of {chosen.value:g}, off the scale {LOW} to {HIGH}")
    return Rating(score=chosen.value)


def _in_brackets(text: str, brackets: re.Pattern[str], after: int = 0) -> list[Number]:
    """All brackets that hold a number."""
    found = []
    for match in brackets.finditer(text, after):
        inside, outside = match.groups()
        if number := _RATING.fullmatch(inside):
            scale = number.group(2) or outside
            value = float(number.group(1))
            found.append(Number(match.start(), match.end(), value, upper_end(scale) if scale else None))
    return found


def _end_of_double(text: str) -> int:
    """Where the last double bracket ends: after "[[N/A]]", an earlier "[1]" is no verdict."""
    return max((match.end() for match in _DOUBLE.finditer(text)), default=0)


def _last_choice(text: str) -> Preference:
    found = [_Chosen(m.start(), m.end(), m[1]) for m in _CHOICE.finditer(text)]
    if not found:
        return Preference(error="no [[A]], [[B]] or [[C]]")
    chosen = the_verdict(text, found)
    if (other := undecided(text, found, chosen)) and other.letter != chosen.letter:
        return Preference(error=f"undecided between [[{other.letter}]] and [[{chosen.letter}]]")
    return Preference(winner=_WINNER[chosen.letter])


def _fastchat_rating(text: str) -> Rating:
    """The first match, read as a Python literal, as FastChat does; "08" is none."""
    match = _FASTCHAT[0].search(text) or _FASTCHAT[1].search(text)
    if match is None:
        return Rating(error="no [[rating]]")
    try:
        return Rating(score=float(ast.literal_eval(match.group(1))))
    except (SyntaxError, ValueError, OverflowError):
        return Rating(error=f"FastChat stops at {match.group(0)[:40]!r}")
