"""Reading verdicts out of whatever a model writes.

A model asked for JSON wraps it in fences, argues first, changes its mind, or writes "Score: 85/100".
The last well-formed verdict wins, because drafts come first, and examples are none (`verdict.py`). What is off the
scale or unreadable raises `ParseError`: a missing score is missing, never 0 and never a default.

    'Both fine.\\n```json\\n{"feedback": "...", "score_1": 70, "score_2": 85}\\n```'  ->  (70.0, 85.0)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tacos.llm.verdict import SCALE, the_verdict, undecided, upper_end
from tacos.text import whole_characters
from tacos.types import Record

MAX_OPENERS = 5000
"""Brackets tried as the start of JSON; each costs up to one pass over the reply."""

MOST_FEEDBACK = 2000
"""Characters of feedback that are kept."""

_DECODER = json.JSONDecoder(strict=False)  # models put raw newlines into strings
_QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'"})
_NOT_PLAIN = re.compile(r"[^a-z0-9]")
_COMMA = re.compile(r",(?=\s*[}\]])")

# A number that ends there: not the "1" of "1,000", the "7" of "7-8" or the "4" of "4x".
_RANGE = r"[ \t]*(?:[-\u2013\u2014~]|\b(?:or|to)\b)[ \t]*[0-9]"
_NUMBER = rf"(-?[0-9]{{1,9}}(?:\.[0-9]{{1,9}})?)(?![0-9a-zA-Z]|[.,][0-9]|{_RANGE})(?:\s*\]\])?{SCALE}"
_IS = r"[\"'`*_\s]*(?:\bis\b\s*:?|[:=\uff1a])[\"'`*_\s\[]*"
_VALUE = re.compile(rf"\s*{_NUMBER}\s*%?\s*", re.IGNORECASE)
_ALONE = r"\[\[\s*(?=[0-9.\-]+\s*(?:(?:/|out of)\s*[0-9]+\s*)?\]\])"
_SINGLE = re.compile(rf"(?:\b(?:score|rating){_IS}|{_ALONE}){_NUMBER}", re.IGNORECASE)
_BETWEEN = r"(?:(?!score[\s_]*1)[\s\S]){0,400}?"
_PAIR = re.compile(rf"\bscore[\s_]*1{_IS}{_NUMBER}{_BETWEEN}\bscore[\s_]*2{_IS}{_NUMBER}", re.IGNORECASE)


_LABEL = r"\[?\b(?:response|sample|message|answer)\s*{}\s*\]?[*_\s]*(?:score)?\s*[:=\uff1a][\"'`*_\s<\[]*"
_LABELLED = re.compile(
    rf"{_LABEL.format(1)}{_NUMBER}[\s\S]{{0,6000}}?{_LABEL.format(2)}{_NUMBER}", re.IGNORECASE
)
"""As the released prompts of TACOS ask: "[Response 1]: [85] ... [Response 2]: [90]"."""


class ParseError(ValueError):
    """A reply without a readable verdict, and why."""

    def __init__(self, reason: str, text: str):
        line = " ".join(text[-400:].split())
        super().__init__(f"{reason} in {'...' + line[-120:] if len(line) > 120 else line!r}")
        self.reason = reason


class Tag(Record):
    """One open tag of a sample's intention."""

    tag: str
    explanation: str = ""


class _Span(NamedTuple):
    """A JSON value and where it stands in the reply."""

    start: int
    end: int
    value: Any


class _Verdict(NamedTuple):
    """Raw values of a verdict, and where it stands."""

    start: int
    end: int
    values: tuple[Any, ...]


def parse_tags(text: str) -> list[Tag]:
    """The tags of the last list of tags: objects with "tag" and "explanation", or bare strings.

    Takes a list, an object holding one, and objects one after another (a list cut off by the token
    limit keeps its whole entries). Entries without a tag are left out.

    Raises: ParseError when there is no tag.
    """
    last: list[Tag] = []
    last_end = -1
    for span in _json_spans(text):
        tags = _tags_in(span.value)
        if tags:
            single = isinstance(span.value, dict)
            joined = single and last_end >= 0 and not text[last_end : span.start].strip(", \n\r\t")
            last = last + tags if joined else tags
            last_end = span.end if single else -1
    if not last:
        raise ParseError("no tags", text)
    return last


