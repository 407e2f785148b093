r"""Expert-revised response pairs (CaR, arXiv 2402.18191), cleaned of the marks that give them away.

A file has three columns: `src` (the instruction), `pos` (an expert's revision of the response) and `neg`
(the response as it was). As released, originals carry JSON escapes where revisions have real
characters, and revisions set paragraphs apart by empty lines: on the 254 released validation pairs
"has no escapes" alone finds 69.1% of the revisions, and "has more empty lines" 79.7% (ties one half),
without a word being read. So every text passes `clean_escaped` before anything is trained, tested or shown:

    original   Response: Say \"hot\":\n1. Tea    ->    Say "hot":
                                                  1. Tea
    revision   Response: Say "hot":             ->    Say "hot":
                                                  1. Tea
               1. Tea

Both sides above come out the same: such a pair is `identical`, and nobody can tell which is better.

What is left is honest: experts mostly write more. "The longer is the revision" holds for 83.3% of the
validation pairs and 80.2% of the training pairs (characters, equal length one half), so a scorer's
accuracy is read beside that figure. One training pair has an empty revision and is counted as bad.

Line breaks stay, one at a time, since lists are part of an answer. Only JSON's escapes are
decoded, so that `\frac` and `\approx` stay; a bare `\times` or `\neq` would be misread, and no released
pair has one.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from tacos.errors import PoolError
from tacos.text import whole_characters
from tacos.types import Record

COLUMNS = ("src", "pos", "neg")
SOURCE, INPUT, RESPONSE = "Instruction:", " Input: ", "Response:"

_ESCAPE = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\[nrt"\\/]')
_QUOTES = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f", '"') | dict.fromkeys("\u2018\u2019\u201a\u201b", "'")
)
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_BLANKS, _BREAKS = re.compile(r"[^\S\n]+"), re.compile(r" ?\n[\n ]*")


class ExpertPair(Record):
    """An instruction with an expert's revision of a response and the response as it was, all cleaned."""

    id: str
    """`<file stem>-<row>`, rows from 0."""
    instruction: str
    input: str = ""
    revised: str
    original: str

    @property
    def prompt(self) -> str:
        """The instruction, and its input after an empty line."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    @property
    def identical(self) -> bool:
        """Nothing but escapes, quotes and white space was revised."""
        return self.revised == self.original


class BadPair(Record):
    """A row left out, and why."""

    line: int
    """1-based line of the file where the row ends."""
    reason: str


class ExpertPairs(Record):
    """The pairs of one file. `identical` pairs are among them; bad rows are not."""

    pairs: list[ExpertPair]
    bad: list[BadPair] = Field(default_factory=list)

    @property
    def identical(self) -> int:
        """How many pairs hold the same text twice."""
        return sum(pair.identical for pair in self.pairs)


def clean_escaped(text: str) -> str:
    r"""JSON's escapes decoded; quotes straight; white space single; invisible characters gone; NFC.

    A surrogate without its other half becomes U+FFFD, so that the text can be encoded.

    >>> clean_escaped(r'It\u2019s \"hot\":\n\n1. Tea ')
    'It\'s "hot":\n1. Tea'
    """
    decoded = whole_characters(_ESCAPE.sub(lambda match: json.loads(f'"{match.group()}"'), text))
    plain = unicodedata.normalize("NFC", _INVISIBLE.sub("", decoded.translate(_QUOTES)))
    lines = _BLANKS.sub(" ", plain.replace("\r\n", "\n").replace("\r", "\n"))
    return _BREAKS.sub("\n", lines).strip()


def read_expert_pairs(path: Path) -> ExpertPairs:
    """Every pair of a `src,pos,neg` file, cleaned.

    Raises: PoolError when the file cannot be read, lacks a column, or holds no pair at all.
    """
    pairs: list[ExpertPair] = []
    bad: list[BadPair] = []
    for row, (line, values) in enumerate(_rows(path)):
        reason = _complaint(values)
        if reason:
            bad.append(BadPair(line=line, reason=reason))
        else:
            pairs.append(_pair(f"{path.stem}-{row}", values))
    if not pairs:
        first = f"; line {bad[0].line}: {bad[0].reason}" if bad else ""
        raise PoolError(f"{path} holds no pair{first}; expected a CSV of columns {', '.join(COLUMNS)}")
    return ExpertPairs(pairs=pairs, bad=bad)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                raise PoolError(f"{path} lacks the columns {', '.join(absent)}; it has {reader.fieldnames}")
            for values in reader:
                yield reader.line_num, values
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PoolError(f"cannot read {path}: {error}; check that the file is a complete CSV") from error


def _complaint(values: dict[str, Any]) -> str | None:
    absent = [name for name in COLUMNS if values[name] is None]
    if absent:
        return f"cut short: no {', '.join(absent)}"
    if None in values:
        return "more fields than columns"
    empty = [name for name in COLUMNS if not _body(values[name], SOURCE if name == "src" else RESPONSE)]
    return f"empty {', '.join(empty)}" if empty else None


def _pair(id_: str, values: dict[str, str]) -> ExpertPair:
    instruction, _, given = values["src"].partition(INPUT)
    return ExpertPair(
        id=id_,
        instruction=_body(instruction, SOURCE),
        input=clean_escaped(given),
        revised=_body(values["pos"], RESPONSE),
        original=_body(values["neg"], RESPONSE),
    )


def _body(text: str, label: str) -> str:
    """The cleaned text without the label that it opens with."""
    return clean_escaped(text.strip().removeprefix(label))
