"""Which of the verdicts in a reply is the verdict: one grammar for judges and scorers.

Drafts come first, so the last verdict counts. Examples may come after it, and do not:

    "Draft [[7]], on second thought [[5]]"                          [[5]]
    "Rating: [[8]]. A perfect answer would have earned [[10]]."     [[8]], what would have been is an example
    "Rating: [[8]]. Compare that with [[9]] for the other one."     [[8]], one with its name before it goes first
    "[[4]] out of 5"                                                a 4 on a scale to 5, whatever scale was asked for

A verdict is *formal* where its name stands before it ("Rating: ", "the score is "), or it has a line to itself, or the
reply ends with it. The last formal one that is no example counts; else the last that is no example; else the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

SCALE = (
    r"(?:[\s`*_\"')]*\(?\s*(?:points?|stars?|marks?)?\s*"
    r"(?:/|\bout\s+of\b|\bon\s+a\s+(?:[0-9]+-point\s+)?scale\s+(?:of|from)\s+(?:[0-9]+\s*(?:-|\u2013|to)\s*)?)"
    r"\s*([0-9]{1,9}(?:\.0+)?)(?![0-9]))?"
)
"""What may stand behind a number: "/10", "out of 5", "(out of 5)", "on a scale of 1 to 5"; the group is its end."""
_NAMED = re.compile(
    r"\b(?:score|rating|grade|verdict|choice|decision|judge?ment|preference|winner|answer|result|mark)\w*"
    r"[\"'`*_\s]*[12]?[\"'`*_\s]*(?:\bis\b\s*:?|[:=])[\"'`*_\s(\[]*\Z",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"\b(?:would|could|might|should)\s+(?:have|earn|get|deserve|receive|merit|score|need|require)\b"
    r"|\bif\b[^.]*\b(?:had|were|was|would)\b|\b(?:for|an?)\s+(?:example|instance)\b|\bexample\s*:|\be\.g\b|\bsuch\s+as\b"
    r"|\bformat\b|\bin\s+the\s+form\b|\binstead\s+of\b|\brather\s+than\b|\b(?:perfect|ideal|flawless)\b"
    r"|\b(?:means|reserved)\b|\b(?:is|are)\s+(?:only\s+)?for\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)[.!?][\"')\]*_]*\s+|\n")
_EITHER = re.compile(r"[\s\"'`*]*(?:or|and/or|/|\|)[\s\"'`*\[]*", re.IGNORECASE)
_OBJECT = re.compile(r"[\[\s]*\{")
_NOTHING = re.compile(r"[\s\"'`*_.!)}\]]*\Z")
_REACH = 300
"""Characters to each side in which the sentence of a verdict is looked for."""


class Place(Protocol):
    """Where something stands in a reply."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


P = TypeVar("P", bound=Place)


class Number(NamedTuple):
    """A number in brackets. scale: the upper end it names, or None."""

    start: int
    end: int
    value: float
    scale: float | None


def the_verdict(text: str, found: Sequence[P]) -> P:
    """The one that counts of those in `text`, in the order in which they end; at least one."""
    if len(found) == 1:
        return found[0]
    sound = [place for place in found if not is_example(text, place)] or found
    formal = [place for place in sound if is_formal(text, place)]
    return (formal or sound)[-1]


def undecided(text: str, found: Sequence[P], chosen: P) -> P | None:
    """The verdict before `chosen` where only an "or" stands between the two: the reply decides for neither."""
    before = [place for place in found if place.end <= chosen.start]
    if before and _EITHER.fullmatch(text, before[-1].end, chosen.start):
        return before[-1]
    return None


def is_formal(text: str, place: Place) -> bool:
    return is_named(text, place) or _alone(text, place)


def is_named(text: str, place: Place) -> bool:
    """Whether its name stands right before it, or in it, as in JSON."""
    if _OBJECT.match(text, place.start):
        return True
    return _NAMED.search(text[max(0, place.start - 60) : place.start]) is not None


def is_example(text: str, place: Place) -> bool:
    """Whether its sentence speaks of what would be; behind a verdict with its name, only what stands before counts."""
    before = text[max(0, place.start - _REACH) : place.start]
    starts = [match.end() for match in _SENTENCE.finditer(before)]
    sentence = before[starts[-1] :] if starts else before
    if not is_named(text, place):
        after = text[place.end : place.end + _REACH]
        sentence += " ... " + _SENTENCE.split(after, maxsplit=1)[0]
    return _EXAMPLE.search(sentence) is not None


def _alone(text: str, place: Place) -> bool:
    """Whether it has a line to itself, or ends the reply."""
    if _NOTHING.match(text, place.end):
        return True
    line = text[text.rfind("\n", 0, place.start) + 1 : place.start]
    rest = text[place.end :].split("\n", 1)[0]
    return not line.strip("\"'`*_>#- \t") and _NOTHING.match(rest) is not None
