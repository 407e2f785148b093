"""What `tacos methods` and `tacos parts` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tacos.cli.console import print_json


def list_methods(as_json: bool) -> None:
    """Every method with its three parts."""
    _print("methods", _methods(), as_json)


def list_parts(as_json: bool) -> None:
    """Every part with what it needs and costs."""
    _print("parts", _parts(), as_json)


def _print(title: str, rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    if as_json:
        print_json({title: rows})
        return
    shown = [name for name in rows[0] if name != "settings"]
    table = Table(*shown)
    for row in rows:
        table.add_row(*(row[name] or "-" for name in shown))
    Console().print(table)


def _methods() -> list[dict[str, Any]]:
    from tacos.methods import METHODS
    from tacos.part import SLOTS

    found = []
    for name in METHODS:
        method = METHODS.get(name)
        given = dict(method.recipe) if method.recipe else {}
        parts = {slot: part and part.by for slot, part in given.items()} or dict.fromkeys(SLOTS, method.parts)
        found.append({"name": name, "summary": method.summary, **parts, "paper": method.paper})
    return found


def _parts() -> list[dict[str, Any]]:
    import tacos.methods  # noqa: F401  # registers every part
    from tacos.part import SLOTS

    found = []
    for slot, registry in SLOTS.items():
        for name in registry:
            part = registry.get(name)
            said = {key: getattr(part, key) for key in ("summary", "needs", "cost", "paper")}
            found.append({"part": slot, "by": name, **said, "settings": list(part.model_fields)})
    return found
