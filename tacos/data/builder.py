"""The Arrow columns of a pool, filled row by row, 20,000 rows to a batch."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tacos.data.clean import encodable, is_missing
from tacos.data.formats import Parsed
from tacos.data.near import has_equal
from tacos.data.raw import Row
from tacos.text import whole_characters
from tacos.types import MESSAGE_TYPE, POOL_SCHEMA, Pool, content_id

BATCH_ROWS = 20_000
SUFFIXES = re.compile(r"(#[0-9]+)+\Z")


class PoolBuilder:
    """named: rows that came with an id. replaced: rows whose id was missing, or could be none."""

    def __init__(self, default_source: str, id_column: str = "id", source_column: str = "source"):
        # A file name may hold bytes that are no text.
        self.default_source = default_source.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        self.id_column, self.source_column = id_column, source_column
        self.hashes = array("q")
        """Of the ids, as `hash` makes them: that two are equal is only looked into where these are."""
        self.lines = array("q")
        self.named = self.replaced = 0
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
        """extra: columns that are carried along, any JSON; half an emoji in them becomes U+FFFD."""
        self.ids.append(self._id(row.value, parsed))
        self.hashes.append(hash(self.ids[-1]))
        self.sources.append(id_text(row.value.get(self.source_column)) or self.default_source)
        self.inputs.append(parsed.input)
        self.extras.append(json.dumps(whole_characters(extra), default=str) if extra else None)
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
        self.named += bool(given)
        self.replaced += not given and self.id_column in row
        return given or content_id(parsed.turns)

    def _flush(self) -> None:
        columns = [pa.array(self.roles), pa.array(self.contents), pa.array(self.weights, pa.int8())]
        turns = pa.StructArray.from_arrays(columns, fields=list(MESSAGE_TYPE))
        messages = pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), turns)
        texts = [pa.array(column, pa.string()) for column in (self.ids, self.sources, self.inputs)]
        extras = pa.array(self.extras, pa.string())
        self.batches.append(pa.record_batch([*texts, messages, extras], schema=POOL_SCHEMA))
        self._clear()

    def pool(self) -> tuple[Pool, int]:
        """The rows, and how many have an id that stood before and got a suffix."""
        if self.ids:
            self._flush()
        table = pa.Table.from_batches(self.batches, schema=POOL_SCHEMA)
        again = np.flatnonzero(has_equal(np.array(self.hashes, dtype=np.int64)))
        names = unique_names(table.column("id"), again) if len(again) else {}
        if names:
            mask = np.zeros(table.num_rows, dtype=bool)
            mask[list(names)] = True
            ids = pc.replace_with_mask(
                table.column("id"), pa.array(mask), pa.array(names.values(), pa.string())
            )
            table = table.set_column(0, POOL_SCHEMA.field("id"), ids)
        return Pool(table), len(names)


def unique_names(ids: pa.ChunkedArray, again: np.ndarray) -> dict[int, str]:
    """Row -> its new name, for rows whose id stood before: `x`, `x#2`, `x#3`; ascending.

    again: rows among which are all whose id is not the only one. Beside these only a given `x#2` can be in the way.
    """
    kin = {root(id_) for id_ in ids.take(pa.array(again)).to_pylist()}
    suffixed = np.flatnonzero(pc.match_substring_regex(ids, r"#[0-9]+\z").to_numpy())
    rows = np.union1d(again, suffixed)
    copies: dict[str, int] = {}
    names = {}
    for row, id_ in zip(rows.tolist(), ids.take(pa.array(rows)).to_pylist(), strict=True):
        if root(id_) in kin:
            name = id_
            while name in copies:
                copies[id_] += 1
                name = f"{id_}#{copies[id_]}"
            copies[name] = 1
            if name != id_:
                names[row] = name
    return names


def root(id_: str) -> str:
    """An id without the suffixes that copies get.

    >>> root("x#2#3"), root("x#y")
    ('x', 'x#y')
    """
    return SUFFIXES.sub("", id_)


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
