"""What `tacos methods` and `tacos parts` print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tacos.cli.console import print_json

if TYPE_CHECKING:
    from tacos.cost import Cost


def list_methods(as_json: bool) -> None:
    """Every method with its three parts, and what they cost."""
    _print("methods", ("name",), _methods(), as_json, lambda m: f"{_recipe(m)}; costs {m['cost']}")


def list_parts(as_json: bool) -> None:
    """Every part with what it needs and costs."""
    _print("parts", ("part", "by"), _parts(), as_json, _price)


def _recipe(method: dict[str, Any]) -> str:
    """ "tags x comparative x per_group"."""
    named = [method[slot] for slot in ("group", "score", "allocate") if method[slot]]
    return " x ".join(named) if len(set(named)) > 1 else named[0]


def _price(part: dict[str, Any]) -> str:
    return f"needs {part['needs'] or 'nothing'}; costs {part['cost']}"


def _print(
    title: str,
    names: Sequence[str],
    rows: Sequence[dict[str, Any]],
    as_json: bool,
    below: Callable[[dict[str, Any]], str],
) -> None:
    """names: the columns that are typed off, which stand whole. below: a line under a row's summary."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if as_json:
        print_json({title: rows})
        return
    table = Table(box=SIMPLE_HEAD)
    for name in (*names, "what it does", "paper"):
        table.add_column(name, no_wrap=name in (*names, "paper"))
    for row in rows:
        what = Text(row["summary"]).append(f"\n{below(row)}", style="dim")
        table.add_row(*(row[name] for name in names), what, row["paper"].removeprefix("arXiv "))
    Console().print(table)


def _cost(cost: Cost) -> dict[str, Any]:
    """In words, and as numbers."""
    return {"cost": cost.describe(), "per_sample": cost.model_dump()}


def _methods() -> list[dict[str, Any]]:
    from tacos.methods import METHODS
    from tacos.methods.slots import SLOTS

    found = []
    for name in METHODS:
        method = METHODS.get(name)
        given = dict(method.recipe) if method.recipe else {}
        parts = {slot: part and part.by for slot, part in given.items()} or dict.fromkeys(SLOTS, method.parts)
        cost = (
            _cost(method.cost)
            if given or method.build
            else {"cost": "what its parts cost", "per_sample": None}
        )
        found.append({"name": name, "summary": method.summary, **parts, "paper": method.paper, **cost})
    return found


def _parts() -> list[dict[str, Any]]:
    import tacos.methods  # noqa: F401  # registers every part
    from tacos.methods.slots import SLOTS

    found = []
    for slot, registry in SLOTS.items():
        for name in registry:
            part = registry.get(name)
            said = {key: getattr(part, key) for key in ("summary", "needs", "paper")} | _cost(part.cost)
            found.append({"part": slot, "by": name, **said, "settings": list(part.model_fields)})
    return found
