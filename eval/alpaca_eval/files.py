"""AlpacaEval's files: annotations of any model, and what they are scored against.

An annotation is one row of upstream's `annotations.json`: {"instruction", "output_1", "generator_1",
"output_2", "generator_2", "annotator", "preference", ...}; 1 is the baseline, 2 the model. Only
`preference` and `instruction` are needed; other keys may be there or not. `preference` is in 1..2, 2 for
the model; the old 0 is a draw.

    "preference": 1.25 -> 1.25   "1.25" -> 1.25   0 -> 1.5   null, NaN, "M", 2.5, true -> unread, and why

A list, an object with `data`, or one object per line. A file that was cut off keeps its whole rows.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eval.alpaca_eval.l1_logistic import Floats
from eval.alpaca_eval.length_control import GAMED_WEIGHT, Rows
from tacos.answering.faults import AnswerFaults, faults_of
from tacos.assets import Assets
from tacos.data.published import published_rows
from tacos.errors import TacosError

DRAW = 1.5
BASELINE = "alpaca_eval/gpt4_1106_preview_outputs.json"
"""The baseline's answers, whose order is the evaluation set's; a name in `tacos.assets`, as are the next two."""
DIFFICULTY = "alpaca_eval/instruction_difficulty.csv"
GAMED = "alpaca_eval/df_gamed.csv"


class Annotation(NamedTuple):
    """One row, without its texts: 200 models' files fit into memory.

    key: the instruction with white space normalized. preference: None where unread, with `reason`.
    length_1, length_2: characters of the baseline's and the model's answer; None where there is none.
    """

    model: str
    baseline: str
    annotator: str
    key: str
    preference: float | None
    reason: str
    length_1: int | None
    length_2: int | None
    faults: AnswerFaults
    """Of the model's answer."""


@dataclass(slots=True)
class ReadFile:
    """A file's rows in order, and what could not be read of it, in words."""

    rows: list[Annotation]
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reference:
    """The evaluation set in the baseline's order.

    name: the baseline. places: normalized instruction -> its indices, several where it is repeated.
    lengths: (n,) characters of the baseline's answers. difficulty: (n,). gamed: rows of the fit that
    stand for the baseline told to be concise or verbose.
    """

    name: str
    places: dict[str, tuple[int, ...]]
    lengths: Floats
    difficulty: Floats
    gamed: Rows

    def __len__(self) -> int:
        return len(self.lengths)


def normal(instruction: str) -> str:
    """The instruction with every run of white space as one space; what annotations are joined by."""
    return " ".join(instruction.split())


def read_preference(value: Any) -> tuple[float | None, str]:
    """(preference in 1..2, "") or (None, the reason why there is none)."""
    if value is None:
        return None, "no preference"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None, "not a number"
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None, "not a number"
    if math.isnan(number):
        return None, "NaN"
    if number == 0:
        return DRAW, ""
    return (number, "") if 1 <= number <= 2 else (None, "outside 1..2")


def read_annotations(path: Path) -> ReadFile:
    """Every row that can be read. A row without `generator_2` belongs to the model named like the file.

    Raises: TacosError naming the path where there is no such file, or no annotation in it.
    """
    items, problems = _read_rows(path)
    found = ReadFile([], [f"{path}: {problem}" for problem in problems])
    for number, item in enumerate(items, 1):
        row = _annotation(item, path.stem)
        if row is None:
            found.problems.append(f"{path}: row {number} has no instruction; it is left out")
        else:
            found.rows.append(row)
    if not found.rows:
        raise TacosError(f"{path} holds no annotation; expected rows with `instruction` and `preference`")
    return found


