"""Fields that no part of a pool is made of: named once, with their share.

Two kinds: fields that mean something for training and are not supported (tools, images, a rejected answer), and all
others, which `pool.read.keep_columns` can carry along.

    not supported and left out: tools (12 of 30 rows), messages[].tool_calls (3 of 30 rows)
    not read: category (30 of 30 rows)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tacos.data.clean import is_missing
from tacos.data.columns import Columns
from tacos.data.formats import CALLS, WEIGHTS
from tacos.data.json_rows import parsed_text
from tacos.errors import PoolError, nearest

MEANING = frozenset(
    (
        *("tools", "functions", "documents", *CALLS),
        *("image", "images", "video", "videos", "audio", "audios"),
        *(
            "rejected",
            "label",
            "kto_tag",
            "mask",
            "loss_mask",
            "loss_scale",
            "train_detail",
            "training_detail",
        ),
        *("reasoning", "reasoning_content", "thinking", "thought", "refusal"),
        *("system", "system_prompt", "history", "chat_template_kwargs"),
        *WEIGHTS,
    )
)
"""Fields that change what a row teaches; counted as not supported where nothing reads them."""
ADVICE = "; pool.read.columns.input=NAME puts one into the prompt (id and source alike), keep_columns carries it along"
OURS = ("selection", "refinement")
"""Fields of our own selections."""
TURN = frozenset(("role", "from", "content", "value", "id", *WEIGHTS))


class Unread:
    """Counts, row by row."""

    def __init__(self, columns: Columns, keep: Sequence[str] = ()):
        """keep: columns that are carried along; "*" is every one that is not read."""
        self.columns = columns
        self.known = frozenset((*columns, *OURS))
        self.keep, self.keep_all = frozenset(keep) - {"*"}, "*" in keep
        self.rows: Counter[str] = Counter()
        """Field -> rows that have a value there; fields of turns as "messages[].name"."""
        self.total = 0
        self._unknown: dict[tuple[Any, ...], list[Any]] = {}

    def see(self, row: Mapping[str, Any]) -> None:
        """Count the fields of one row."""
        self.total += 1
        found = [str(name) for name in self._of(row, self.known) if _is_value(row[name])]
        for column in (*self.columns.needed, self.columns.history):
            turns = row.get(column)
            if isinstance(turns, str) and column in (self.columns.messages, self.columns.history):
                turns = parsed_text(turns)
            if isinstance(turns, list):
                found += self._in_turns(turns, column)
        if found:
            self.rows.update(found)

    def is_read(self, name: str) -> None:
        """The last row's field of this name turned out to be a part of the conversation."""
        self.rows -= Counter([name])

    def _of(self, item: Mapping[str, Any], known: frozenset[str]) -> list[Any]:
        """Names that are not known; rows of a file have few sets of names, so each is worked out once."""
        names = (known is TURN, *item)
        if names not in self._unknown:
            self._unknown[names] = [name for name in item if name not in known]
        return self._unknown[names]

    def _in_turns(self, turns: list[Any], column: str) -> list[str]:
        found: dict[str, None] = {}
        for turn in turns:
            if isinstance(turn, Mapping):
                names = [name for name in self._of(turn, TURN) if _is_value(turn[name])]
                names += [name for name in WEIGHTS if name in turn and not _is_weight(turn[name])]
                found |= dict.fromkeys(f"{column}[].{name}" for name in names)
        return list(found)

    def carried(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a row that go with it."""
        if self.keep_all:
            return {str(name): row[name] for name in self._of(row, self.known)}
        return {name: row[name] for name in row if name in self.keep} if self.keep else {}

    def check_kept(self, source: str) -> None:
        """Raises: PoolError for a column to be carried that no row has."""
        for name in self.keep:
            if not any(name in names[1:] for names in self._unknown):
                seen = dict.fromkeys(name for names in self._unknown for name in names[1:])
                raise PoolError(
                    f"pool.read.keep_columns: no row of {source} has {name!r}: {nearest(name, map(str, seen))}"
                )

    def notes(self) -> list[str]:
        """At most one line a kind."""
        carried = {name for name in self.rows if name in self.keep or (self.keep_all and "[]." not in name)}
        meant = {name for name in self.rows if name.rpartition("[].")[2] in MEANING}
        notes = []
        if named := self._shares(meant - carried):
            notes.append(f"not supported and left out: {named}")
        others = set(self.rows) - meant - carried
        if others:
            columns = any("[]." not in name for name in others)
            notes.append(f"not read: {self._shares(others)}{ADVICE if columns else ''}")
        return notes

    def _shares(self, names: set[str]) -> str:
        return ", ".join(
            f"{name} ({n:,} of {self.total:,} rows)" for name, n in self.rows.most_common() if name in names
        )


def _is_value(value: Any) -> bool:
    return not (is_missing(value) or (isinstance(value, str | list | Mapping) and not value))


def _is_weight(value: Any) -> bool:
    return is_missing(value) or value in (0, 1)
