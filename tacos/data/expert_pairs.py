r"""Expert-revised responses (CaR, arXiv 2402.18191), cleaned of the marks that give them away.

Two forms were released, told apart by their columns:

    src,score     what CaR's scorer is trained on: rows in twos, an original (0) and its revision (1), each a whole
                  triple "Instruction: ... Input: ... Response: ..." with its own instruction and input
    src,pos,neg   a baseline's: an instruction, the revision and the original; the original stands below the
                  revised instruction, in 31% of the training pairs not its own

As released, originals carry JSON escapes where revisions have real characters, and revisions set paragraphs
apart by empty lines: on the 254 validation pairs of the second form "has no escapes" alone finds 69.1% of the
revisions, and "has more empty lines" 79.7% (ties one half), without a word being read. So every text passes
`clean_escaped` before anything is trained, tested or shown:

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
from typing import Any, NamedTuple

from pydantic import Field

from tacos.errors import PoolError
from tacos.text import whole_characters
from tacos.types import Record

SIDES, TRIPLES = ("src", "pos", "neg"), ("src", "score")
FORMS = " or ".join(", ".join(form) for form in (TRIPLES, SIDES))
SURPLUS = "more fields than columns"
SOURCE, INPUT, RESPONSE = "Instruction:", " Input: ", "Response:"

_ESCAPE = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\[nrt"\\/]')
_QUOTES = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f", '"') | dict.fromkeys("\u2018\u2019\u201a\u201b", "'")
)
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_BLANKS, _BREAKS = re.compile(r"[^\S\n]+"), re.compile(r" ?\n[\n ]*")


class ExpertPair(Record):
    """An expert's revision and the original, each with what it answers, all cleaned."""

    id: str
    """`<file stem>-<pair>`, pairs from 0."""
    instruction: str
    input: str = ""
    revised: str
    original: str
    original_instruction: str
    """As `instruction` in a file of src, pos, neg; experts revised instructions too."""
    original_input: str = ""

    @property
    def prompt(self) -> str:
        """The revision's instruction, and its input after an empty line."""
        return _prompt(self.instruction, self.input)

    @property
    def original_prompt(self) -> str:
        """The same of the original."""
        return _prompt(self.original_instruction, self.original_input)

    @property
    def identical(self) -> bool:
        """Nothing but escapes, quotes and white space was revised."""
        return (self.revised, self.prompt) == (self.original, self.original_prompt)


class BadPair(Record):
    """A row left out, and why."""

    line: int
    """1-based line of the file where the row ends."""
    reason: str
    """What is missing or cannot be read."""


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


class _Side(NamedTuple):
    """One side of a pair, cleaned."""

    instruction: str
    input: str
    response: str


_Found = tuple[int, _Side | str, _Side | str]
"""The line where a pair ends; revision and original, or why a side cannot be read."""


def read_expert_pairs(path: Path) -> ExpertPairs:
    """Every pair of a `src,score` or `src,pos,neg` file, cleaned.

    Raises: PoolError when the file cannot be read, lacks a column or holds no pair at all, and when the rows of
    `src,score` are not an original (0) and its revision (1) in turn: nobody knows then which belong together.
    """
    columns, rows = _rows(path)
    pairs: list[ExpertPair] = []
    bad: list[BadPair] = []
    found = _in_twos(path, rows) if columns == TRIPLES else map(_in_one, rows)
    for number, (line, revision, original) in enumerate(found):
        pair = _pair(f"{path.stem}-{number}", revision, original)
        if isinstance(pair, str):
            bad.append(BadPair(line=line, reason=pair))
        else:
            pairs.append(pair)
    if not pairs:
        first = f"; line {bad[0].line}: {bad[0].reason}" if bad else ""
        raise PoolError(f"{path} holds no pair{first}; expected a CSV of columns {FORMS}")
    return ExpertPairs(pairs=pairs, bad=bad)


def _rows(path: Path) -> tuple[tuple[str, ...], list[tuple[int, dict[str, Any]]]]:
    """The columns that tell the form, and each row with the line where it ends."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            names = reader.fieldnames or ()
            columns = next((form for form in (TRIPLES, SIDES) if set(form) <= set(names)), None)
            if columns is None:
                raise PoolError(f"{path} lacks the columns {FORMS}; it has {', '.join(names) or 'none'}")
            return columns, [(reader.line_num, values) for values in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PoolError(f"cannot read {path}: {error}; check that the file is a complete CSV") from error


def _in_twos(path: Path, rows: list[tuple[int, dict[str, Any]]]) -> Iterator[_Found]:
    """`src,score`: an original, and its revision in the next row."""
    for at in range(0, len(rows), 2):
        two = [values for _, values in rows[at : at + 2]]
        labels = [(values["score"] or "missing").strip().removesuffix(".0") for values in two]
        if labels != ["0", "1"]:
            raise PoolError(
                f"{path} line {rows[at][0]}: score {', '.join(labels)} where an original (0) and its revision (1) "
                "were expected; a row is missing or out of order, or the file was cut short: take it as released"
            )
        original, revision = map(_triple, two)
        yield rows[at + 1][0], revision, original


def _in_one(row: tuple[int, dict[str, Any]]) -> _Found:
    """`src,pos,neg`: both sides below one instruction."""
    line, values = row
    absent = [name for name in SIDES if values[name] is None]
    reason = f"cut short: no {', '.join(absent)}" if absent else SURPLUS if None in values else None
    if reason:
        return line, reason, reason
    return line, _side(values["src"], values["pos"]), _side(values["src"], values["neg"])


def _triple(values: dict[str, Any]) -> _Side | str:
    """The parts of "Instruction: ... Input: ... Response: ...", or what is missing; the first label of each counts."""
    if None in values:
        return SURPLUS
    text = values["src"] or ""  # None where the row was cut short
    asked, label, response = text.partition(f" {RESPONSE}")
    if not (label and asked.lstrip().startswith(SOURCE)):
        return f"{text[:40]!r} is not {SOURCE!r} ... {RESPONSE!r}"
    return _side(asked, response)


def _side(asked: str, response: str) -> _Side:
    instruction, _, given = asked.partition(INPUT)
    return _Side(_body(instruction, SOURCE), clean_escaped(given), _body(response, RESPONSE))


def _pair(id_: str, revision: _Side | str, original: _Side | str) -> ExpertPair | str:
    """Or what cannot be read, or is empty."""
    if isinstance(revision, str):
        return revision
    if isinstance(original, str):
        return original
    read = {"instruction": revision.instruction and original.instruction}
    read |= {"revision": revision.response, "original": original.response}
    if not all(read.values()):
        return f"empty {', '.join(name for name, text in read.items() if not text)}"
    return ExpertPair(
        id=id_,
        instruction=revision.instruction,
        input=revision.input,
        revised=revision.response,
        original=original.response,
        original_instruction=original.instruction,
        original_input=original.input,
    )


def _prompt(instruction: str, given: str) -> str:
    return f"{instruction}\n\n{given}" if given else instruction


def _body(text: str, label: str) -> str:
    """The cleaned text without the label that it opens with."""
    return clean_escaped(text.strip().removeprefix(label))
