"""Pairs of outputs whose better one is known: what a judge is checked on.

One JSON object per line (or an array of them, also gzip'ed or Parquet):

    {"instruction": "Add 3 and 4.", "output_1": "7", "output_2": "8", "label": 1}
    {"instruction": "Add 3 and 4.", "output_1": "7", "output_2": "8", "annotators": [1, 1, 0]}

`label` is 1 or 2 for the better output; 0, 1.5 or "tie" where neither is. In place of it `annotators` may hold several
people's labels, null where one gave none; the pair's label is then what more than half of them say, and none where no
label has as many. LLMBar's, Auto-J's and PandaLM's files are read as they are (`forms.py`). Labels of 0 and 1 alone are
refused in our form, since they may as well count outputs from 0, which would turn every verdict round or into a tie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from eval.judge_check.forms import OWN, TIE, PairForm, form_of
from eval.pairwise.five_sets import BadRow
from tacos.answering.judge import Comparison
from tacos.answering.orders import Result
from tacos.data.published import published_rows
from tacos.errors import TacosError
from tacos.types import Record

MATCHED = 0.2
"""Answers are length-matched when their lengths differ by at most this share of the longer."""
WINNER: dict[Result, int | None] = {"win": 1, "lose": 2, "tie": TIE, "unparsed": None}
"""A judge's result as a label."""


class LabelledPair(Record):
    """Two outputs and which one is better."""

    id: str
    instruction: str
    output_1: str
    output_2: str
    label: int | None = Field(ge=1, le=2)
    """1 or 2; None where neither is better, or where no label has a majority of the annotators."""
    annotators: tuple[int | None, ...] = ()
    """Several people's labels in a fixed order: 1, 2, or 0 for neither; None where one gave none."""
    reference: str | None = None

    @property
    def matched(self) -> bool:
        """The outputs are of nearly the same length."""
        lengths = len(self.output_1), len(self.output_2)
        return max(lengths) - min(lengths) <= MATCHED * max(lengths)

    @property
    def undecided(self) -> bool:
        """There are annotators, and no label has a majority of them."""
        return bool(self.annotators) and majority(self.annotators) is None

    @property
    def shown(self) -> Comparison:
        """As a judge sees it."""
        return Comparison(
            question=self.instruction,
            answer_1=self.output_1,
            answer_2=self.output_2,
            reference=self.reference,
        )

    def points(self, result: Result) -> float | None:
        """1 where the labelled output won, 0 where it lost, a tie one half; None where that cannot be read.

        Raises: ValueError for a pair without a label.
        """
        if self.label is None:
            raise ValueError(f"pair {self.id} has no label")
        winner = WINNER[result]
        return None if winner is None else 0.5 if winner == TIE else float(winner == self.label)


class LabelledPairs(Record):
    """The pairs of a file, and its rows that are none."""

    source: str
    pairs: list[LabelledPair]
    bad: list[BadRow] = Field(default_factory=list)
    duplicate: int = 0
    """Rows that repeat a pair (same id, or same instruction and outputs); the first stands."""
    form: str = OWN.name
    """Whose form the file has, a name of `forms.FORMS`."""


def majority(labels: Sequence[int | None]) -> int | None:
    """What more than half of the labels given say; None where no label has as many, or none is given.

    >>> majority([1, 1, 0]), majority([1, 2, 0]), majority([2, None, None])
    (1, None, 2)
    """
    given = [label for label in labels if label is not None]
    label, votes = Counter(given).most_common(1)[0] if given else (None, 0)
    return label if 2 * votes > len(given) else None


def read_labelled_pairs(path: Path) -> LabelledPairs:
    """Rows of one of `forms.FORMS`, with `reference` where there is one. Bad rows are left out with line and reason.

    Raises: TacosError when no row is good, or when labels of our form are 0 and 1 only, which counts outputs from 0.
    """
    rows = list(published_rows(path))
    form = form_of([row.value for row in rows])
    good: dict[str, LabelledPair] = {}
    seen: set[tuple[str, str, str]] = set()
    bad: list[BadRow] = []
    duplicate = 0
    said: set[Any] = set()
    for line, value, error in rows:
        pair = _pair(line, value, form) if error is None else f"broken or cut off: {error}"
        if isinstance(pair, str):
            bad.append(BadRow(line=line, reason=pair))
            continue
        said |= {_as_number(label) for label in _said(value, form)}
        content = (pair.instruction, pair.output_1, pair.output_2)
        duplicate += pair.id in good or content in seen
        if pair.id not in good and content not in seen:
            good[pair.id] = pair
            seen.add(content)
    if not good:
        why = f"line {bad[0].line}: {bad[0].reason}" if bad else "it is empty"
        raise TacosError(f"{path} holds no labelled pair; {why}")
    if form is OWN and said == {0.0, 1.0}:
        raise TacosError(
            f"{path}: labels are 0 and 1 only; write 1 where output_1 is better, 2 for output_2, 0 for a tie"
        )
    pairs = list(good.values())
    return LabelledPairs(source=str(path), pairs=pairs, bad=bad, duplicate=duplicate, form=form.name)


def _as_number(label: Any) -> Any:
    return float(label) if isinstance(label, int | float) or str(label) in ("0", "1", "2", "1.5") else label


def _said(row: Mapping[str, Any], form: PairForm) -> list[Any]:
    """The labels of a good row, as it has them."""
    votes = form.votes(row)
    return [label for label in ([row.get("label")] if votes is None else votes) if label is not None]


def _pair(line: int, row: Any, form: PairForm) -> LabelledPair | str:
    """A pair, or why the row is none."""
    if not isinstance(row, dict):
        return f"expected an object, found {type(row).__name__}"
    absent = [theirs for theirs in form.texts.values() if not isinstance(row.get(theirs), str)]
    if absent:
        return f"no text under {', '.join(absent)}"
    labels = _labels(row, form)
    if isinstance(labels, str):
        return labels
    label = majority(labels)
    given, reference, id_ = row.get(form.input), row.get("reference"), row.get(form.id)
    instruction, output_1, output_2 = (row[theirs] for theirs in form.texts.values())
    return LabelledPair(
        id=str(id_) if id_ is not None else f"line-{line}",
        instruction=f"{instruction}\n\n{given}" if isinstance(given, str) and given else instruction,
        output_1=output_1,
        output_2=output_2,
        label=None if label == TIE else label,
        annotators=labels if form.votes(row) is not None else (),
        reference=reference if isinstance(reference, str) else None,
    )


def _labels(row: Mapping[str, Any], form: PairForm) -> tuple[int | None, ...] | str:
    """What a row's label or labels mean, None where one of several is missing; or why they are none."""
    votes = form.votes(row)
    said = [row.get("label")] if votes is None else votes
    if not isinstance(said, list | tuple):
        return f"annotators {str(said)[:40]!r}, expected a list of labels"
    meant = tuple(form.meaning(label) for label in said)
    for label, meaning in zip(said, meant, strict=True):
        if meaning is None and (label is not None or votes is None):
            return f"label {str(label)[:40]!r}, expected one of {form.allowed}"
    if all(label is None for label in meant):
        return "no label of any annotator"
    label = row.get("label")
    if votes is not None and label is not None and form.meaning(label) != majority(meant):
        return f"label {str(label)[:40]!r} is not that of most annotators: leave it out, or correct it"
    return meant
