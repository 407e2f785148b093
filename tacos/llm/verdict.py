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

_WORDS = {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10, "hundred": 100}
SCALE = (
    r"(?:[\s`*_\"')]*[(\uff08]?\s*(?:points?|stars?|marks?|\u5206)?\s*"
    r"(?:/|\b(?:out\s+)?of\b|\bon\s+a\s+(?:[0-9]+-point\s+)?scale\s+(?:of|from)\s+(?:[0-9]+\s*(?:-|\u2013|to)\s*)?"
    r"|\bon\s+an?\s+(?=[0-9]+[- ]point)|[(\uff08]?\s*\u6ee1\u5206[\u4e3a\u662f]?)"
    rf"\s*([0-9]{{1,9}}(?:\.0+)?|(?:{'|'.join(_WORDS)})\b)(?![0-9]))?"
)
"""What may stand behind a number: "/10", "out of 5", "(of five)", "on a scale of 1 to 5", "on a 5-point scale"; the
group is its end, for `upper_end`."""
_NAMED = re.compile(
    r"\b(?:score|rating|grade|verdict|choice|decision|judge?ment|preference|winner|answer|result|mark)\w*"
    r"[\"'`*_\s]*[12]?[\"'`*_\s]*(?:\bis\b\s*:?|[:=\uff1a])[\"'`*_\s(\[]*\Z",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"(?:\b(?:would|could|might|should)|['\u2019]d)\s+(?:have|earn|get|deserve|receive|merit|score|need|require)\b"
    r"|\bif\b[^.]*\b(?:had|were|was|would)\b|\b(?:for|an?)\s+(?:example|instance)\b|\bexample\s*:|\be\.g\b|\bsuch\s+as\b"
    r"|\bformat\b|\bin\s+the\s+form\b|\b(?:perfect|ideal|flawless)\b"
    r"|\b(?:means|reserved)\b|\b(?:is|are)\s+(?:only\s+)?for\b",
    re.IGNORECASE,
)
_PASSED_OVER = re.compile(
    r"(?:\b(?:not|than|instead\s+of|over)(?:\s+(?:an?|the))?\s+"
    r"|\b(?:confidence|certainty|difficulty)\b[\w\s]*[\"'`*_]*\s*[:=\uff1a]\s*)[\"'`*_(\[]*\Z",
    re.IGNORECASE,
)
"""Before what is no verdict: the other one of two, or a number with a name of its own."""
_SENTENCE = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)[.!?][\"')\]*_]*\s+|\n", re.IGNORECASE)
_EITHER = re.compile(
    r"[\s\"'`*]*(?:or|and/or|to|/|\|)[\s\"'`*\[]*|[ \"'`*]*[-\u2013~][ \"'`*\[]*", re.IGNORECASE
)
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


def upper_end(scale: str) -> float:
    """Of a scale that `SCALE` found: "5", "five"."""
    return float(_WORDS.get(scale.lower(), scale))


def the_verdict(text: str, found: Sequence[P]) -> P:
    """The one that counts of those in `text`, in the order in which they end; at least one."""
    if len(found) == 1:
        return found[0]
    sound = [place for place in found if not is_example(text, place)] or found
    formal = [place for place in sound if is_formal(text, place)]
    return (formal or sound)[-1]


def undecided(text: str, found: Sequence[P], chosen: P) -> P | None:
    """The verdict before `chosen` where only an "or", a "to" or a dash stands between the two, so that the reply
    decides for neither."""
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
    if _PASSED_OVER.search(before):
        return True
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
