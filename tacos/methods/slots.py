"""A recipe's three places, and the part that settings name for one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.config import merged, parse, paths_to
from tacos.errors import ConfigError
from tacos.part import ALLOCATORS, GROUPERS, SCORERS, Part, Scorer
from tacos.registry import Registry

SLOTS: dict[str, Registry[Any]] = {"group": GROUPERS, "score": SCORERS, "allocate": ALLOCATORS}
"""A recipe's three places, and what may stand there."""


def read_part(slot: str, given: Any, preset: Part | None, where: str) -> Part | None:
    """The part that `given` names: a mapping with `by`, or its name alone; None for a score that is left out.

    preset: the method's own part, whose settings hold where `by` is the same or not said.

    Raises: ConfigError for an unknown name or setting, with the nearest known one.
    """
    if isinstance(given, Part) or (given is None and slot == "score"):
        return given
    settings = {"by": given} if isinstance(given, str) else given
    if not isinstance(settings, Mapping):
        example = next(iter(SLOTS[slot]))
        raise ConfigError(f"{where} is {given!r}: name a part, as in {where}: {{by: {example}}}")
    name = settings.get("by", preset.name if preset else None)
    if name is None:
        raise ConfigError(f"{where} names no part: add {where}.by ({', '.join(SLOTS[slot])})")
    kept = preset.model_dump(mode="json") if preset and preset.name == name else {}
    part = SLOTS[slot].get(str(name), f"{where}.by")
    if "by" not in settings:
        _of_another_part(slot, part, settings, where)
    return parse(part, merged(kept, settings), where)


def _alike(part: type[Part]) -> bool:
    """What a scorer has in common with those that could take its place: scores inside a group, or of single rows."""
    return issubclass(part, Scorer) and part.within_groups


def _of_another_part(slot: str, part: type[Part], settings: Mapping[str, Any], where: str) -> None:
    """Raises: ConfigError for a setting that the method's own part does not have, and another one of its kind has; the
    one that is most like it is named first."""
    for key in settings:
        owners = [name for name in SLOTS[slot] if key in SLOTS[slot].get(name).model_fields]
        if key not in part.model_fields and owners:
            owners.sort(key=lambda name: _alike(SLOTS[slot].get(name)) != _alike(part))
            own = " or ".join(f"{where}.{path}" for path in paths_to(part, key))
            raise ConfigError(
                f"{where}.{key} is a setting of {' and '.join(owners)}, and {where} is {part.name} here: "
                f"{f'set {own}, or ' if own else ''}add {where}.by={owners[0]}"
            )
