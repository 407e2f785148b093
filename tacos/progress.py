"""Progress bars on stderr, for whoever watches a terminal; nothing is drawn anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def track(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, with a bar named `what`."""
    from rich.console import Console
    from rich.progress import track as rich_track

    shown = sys.stderr.isatty()
    yield from rich_track(items, what, console=Console(stderr=True), disable=not shown, transient=True)