def parse_pair_scores(text: str, low: float, high: float) -> tuple[float, float]:
    """The scores of the first and the second of a pair, each in [low, high].

    Reads {"score_1": 70, "score_2": 85}, "Score 1: 70/100, Score 2: 85/100", "[Response 1]: [70] [Response 2]: [85]",
    or two numbers alone in the reply's last or first line.

    Raises: ParseError when the last verdict is off the scale, or there is none.
    """
    labelled = _PAIR.search(text) is None and _LABELLED.search(text) is not None
    values = _last_verdict(text, ("score1", "score2"), _LABELLED if labelled else _PAIR)
    first, second = (_on_scale(value, low, high, text) for value in values)
    return first, second


def parse_list_scores(text: str, count: int, low: float, high: float) -> tuple[float, ...]:
    """The scores of a list of samples, in order, each in [low, high].

    Reads {"scores": [70, 85, 40]}, or the numbers alone in the reply's last or first line.

    Raises: ParseError when the last verdict has another number of scores or is off the scale, or there is none.
    """
    verdicts = [verdict for span in _json_spans(text) if (verdict := _verdict_in(span, ("scores",)))]
    values = verdicts[-1].values[0] if verdicts else _bare_numbers(text, count)
    if not isinstance(values, list | tuple) or len(values) != count:
        found = f"{len(values)} scores" if isinstance(values, list | tuple) else "no list of scores"
        raise ParseError(f"{found} for {count} samples", text)
    return tuple(_on_scale(value, low, high, text) for value in values)


def parse_score(text: str, low: float, high: float) -> float:
    """One score in [low, high]: {"score": 4}, "Score: 85/100", "I give it [[4]]", or a number alone in the
    reply's last or first line.

    Raises: ParseError when the last verdict is off the scale, or there is none.
    """
    (value,) = _last_verdict(text, ("score",), _SINGLE)
    return _on_scale(value, low, high, text)


def parse_feedback(text: str) -> str:
    """What a reply says in words beside its scores, white space folded: `feedback` of its last JSON object that has
    one, else all of it that is no JSON; at most `MOST_FEEDBACK` characters."""
    spans = list(_json_spans(text))
    said = [
        str(record["feedback"]) for span in spans for record in _records(span.value) if "feedback" in record
    ]
    found = said[-1] if said else _without(text, spans).replace("\0", "")
    return " ".join(found.split())[:MOST_FEEDBACK]


def _last_verdict(text: str, names: tuple[str, ...], pattern: re.Pattern[str]) -> tuple[Any, ...]:
    """The raw values, one per name, of the verdict that ends last, be it JSON or prose."""
    spans = list(_json_spans(text))
    verdicts = [v for span in spans if (v := _verdict_in(span, names))]
    objects = [span for span in spans if any(_records(span.value))]  # "[[5]]" is prose
    for match in pattern.finditer(_without(text.translate(_QUOTES), objects)):
        verdicts.append(_Verdict(match.start(1), match.end(), _numbers(match)))
    if not verdicts:
        return _bare_numbers(text, len(names))
    verdicts.sort(key=lambda verdict: verdict.end)
    chosen = the_verdict(text, verdicts)
    other = undecided(text, verdicts, chosen)
    if other is not None and other.values != chosen.values:
        raise ParseError("undecided between two scores", text)
    return chosen.values


def _verdict_in(span: _Span, names: tuple[str, ...]) -> _Verdict | None:
    """The last object in a JSON value that holds all `names`."""
    found = None
    for record in _records(span.value):
        if all(name in record for name in names):
            found = _Verdict(span.start, span.end, tuple(record[name] for name in names))
    return found


