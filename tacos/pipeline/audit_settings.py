"""What `tacos audit` may be told: a scorer, the rows it is audited on, and what it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tacos.config import parse
from tacos.errors import ConfigError
from tacos.grouping.none import NoGroups
from tacos.methods import METHODS
from tacos.methods.slots import read_part
from tacos.part import AnyGrouper, AnyScorer
from tacos.pipeline.pool_settings import PoolSettings
from tacos.pipeline.settings import ModelsSettings

ROWS = 1000
"""Rows for a share to within 3 points and a rank correlation to within 0.06, at a bill of a few thousand calls."""
OTHER = ("method", "budget", "allocate", "refine", "settings", "name")
"""What a selection's config says beside that; an audit does not look at it."""


class AuditSettings(ModelsSettings):
    """One scorer on a seeded sample of a pool."""

    pool: PoolSettings = PoolSettings()
    score: AnyScorer
    second: AnyScorer | None = None
    """Another scorer that its order of the rows is held against."""
    group: AnyGrouper = NoGroups()
    """Of scorers whose scores come from rows of the same group; by default the rows are one group."""
    rows: int = Field(ROWS, ge=20)
    """Rows of the pool that are drawn."""
    pairs: str | None = None
    """A file of pairs whose better side is known (`tacos.scoring.iqs.pairs`)."""
    seed: int = Field(0, ge=0)

    @property
    def method(self) -> str:
        """What caps on spending hold for."""
        return "audit"


def audit_settings(
    data: Mapping[str, Any], scorer: str, second: str | None, rows: int, pairs: str | None
) -> AuditSettings:
    """data: settings as a selection has them; `score` holds those of the scorer, `second` those of the other one. Where
    the config names a method, its parts are what these change.

    Raises: ConfigError for what is unknown, with the nearest name.
    """
    method = data.get("method")
    recipe = METHODS.get(method).recipe if isinstance(method, str) and method in METHODS else None
    told = {key: value for key, value in data.items() if key not in OTHER}
    told["score"] = _scorer(scorer, told.get("score"), recipe.score if recipe else None, "score")
    if told.get("second") is not None and second is None:
        raise ConfigError("second has settings and no name: add --second NAME")
    told["second"] = second and _scorer(second, told.get("second"), None, "second")
    if "group" in told:
        told["group"] = read_part("group", told["group"], recipe.group if recipe else None, "group")
    return parse(AuditSettings, {**told, "rows": rows, "pairs": pairs})


def _scorer(name: str, given: Any, preset: Any, where: str) -> Any:
    settings = given if isinstance(given, Mapping) else {}
    if settings.get("by", name) != name:
        raise ConfigError(
            f"{where}.by is {settings['by']!r} in the settings, and the command names {name!r}: leave one of them out"
        )
    return read_part("score", {**settings, "by": name}, preset, where)
