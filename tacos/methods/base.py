"""What a method is: a name, its settings, and a recipe that builds its selection stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tacos.config import parse
from tacos.registry import Registry
from tacos.stage import Stage
from tacos.steps import Bench
from tacos.types import Record


@dataclass(frozen=True)
class Method:
    """settings: the model that its YAML is checked by. llm: "no", "optional" or "yes"."""

    name: str
    settings: type[Record]
    recipe: Callable[[Any, Bench], Stage]
    summary: str
    paper: str = ""
    llm: str = "no"

    def build(self, settings: dict[str, Any], bench: Bench, where: str = "settings") -> Stage:
        """Raises: ConfigError for unknown or wrong settings."""
        return self.recipe(parse(self.settings, settings, where), bench)


METHODS: Registry[Method] = Registry("method")


def method(
    name: str, settings: type[Record], summary: str, paper: str = "", llm: str = "no"
) -> Callable[[Callable[[Any, Bench], Stage]], Callable[[Any, Bench], Stage]]:
    """Register a recipe under `name`."""

    def decorate(recipe: Callable[[Any, Bench], Stage]) -> Callable[[Any, Bench], Stage]:
        METHODS.register(name)(Method(name, settings, recipe, summary, paper, llm))
        return recipe

    return decorate
