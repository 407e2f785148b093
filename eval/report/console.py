"""Tables for a terminal. Only what draws one imports rich."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eval.report.table import Cell, Column

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

WIDEST = 10_000
LEAST = 8
"""Characters of a name that stand in a line, however narrow the terminal."""


def rich_table(
    title: str, columns: Sequence[Column], rows: Sequence[tuple[Sequence[Cell], bool]], caption: str = ""
) -> RichTable:
    """Intervals stand under their values; names are folded where there is no room, numbers never.

    rows: the cells of a row, and whether it is marked.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    heading = Text(title, style="bold")  # as text: a name in it may hold what rich takes for a style
    table = RichTable(title=heading, title_justify="left", box=SIMPLE_HEAD, padding=0)
    table.caption, table.caption_justify = Text(caption, style="dim") if caption else None, "left"
    for number, column in enumerate(columns):
        if column.numeric:
            widest = max((len(line) for cells, _ in rows for line in _lines(cells[number])), default=0)
            label = _narrow(column.label, widest)
            least = max(widest, *map(len, label.split("\n")))
            table.add_column(Text(label), justify="right", no_wrap=True, min_width=least)
        else:
            longest = max((len(cells[number].text) for cells, _ in rows), default=0)
            table.add_column(Text(column.label), overflow="fold", min_width=min(longest, LEAST))
    for cells, marked in rows:
        table.add_row(*map(_cell, cells), style="bold" if marked else "")
    return table


def show(table: RichTable, console: Console | None = None) -> None:
    """Print a table whole: beyond the console's width where numbers need more, since half a number is another one."""
    from rich.console import Console

    console = console or Console()
    needed = console.measure(table, options=console.options.update(max_width=WIDEST)).minimum
    console.width = max(console.width, needed)
    console.print(table)


def _lines(cell: Cell) -> list[str]:
    return [cell.text, *([cell.sub] if cell.sub else [])]


def _narrow(label: str, width: int) -> str:
    """In lines that need no more room than the values below, as far as its words allow."""
    return "\n".join(textwrap.wrap(label, max(width, 1), break_long_words=False, break_on_hyphens=False))


def _cell(cell: Cell) -> Text:
    from rich.text import Text

    text = Text(cell.text)
    return text.append(f"\n{cell.sub}", style="dim") if cell.sub else text
