"""A row as it stands in a file, before anything is made of it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Row(NamedTuple):
    """One row.

    line: 1-based line where the row starts (JSON, JSONL, CSV) or its 1-based row number (Parquet, hub).
    value: the decoded JSON value; None when `error` says why it cannot be read.
    """

    line: int
    value: Any
    error: str | None = None