def _records(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a JSON value, in order, with plain keys: "Score 1" -> score1, "rating" -> score."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield {_NOT_PLAIN.sub("", key.lower()).replace("rating", "score"): v for key, v in item.items()}
            stack.extend(reversed(item.values()))
        elif isinstance(item, list):
            stack.extend(reversed(item))


def _numbers(match: re.Match[str]) -> tuple[str, ...]:
    """(number, scale, number, scale, ...) of a match as "number/scale" texts."""
    groups = match.groups()
    pairs = zip(groups[::2], groups[1::2], strict=True)
    return tuple(number if scale is None else f"{number}/{scale}" for number, scale in pairs)


def _bare_numbers(text: str, count: int) -> tuple[str, ...]:
    """Numbers that have a line to themselves, such as "4.5" or "70 85": the last line, else the first, where
    the prompts of AlpaGasus and of Vicuna's reviews want them."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line in lines[-1:] + lines[:1]:
        parts = [part.rstrip(",") for part in line.split()]
        if len(parts) == count and all(_VALUE.fullmatch(part) for part in parts):
            return tuple(parts)
    raise ParseError("no score", text)


def _on_scale(value: Any, low: float, high: float, text: str) -> float:
    """`value` as a float in [low, high]; "85/100" must name the scale's own upper end."""
    if isinstance(value, str) and (match := _VALUE.fullmatch(value)):
        number, scale = match.groups()
        if scale is not None and upper_end(scale) != high:
            raise ParseError(f"a score out of {scale} where the scale ends at {high:g}", text)
        value = float(number)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParseError(f"a score that is not a number, {str(value)[:40]!r}", text)
    if not low <= value <= high:  # also refuses NaN
        raise ParseError(f"a score off the scale {low:g} to {high:g}", text)
    return float(value)


def _tags_in(value: Any) -> list[Tag]:
    """The tags of one JSON value; empty when it is something else."""
    if isinstance(value, list):
        return [tag for item in value if (tag := _tag(item))]
    if isinstance(value, dict):
        single = _tag(value)
        lists = (_tags_in(item) for item in value.values() if isinstance(item, list))
        return [single] if single else next(filter(None, lists), [])
    return []


def _tag(item: Any) -> Tag | None:
    fields = item if isinstance(item, dict) else {"tag": item}
    if fields.keys() != {"tag", "explanation"}:
        fields = {str(k).lower(): v for k, v in fields.items()}
    name, why = fields.get("tag"), fields.get("explanation")
    if not isinstance(name, str) or not name.strip():
        return None
    reason = whole_characters(why).strip() if isinstance(why, str) else ""
    return Tag(tag=whole_characters(name).strip(), explanation=reason)


def _json_spans(text: str) -> Iterator[_Span]:
    """The outermost JSON objects and lists in `text`, in order.

    Each place is read as it stands, then without trailing commas, then with smart quotes straightened
    too. Both repairs keep the length, so positions agree.

    Raises: ParseError when there are absurdly many brackets.
    """
    repaired: tuple[str, ...] | None = None  # made when first needed: most replies need no repair
    end = tried = 0
    for opener in re.finditer(r"[\[{]", text):
        start = opener.start()
        if start < end:
            continue
        tried += 1
        if tried > MAX_OPENERS:
            raise ParseError("too many brackets to read", text)
        span = _decode(text, start)
        if span is None:
            repaired = _repaired(text) if repaired is None else repaired
            span = next((found for variant in repaired if (found := _decode(variant, start))), None)
        if span:
            end = span.end
            yield span


def _repaired(text: str) -> tuple[str, ...]:
    commas = _COMMA.sub(" ", text)
    both = _COMMA.sub(" ", text.translate(_QUOTES))
    return tuple(variant for variant in dict.fromkeys((commas, both)) if variant != text)


def _decode(text: str, start: int) -> _Span | None:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):  # ValueError: also integers of thousands of digits
        return None
    return _Span(start, end, value)


def _without(text: str, spans: list[_Span]) -> str:
    """`text` with each span blanked, so that prose patterns do not read inside JSON."""
    parts, at = [], 0
    for span in spans:
        parts += [text[at : span.start], "\0" * (span.end - span.start)]
        at = span.end
    return "".join([*parts, text[at:]])
