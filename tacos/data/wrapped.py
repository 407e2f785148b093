"""A file that is one object and holds its rows inside, by name, by id or by column.

{"version": 1, "data": [row, row]}                              rows under a name
{"train": [row, row], "test": [row]}                            splits; the one asked for is read
{"data": {"train": [row, row]}}                                 either of them one object deeper
{"7": row, "8": row}                                            rows under their ids
{"instruction": {"0": ..., "1": ...}, "output": {...}}          columns, as pandas writes them
{"instruction": [..., ...], "output": [..., ...]}               columns as lists
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tacos.data.columns import is_row

Rows = list[Any]


def unwrapped(value: Mapping[str, Any], split: str, outer: bool = True) -> tuple[Rows, str] | None:
    """The rows inside, and a note that says where they stood; None where it holds none.

    split: the name that is read where several hold rows; else the one with most rows is, and the note names the rest.
    outer: whether the rows may stand one object deeper.
    """
    lists = {name: inside for name, inside in value.items() if _are_rows(inside)}
    if lists:
        name = split if split in lists else max(lists, key=lambda name: len(lists[name]))
        rest = _rest(value, lists, name)
        return lists[name], f"the file is one object: its rows were read from {name!r}{rest}"
    forms = ((_by_id, "under their ids"), (_by_column, "column by column"), (_as_table, "in a table"))
    for rows, how in ((read(value), how) for read, how in forms):
        if rows:
            return rows, f"the file is one object: its rows stand {how}"
    inside = [name for name, held in value.items() if isinstance(held, Mapping)]
    deeper = unwrapped(value[inside[0]], split, outer=False) if outer and len(inside) == 1 else None
    return deeper and (deeper[0], f"{deeper[1]} (inside {inside[0]!r})")


def _are_rows(inside: Any) -> bool:
    return isinstance(inside, list) and any(isinstance(item, Mapping) for item in inside)


def _rest(value: Mapping[str, Any], lists: Mapping[str, Rows], name: str) -> str:
    """What stands beside the rows."""
    splits = ", ".join(f"{other!r} ({len(rows):,} rows)" for other, rows in lists.items() if other != name)
    others = ", ".join(repr(other) for other in value if other not in lists)
    rest = f"; not read: {splits}, which pool.read.split chooses" if splits else ""
    return rest + (f"; not read, beside them: {others}" if others else "")


def _by_id(value: Mapping[str, Any]) -> Rows:
    if not all(isinstance(row, Mapping) and is_row(row) for row in value.values()):
        return []
    return [{"id": name, **row} for name, row in value.items()]


def _by_column(value: Mapping[str, Any]) -> Rows:
    columns = {name: column for name, column in value.items() if isinstance(column, Mapping | list)}
    keys = [_keys(column) for column in columns.values()]
    if not keys or any(key != keys[0] for key in keys):
        return []
    rows: Rows = [{name: column[key] for name, column in columns.items()} for key in keys[0]]
    return rows if rows and is_row(rows[0]) else []


def _as_table(value: Mapping[str, Any]) -> Rows:
    names, cells = value.get("columns"), value.get("data")
    if (
        not isinstance(names, list)
        or not isinstance(cells, list)
        or not all(isinstance(row, list) for row in cells)
    ):
        return []
    rows: Rows = [dict(zip(names, row, strict=False)) for row in cells]
    return rows if rows and is_row(rows[0]) else []


def _keys(column: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
    return list(column) if isinstance(column, Mapping) else list(range(len(column)))