def read_outputs(path: Path, missing_ok: bool = False) -> list[dict[str, Any]]:
    """Rows of an outputs file: {"instruction", "output", "generator", ...}, at least one.

    missing_ok: take rows whose `output` is null, as a model that failed on a question leaves them.
    Raises: TacosError naming the path and the row that lacks an instruction or an output.
    """
    items, problems = _read_rows(path)
    if problems or not items:
        raise TacosError(f"{path} is not a complete outputs file: {'; '.join(problems) or 'it is empty'}")
    for number, item in enumerate(items, 1):
        output = str | None if missing_ok else str
        fine = isinstance(item, dict) and isinstance(item.get("instruction"), str) and "output" in item
        if not fine or not isinstance(item["output"], output):
            raise TacosError(f"{path}: row {number} needs `instruction` and `output` as text")
    return items


def known_reference(assets: Assets) -> Reference:
    """AlpacaEval 2's set, with the answers of its baseline."""
    return load_reference(*(assets.path(name) for name in (BASELINE, DIFFICULTY, GAMED)))


def load_reference(outputs: Path, difficulty: Path, gamed: Path) -> Reference:
    """outputs: the baseline's, whose order is the evaluation set's. difficulty, gamed: tables by index.

    Raises: TacosError naming the file that does not fit.
    """
    rows = read_outputs(outputs)
    places: dict[str, tuple[int, ...]] = {}
    for index, row in enumerate(rows):
        key = normal(row["instruction"])
        places[key] = (*places.get(key, ()), index)
    return Reference(
        name=str(rows[0].get("generator") or outputs.stem),
        places=places,
        lengths=np.array([len(row["output"]) for row in rows], dtype=np.float64),
        difficulty=_read_difficulty(difficulty, len(rows)),
        gamed=_read_gamed(gamed),
    )


def _read_difficulty(path: Path, n: int) -> Floats:
    table = {int(index): value for index, value in _table(path, "index", "instruction_difficulty")}
    missing = [index for index in range(n) if index not in table]
    if missing:
        raise TacosError(f"{path} has no difficulty of question {missing[0]}; the baseline has {n} questions")
    return np.array([table[index] for index in range(n)])


def _read_gamed(path: Path) -> Rows:
    table = _table(path, "preference", "std_delta_len", "instruction_difficulty")
    features = np.column_stack([np.tanh(table[:, 1]), table[:, 2], np.zeros(len(table))])
    return Rows(features, table[:, 0], np.full(len(table), GAMED_WEIGHT))


def _table(path: Path, *columns: str) -> Floats:
    """(rows, columns). Raises: TacosError naming file and line for anything but finite numbers."""
    rows: list[list[float]] = []
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                rows.append([float(row[column]) for column in columns])
    except (OSError, UnicodeDecodeError) as error:
        raise TacosError(f"cannot read {path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise TacosError(
            f"{path}, line {len(rows) + 2} lacks a number in {', '.join(columns)} ({error}); download the file again"
        ) from error
    table = np.array(rows)
    if not rows or not np.isfinite(table).all():
        raise TacosError(f"{path} is empty or holds a value that is not a number; download the file again")
    return table


def _annotation(item: Any, stem: str) -> Annotation | None:
    if not isinstance(item, dict) or not isinstance(item.get("instruction"), str):
        return None
    preference, reason = read_preference(item.get("preference"))
    output, own = item.get("output_2"), item.get("error")
    if preference is None and isinstance(own, str) and own:
        reason = own  # ours, where we wrote the file
    return Annotation(
        model=str(item.get("generator_2") or stem),
        baseline=str(item.get("generator_1") or ""),
        annotator=str(item.get("annotator") or ""),
        key=normal(item["instruction"]),
        preference=preference,
        reason=reason,
        length_1=_length(item.get("output_1")),
        length_2=_length(output),
        faults=faults_of([output], [item.get("finish_reason_2")])
        if isinstance(output, str)
        else AnswerFaults(),
    )


def _length(output: Any) -> int | None:
    return len(output) if isinstance(output, str) else None


def _read_rows(path: Path) -> tuple[list[Any], list[str]]:
    """(rows, problems). Raises: TacosError for a file that is absent."""
    rows: list[Any] = []
    problems: list[str] = []
    for line, value, error in published_rows(path):
        if error is None:
            rows.append(value)
        else:
            problems.append(f"line {line}, after row {len(rows)}: {error}; it is left out")
    return rows, problems
