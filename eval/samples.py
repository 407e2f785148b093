"""samples.parquet: every value behind the figures of an experiment, a row per arm, seed, measure and question.

    arm    method  baseline  seed  measure      item      id    set     category  value
    tacos  tacos   false     0     exact_match  question  q1    vicuna  writing   1.0
    tacos  tacos   false     0     defect_rate  row       b17   null    null      0.0

Rows are sorted by arm, seed, measure and id. A value that could not be read has no row; how many there are is
`unread` in results.json. A measure with one value per run (`items: runs`) is in results.json alone, and one of a
single question set (`of_set`) is the rows of its measure with that `set`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eval.measures import Measure
from tacos.errors import TacosError, first_line
from tacos.store.files import cannot_write
from tacos.types import Question

SAMPLES = "samples.parquet"
SAMPLES_SCHEMA = pa.schema(
    [
        ("arm", pa.string()),
        ("method", pa.string()),
        ("baseline", pa.bool_()),
        ("seed", pa.int64()),
        ("measure", pa.string()),
        ("item", pa.string()),
        ("id", pa.string()),
        ("set", pa.string()),
        ("category", pa.string()),
        ("value", pa.float64()),
    ]
)
"""`item`: "question" or "row"; `set` and `category`: of the question, null where it has none."""
ROW_GROUP = 64_000
"""Rows that are held before they are written."""


@dataclass(frozen=True)
class MeasuredRun:
    """What one arm with one seed got by one measure. values: question or row id -> value, read ones only;
    categories: question id -> category, of a benchmark's own questions."""

    arm: str
    method: str
    baseline: bool
    seed: int
    measure: Measure
    values: Mapping[str, float]
    categories: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, int, str]:
        """Where it stands in the file."""
        return self.arm, self.seed, self.measure.name


def write_samples(path: Path, runs: Iterable[MeasuredRun], questions: Mapping[str, Question]) -> int:
    """Write the table and return its number of rows; a kill leaves the old file.

    Rows are made for `ROW_GROUP` of them at a time. questions: by id. Raises: TacosError when it cannot be written.
    """
    partial, rows = path.with_name(f"{path.name}.{os.getpid()}.tmp"), 0
    try:
        with pq.ParquetWriter(partial, SAMPLES_SCHEMA) as writer:
            for table in _chunks(_batches(runs, questions)):
                writer.write_table(table)
                rows += table.num_rows
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    return rows


def read_samples(path: Path, arm: str | None = None) -> pa.Table:
    """The table, or one arm's rows of it.

    Raises: TacosError where it is missing, damaged, or of another version.
    """
    again = "run the experiment again, its finished stages are reused"
    if not path.is_file():
        raise TacosError(f"no {path}: {again}")
    try:
        if pq.read_schema(path) != SAMPLES_SCHEMA:
            raise TacosError(f"{path} has columns of another version of tacos: {again}")
        return pq.read_table(path, filters=None if arm is None else pc.field("arm") == arm)
    except (pa.ArrowException, OSError) as error:  # Arrow raises either for damaged Parquet
        raise TacosError(f"{path} is damaged ({first_line(error)}): {again}") from error


def _batches(runs: Iterable[MeasuredRun], questions: Mapping[str, Question]) -> Iterator[pa.Table]:
    for run in sorted(runs, key=lambda run: run.place):
        if run.values and not run.measure.of_set:
            yield _table(run, questions)


def _table(run: MeasuredRun, questions: Mapping[str, Question]) -> pa.Table:
    ids, asked = sorted(run.values), run.measure.items == "questions"
    found = [questions.get(id_) if asked else None for id_ in ids]
    same: dict[str, Any] = {
        "arm": run.arm,
        "method": run.method,
        "baseline": run.baseline,
        "seed": run.seed,
        "measure": run.measure.name,
        "item": "question" if asked else "row",
    }
    columns = {name: [value] * len(ids) for name, value in same.items()}
    columns["id"] = list(ids)
    columns["set"] = [question.set or None if question else None for question in found]
    columns["category"] = [
        question.category or None if question else run.categories.get(id_)
        for id_, question in zip(ids, found, strict=True)
    ]
    columns["value"] = [run.values[id_] for id_ in ids]
    return pa.table(columns, schema=SAMPLES_SCHEMA)


def _chunks(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Joined until they hold `ROW_GROUP` rows, since small row groups make a large file."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(part.num_rows for part in held) >= ROW_GROUP:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
