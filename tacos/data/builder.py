"""The Arrow columns of a pool, filled row by row, 20,000 rows to a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pyarrow as pa

from tacos.data.clean import encodable, is_missing
from tacos.data.formats import Parsed
from tacos.data.raw import Row
from tacos.types import MESSAGE_TYPE, POOL_SCHEMA, Message, Pool, Role, content_id

BATCH_ROWS = 20_000


class PoolBuilder:
    """renamed: rows whose id stood in the pool before and got a suffix. replaced: rows whose id was missing, or could
    be none."""

    def __init__(self, default_source: str, id_column: str = "id"):
        # A file name may hold bytes that are no text.
        self.default_source = default_source.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        self.id_column = id_column
        self.copies: dict[str, int] = {}
        self.lines: list[int] = []
        self.renamed = self.replaced = 0
        self.batches: list[pa.RecordBatch] = []
        self._clear()

    def _clear(self) -> None:
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.inputs: list[str] = []
        self.extras: list[str | None] = []
        self.roles: list[str] = []
        self.contents: list[str] = []
        self.weights: list[int] = []
        self.offsets = [0]

    @property
    def count(self) -> int:
        return len(self.lines)

    def add(self, row: Row, parsed: Parsed, extra: Mapping[str, Any]) -> None:
        """extra: columns that are carried along."""
        source = row.value.get("source")
        named = isinstance(source, str) and source and encodable(source)
        self.ids.append(self._unique(self._id(row.value, parsed)))
        self.sources.append(source if named else self.default_source)
        self.inputs.append(parsed.input)
        self.extras.append(json.dumps(extra, default=str) if extra else None)
        for role, content, weight in parsed.turns:
            self.roles.append(role)
            self.contents.append(content)
            self.weights.append(weight)
        self.offsets.append(len(self.roles))
        self.lines.append(row.line)
        if len(self.ids) == BATCH_ROWS:
            self._flush()

    def _id(self, row: Mapping[str, Any], parsed: Parsed) -> str:
        """The given id, or a hash of the content where there is none or it can be none."""
        given = id_text(row.get(self.id_column))
        self.replaced += not given and self.id_column in row
        return given or _content_id(parsed)

    def _unique(self, id: str) -> str:
        name = id
        while name in self.copies:
            self.copies[id] += 1
            name = f"{id}#{self.copies[id]}"
        self.renamed += name != id
        self.copies[name] = 1
        return name

    def _flush(self) -> None:
        columns = [pa.array(self.roles), pa.array(self.contents), pa.array(self.weights, pa.int8())]
        turns = pa.StructArray.from_arrays(columns, fields=list(MESSAGE_TYPE))
        messages = pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), turns)
        texts = [pa.array(column, pa.string()) for column in (self.ids, self.sources, self.inputs)]
        extras = pa.array(self.extras, pa.string())
        self.batches.append(pa.record_batch([*texts, messages, extras], schema=POOL_SCHEMA))
        self._clear()

    def pool(self) -> Pool:
        if self.ids:
            self._flush()
        return Pool(pa.Table.from_batches(self.batches, schema=POOL_SCHEMA))


def id_text(value: Any) -> str | None:
    """An id as text, "" for none given, None for what can be none.

    A whole number that pandas made a float is the number again.

    >>> id_text(7.0), id_text(" x "), id_text(float("nan")), id_text([7])
    ('7', ' x ', '', None)
    """
    if is_missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if encodable(text) else None


def _content_id(parsed: Parsed) -> str:
    return content_id(
        Message.model_construct(role=cast(Role, role), content=text, weight=1 if weight else 0)
        for role, text, weight in parsed.turns
    )
