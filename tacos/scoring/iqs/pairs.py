"""Pairs of responses of which one is better, from CSV or JSON lines, and how a file was counted.

    CSV          src,score  or  src,pos,neg                      CaR's files, see `tacos.data.expert_pairs`
    JSON, JSONL  instruction, input?, <better>, <worse>           better: pos, chosen, revised
                                                                 worse: neg, rejected, original
    JSON, JSONL  instruction, input?, output_1, output_2, label  labels as in `eval.judge_check.labelled_pairs`

JSON may be gzip'ed or Parquet. A labelled tie is no pair and is counted as `ties`. A pair whose sides are the
same text once cleaned stays, counted as `identical`: no scorer can be right about it, and it is one half.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from tacos.data.expert_pairs import FORMS, BadPair, read_expert_pairs
from tacos.data.rows import read_rows
from tacos.errors import PoolError
from tacos.scoring.iqs.text import canonical, joined
from tacos.store.fingerprint import fingerprint
from tacos.types import Record

BETTER, WORSE = ("pos", "chosen", "revised"), ("neg", "rejected", "original")
PROMPTS = ("instruction", "prompt", "src")
LABELS = {
    "1": 1,
    "1.0": 1,
    "output_1": 1,
    "2": 2,
    "2.0": 2,
    "output_2": 2,
    "0": 0,
    "0.0": 0,
    "1.5": 0,
    "tie": 0,
}
MATCHED = 0.2
"""Sides are length-matched when their characters differ by at most this share of the longer."""


class QualityPair(Record):
    """A prompt with a better and a worse response, as given."""

    prompt: str
    better: str
    worse: str
    worse_prompt: str | None = None
    """What `worse` answers, where experts revised the prompt too; None is `prompt`."""


class QualityPairs(Record):
    """The pairs of a file, and the rows that are none."""

    source: str
    pairs: list[QualityPair]
    bad: list[BadPair] = Field(default_factory=list)
    ties: int = 0
    """Rows whose label says that neither side is better."""

    @property
    def prompts(self) -> list[str]:
        """What the better sides answer."""
        return [pair.prompt for pair in self.pairs]

    @property
    def worse_prompts(self) -> list[str]:
        return [pair.prompt if pair.worse_prompt is None else pair.worse_prompt for pair in self.pairs]

    @property
    def better(self) -> list[str]:
        return [pair.better for pair in self.pairs]

    @property
    def worse(self) -> list[str]:
        return [pair.worse for pair in self.pairs]

    def take(self, rows: np.ndarray) -> QualityPairs:
        """The pairs at `rows`, in that order; without the file's bad rows."""
        return QualityPairs(source=self.source, pairs=[self.pairs[i] for i in rows.tolist()])

    def joined(self, other: QualityPairs) -> QualityPairs:
        return QualityPairs(source=f"{self.source} + {other.source}", pairs=[*self.pairs, *other.pairs])

    def names(self) -> list[str]:
        """12 hex digits for each pair, by its canonical texts: the same pair has the same name anywhere."""
        return [
            fingerprint([canonical(text) for text in (pair.prompt, pair.better, asked, pair.worse)])[:12]
            for pair, asked in zip(self.pairs, self.worse_prompts, strict=True)
        ]


def read_pairs(path: Path) -> QualityPairs:
    """The pairs of a file; the form is told by its name (.csv) and by the keys of each row.

    Raises: PoolError when the file cannot be read, lacks columns, or holds no pair at all.
    """
    if path.suffix.lower() == ".csv":
        expert = read_expert_pairs(path)
        pairs = [
            QualityPair(prompt=p.prompt, better=p.revised, worse=p.original, worse_prompt=p.original_prompt)
            for p in expert.pairs
        ]
        return QualityPairs(source=str(path), pairs=pairs, bad=expert.bad)
    return _read_json(path)


def _read_json(path: Path) -> QualityPairs:
    pairs: list[QualityPair] = []
    bad: list[BadPair] = []
    ties = 0
    zero_or_one = True
    for line, value, error in read_rows(path):
        pair = _pair(value) if error is None else f"broken or cut off: {error}"
        if isinstance(pair, str):
            bad.append(BadPair(line=line, reason=pair))
            continue
        zero_or_one &= str(value.get("label")) in ("0", "1", "0.0", "1.0")
        if pair is None:
            ties += 1
        else:
            pairs.append(pair)
    if ties and zero_or_one:
        raise PoolError(
            f"{path}: labels are 0 and 1 only; write 1 where output_1 is better, 2 for output_2, 0 for a tie"
        )
    if not pairs:
        first = f"; line {bad[0].line}: {bad[0].reason}" if bad else ""
        raise PoolError(
            f"{path} holds no pair{first}; expected a CSV of {FORMS}, or rows with instruction and "
            f"{BETTER[0]}, {WORSE[0]} (also {', '.join(BETTER[1:] + WORSE[1:])}) or output_1, output_2, label"
        )
    return QualityPairs(source=str(path), pairs=pairs, bad=bad, ties=ties)


def _pair(row: Any) -> QualityPair | str | None:
    """A pair, None for a tie, or why the row is neither."""
    if not isinstance(row, dict):
        return f"expected an object, found {type(row).__name__}"
    asked = _text(row, PROMPTS)
    if asked is None:
        return f"no text under {' or '.join(PROMPTS)}"
    sides = _sides(row)
    if not isinstance(sides, tuple):
        return sides
    given = row.get("input")
    prompt = joined(asked, given if isinstance(given, str) else "")
    empty = [
        name
        for name, text in zip(("instruction", "better side", "worse side"), (prompt, *sides), strict=True)
        if not canonical(text)
    ]
    if empty:
        return f"empty {', '.join(empty)}"
    return QualityPair(prompt=prompt, better=sides[0], worse=sides[1])


def _sides(row: dict[str, Any]) -> tuple[str, str] | str | None:
    """(better, worse), None for a tie, or what is missing."""
    better, worse = _text(row, BETTER), _text(row, WORSE)
    if better is not None and worse is not None:
        return better, worse
    first, second = _text(row, ("output_1",)), _text(row, ("output_2",))
    if first is None or second is None:
        lacks = [names for names, text in ((BETTER, better), (WORSE, worse)) if text is None]
        return f"no text under {', nor under '.join(' or '.join(names) for names in lacks)}"
    label = row.get("label")
    if isinstance(label, bool) or str(label) not in LABELS:
        return f"label {str(label)[:40]!r}, expected 1 or 2, or 0, 1.5 or tie"
    winner = LABELS[str(label)]
    return None if winner == 0 else (first, second) if winner == 1 else (second, first)


def _text(row: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((row[name] for name in names if isinstance(row.get(name), str)), None)
