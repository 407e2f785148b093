"""Two-order reviews: files of them in Cherry LLM's and TACOS's format, read and written.

A file is an object with `data` (or a bare list, or one row per line); every row holds both answers and
two reviews, the second with the answers swapped and its scores in answer-2, answer-1 order:

    {"text": "...", "Answer1": "...", "Answer2": "...",
     "review": "9 8.5 ...", "scores": "[9.0, 8.5]", "review_reverse": "8 9 ...", "scores_reverse": "[8.0, 9.0]"}

Here answer 1 gets 9 and then 9, answer 2 gets 8.5 and then 8. [-1, -1] marks a review that could not be
read. So do scores off the scale of 0-10 (judges asked for 1-10 do give a 0, and published files hold
some), NaN, and anything but two numbers: such an order is unparsed, with its reason, and never a 0.

A row without answers, question or scores is not a review; it is left out with its line and reason. From a
file cut off in the middle, every whole row before the cut is read.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from eval.pairwise.five_sets import SETS, BadRow, known_set, question_text, row_id
from tacos.answering.judge import Verdict
from tacos.answering.orders import Judged, Rule, Unparsed, combine
from tacos.data.published import DECODER, read_text, whole_rows
from tacos.errors import TacosError
from tacos.store.files import write_json
from tacos.types import Record

LOW, HIGH = 0.0, 10.0
UNREAD = (-1.0, -1.0)

_META = re.compile(r'"Meta_Info"\s*:\s*')


class Review(Record):
    """One question, both answers, and the verdict of each order."""

    question: str
    question_id: str | None = None
    answer_a: str
    answer_b: str
    order_1: Verdict
    """A was shown first."""
    order_2: Verdict
    """B was shown first: `score_1` is B's."""

    def judged(self, rule: Rule = "lenient", unparsed: Unparsed = "count") -> Judged:
        """Who wins, from A's side."""
        return Judged(
            order_1=self.order_1,
            order_2=self.order_2,
            result=combine(self.order_1, self.order_2, rule, unparsed),
            length_a=len(self.answer_a),
            length_b=len(self.answer_b),
        )


class ReviewFile(Record):
    """Reviews of one pair of models on one set."""

    source: str
    """The file, or what made them."""
    set_name: str
    model_a: str | None = None
    model_b: str | None = None
    judge: str | None = None
    reviews: list[Review]
    bad: list[BadRow] = Field(default_factory=list)


def write_reviews(path: Path, file: ReviewFile) -> None:
    """Write in the format that is read. An unparsed order is [-1, -1], its reason under `error`."""
    key = SETS[file.set_name].key if file.set_name in SETS else "prompt"
    meta = {
        "dataset_name": file.set_name,
        "model_1": file.model_a,
        "model_2": file.model_b,
        "judge": file.judge,
        "average_scores": _average([r.order_1 for r in file.reviews]),
        "average_scores_reverse": _average([r.order_2 for r in file.reviews]),
    }
    write_json(path, {"Meta_Info": meta, "data": [_row(r, key) for r in file.reviews]})


def _row(review: Review, key: str) -> dict[str, Any]:
    row: dict[str, Any] = {} if review.question_id is None else {"question_id": review.question_id}
    row |= {key: review.question, "Answer1": review.answer_a, "Answer2": review.answer_b}
    for suffix, verdict in (("", review.order_1), ("_reverse", review.order_2)):
        scores = [verdict.score_1, verdict.score_2] if verdict.parsed else list(UNREAD)
        row |= {f"review{suffix}": verdict.raw, f"scores{suffix}": json.dumps(scores)}
        if verdict.error:
            row[f"error{suffix}"] = verdict.error
    return row


def _average(verdicts: Sequence[Verdict]) -> str | None:
    """The mean scores of what was parsed, in the order shown; their files hold it as text."""
    scores = [(v.score_1, v.score_2) for v in verdicts if v.parsed]
    return json.dumps(np.mean(np.array(scores, dtype=float), axis=0).tolist()) if scores else None


def read_reviews(path: Path, set_name: str | None = None) -> ReviewFile:
    """The reviews in a file; the set is named by `set_name`, the file's own `dataset_name`, or its name.

    Raises: TacosError naming the path when it holds no review.
    """
    text = read_text(path)
    reviews: list[Review] = []
    bad: list[BadRow] = []
    for line, value, error in whole_rows(text):
        found = BadRow(line=line, reason=error) if error else _review(line, value)
        if isinstance(found, Review):
            reviews.append(found)
        else:
            bad.append(found)
    if not reviews:
        why = (
            f"line {bad[0].line}: {bad[0].reason}"
            if bad
            else "expected a list of reviews, or an object with `data`"
        )
        raise TacosError(f"{path} is not a review file: {why}")
    meta = _meta(text)
    name = set_name or str(meta.get("dataset_name") or path.name.split(".")[0])
    return ReviewFile(
        source=str(path),
        set_name=known_set(name),
        model_a=meta.get("model_1"),
        model_b=meta.get("model_2"),
        judge=meta.get("judge"),
        reviews=reviews,
        bad=bad,
    )


def _meta(text: str) -> dict[str, Any]:
    found = _META.search(text)
    try:
        meta = DECODER.raw_decode(text, found.end())[0] if found else {}
    except (ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}


def _review(line: int, row: Any) -> Review | BadRow:
    if not isinstance(row, dict):
        return BadRow(line=line, reason=f"expected an object, found {type(row).__name__}")
    absent = [key for key in ("Answer1", "Answer2") if not isinstance(row.get(key), str)]
    absent += [] if "scores" in row or "scores_reverse" in row else ["scores"]
    question = question_text(row)
    absent += [] if question else ["question"]
    if absent or question is None:
        return BadRow(line=line, reason=f"no {', '.join(absent)}")
    return Review(
        question=question,
        question_id=row_id(row),
        answer_a=row["Answer1"],
        answer_b=row["Answer2"],
        order_1=_verdict(row, ""),
        order_2=_verdict(row, "_reverse"),
    )


def _verdict(row: dict[str, Any], suffix: str) -> Verdict:
    raw, scores = row.get(f"review{suffix}"), row.get(f"scores{suffix}")
    text = raw if isinstance(raw, str) else None
    numbers = _numbers(scores)
    if isinstance(numbers, str):
        return Verdict(error=row.get(f"error{suffix}") or f"unread: {numbers}", raw=text)
    return Verdict(score_1=numbers[0], score_2=numbers[1], raw=text)


def _numbers(scores: Any) -> tuple[float, float] | str:
    """Two scores, or why there are none."""
    if scores is None:
        return "no scores for this order"
    try:
        values = ast.literal_eval(scores) if isinstance(scores, str) else scores
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return f"scores {str(scores)[:60]}"
    good = isinstance(values, list | tuple) and len(values) == 2
    if not good or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return f"scores {str(scores)[:60]}"
    if tuple(values) == UNREAD:
        return "the judge's reply was not read (scores -1)"
    if not all(LOW <= v <= HIGH for v in values):  # also refuses NaN
        return f"scores {str(scores)[:60]} off the scale {LOW:g} to {HIGH:g}"
    return float(values[0]), float(values[1])
