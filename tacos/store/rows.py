"""Rows written as the ending of the file says: JSON, JSON lines or Parquet.

rows.json       one array, a row a line
rows.jsonl      one row a line; so is any ending that says nothing else
rows.parquet    a column for each name that any row has
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tacos.errors import ConfigError
from tacos.store.files import write_bytes, write_text
from tacos.store.fingerprint import plain

NOT_WRITTEN = (".csv", ".tsv", ".xlsx", ".arrow", ".feather", ".pkl", ".yaml", ".yml")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")


def check_ending(path: Path) -> None:
    """Before any work. Raises: ConfigError for an ending that promises what `write_rows` does not write."""
    ending = path.suffix.lower()
    if ending in NOT_WRITTEN or ending in PACKED:
        what = "compressed files are" if ending in PACKED else f"{ending} is"
        raise ConfigError(f"{path}: {what} not written; end the name in .jsonl, .json or .parquet")


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of JSON values; numbers that are none (NaN) become null.

    In Parquet a column whose values are of several types, or too large for one, holds their JSON as text.

    Raises: ConfigError, see `check_ending`; TacosError when the file cannot be written.
    """
    check_ending(path)
    made = [_finite(plain(row)) for row in rows]
    if path.suffix.lower() == ".parquet":
        write_bytes(path, _parquet(made))
        return
    lines = [json.dumps(row, ensure_ascii=False) for row in made]
    array = path.suffix.lower() == ".json"
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n" if array else "".join(f"{line}\n" for line in lines))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inside) for name, inside in value.items()}
    return [_finite(inside) for inside in value] if isinstance(value, list) else value


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


def _column(values: list[Any]) -> Any:
    """An Arrow array, of JSON texts where the values have no type in common."""
    import pyarrow as pa

    try:
        column = pa.array(values)
        if not _has_empty_struct(column.type):
            return column
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):
        pass
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())


def _has_empty_struct(kind: Any) -> bool:
    """What Parquet cannot hold: an object without fields."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return not kind.num_fields or any(_has_empty_struct(field.type) for field in kind)
    return bool(pa.types.is_list(kind) and _has_empty_struct(kind.value_type))
