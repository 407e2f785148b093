"""Pairs of outputs whose better one is known: what a judge is checked on.

One JSON object per line (or an array of them, also gzip'ed or Parquet):

    {"instruction": "Add 3 and 4.", "output_1": "7", "output_2": "8", "label": 1}

`label` is 1 or 2 for the better output; 0, 1.5 or "tie" where neither is. Labels of 0 and 1 alone are refused,
since they may as well count outputs from 0, which would turn every verdict round or into a tie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from eval.pairwise.five_sets import BadRow
from tacos.answering.judge import Comparison
from tacos.data.published import published_rows
from tacos.errors import TacosError
from tacos.types import Record

MATCHED = 0.2
"""Answers are length-matched when their lengths differ by at most this share of the longer."""
LABELS = {
    1: 1,
    2: 2,
    0: None,
    1.5: None,
    "1": 1,
    "2": 2,
    "0": None,
    "1.5": None,
    "tie": None,
    "output_1": 1,
    "output_2": 2,
}
"""What a file may say, and the better answer it means; None is a tie."""


class LabelledPair(Record):
    """Two outputs and which one is better."""

    id: str
    instruction: str
    output_1: str
    output_2: str
    label: int | None = Field(ge=1, le=2)
    """1 or 2; None where neither is better."""
    reference: str | None = None

    @property
    def matched(self) -> bool:
        """The outputs are of nearly the same length."""
        lengths = len(self.output_1), len(self.output_2)
        return max(lengths) - min(lengths) <= MATCHED * max(lengths)

    @property
    def shown(self) -> Comparison:
        """As a judge sees it."""
        return Comparison(
            question=self.instruction,
            answer_1=self.output_1,
            answer_2=self.output_2,
            reference=self.reference,
        )


class LabelledPairs(Record):
    """The pairs of a file, and its rows that are none."""

    source: str
    pairs: list[LabelledPair]
    bad: list[BadRow] = Field(default_factory=list)
    duplicate: int = 0
    """Rows that repeat a pair (same id, or same instruction and outputs); the first stands."""


def read_labelled_pairs(path: Path) -> LabelledPairs:
    """Rows of {instruction, output_1, output_2, label}, with `input`, `id` and `reference` where there are.

    Labels: 1 or 2 for the better output; 0, 1.5 or "tie" where neither is; also "output_1", "output_2".
    Bad rows are left out with line and reason.

    Raises: TacosError when no row is good, or when labels are 0 and 1 only, which counts outputs from 0.
    """
    good: dict[str, LabelledPair] = {}
    seen: set[tuple[str, str, str]] = set()
    bad: list[BadRow] = []
    duplicate = 0
    labels: set[Any] = set()
    for line, value, error in published_rows(path):
        pair = _pair(line, value) if error is None else f"broken or cut off: {error}"
        if isinstance(pair, str):
            bad.append(BadRow(line=line, reason=pair))
            continue
        labels.add(float(value["label"]) if _is_number(value["label"]) else value["label"])
        content = (pair.instruction, pair.output_1, pair.output_2)
        duplicate += pair.id in good or content in seen
        if pair.id not in good and content not in seen:
            good[pair.id] = pair
            seen.add(content)
    if not good:
        why = f"line {bad[0].line}: {bad[0].reason}" if bad else "it is empty"
        raise TacosError(f"{path} holds no labelled pair; {why}")
    if labels == {0.0, 1.0}:
        raise TacosError(
            f"{path}: labels are 0 and 1 only; write 1 where output_1 is better, 2 for output_2, 0 for a tie"
        )
    return LabelledPairs(source=str(path), pairs=list(good.values()), bad=bad, duplicate=duplicate)


def _is_number(label: Any) -> bool:
    return isinstance(label, int | float) or str(label) in ("0", "1", "2", "1.5")


def _pair(line: int, row: Any) -> LabelledPair | str:
    """A pair, or why the row is none."""
    if not isinstance(row, dict):
        return f"expected an object, found {type(row).__name__}"
    absent = [key for key in ("instruction", "output_1", "output_2") if not isinstance(row.get(key), str)]
    if absent:
        return f"no text under {', '.join(absent)}"
    label = row.get("label")
    if isinstance(label, bool) or not isinstance(label, int | float | str) or label not in LABELS:
        return f"label {str(label)[:40]!r}, expected 1 or 2, or 0, 1.5 or tie"
    given, reference = row.get("input"), row.get("reference")
    asked = f"{row['instruction']}\n\n{given}" if isinstance(given, str) and given else row["instruction"]
    return LabelledPair(
        id=str(row.get("id") if row.get("id") is not None else f"line-{line}"),
        instruction=asked,
        output_1=row["output_1"],
        output_2=row["output_2"],
        label=LABELS[label],
        reference=reference if isinstance(reference, str) else None,
    )
