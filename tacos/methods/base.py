"""What a method is: a name for a recipe, or for a loop over the same parts.

preset("longest", Recipe(group=NoGroups(), score=Length(), allocate=Top()), "the longest responses")

@driver("iterselecttune", IterSelectTuneSettings, "...")
def iterselecttune(settings, setup) -> Stage: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from tacos.config import parse
from tacos.cost import FREE, Cost
from tacos.errors import ConfigError
from tacos.llm.settings import LLMSettings
from tacos.methods.recipe import Recipe
from tacos.methods.refining import Refine, read_refine
from tacos.methods.slots import SLOTS, read_part
from tacos.part import AnyAllocator, AnyGrouper, AnyScorer, Setup
from tacos.registry import Registry
from tacos.stage import Stage
from tacos.types import Record

Build = Callable[[Any, Setup], Stage]


@dataclass(frozen=True)
class Method:
    """recipe: the parts of a preset; None where a config gives all three. settings, build: of a driver. refine: what it
    does to its selection."""

    name: str
    summary: str
    paper: str = ""
    recipe: Recipe | None = None
    settings: type[Record] | None = None
    build: Build | None = None
    parts: str = ""
    """What stands for the three parts where there is no recipe."""
    refine: Refine | None = None
    own_cost: Cost = FREE
    """Beside that of its parts."""

    @property
    def cost(self) -> Cost:
        """Per sample of the pool: the sum over the parts, and what refining asks."""
        parts = [part for _, part in self.recipe or () if part is not None]
        known = sum((part.cost for part in parts), self.own_cost)
        return known + Cost(note="2 calls per selected sample") if self.refine else known

    def chosen(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """`group`, `score`, `allocate`, `refine` and `settings` as they hold, from what a config says of them.

        Raises: ConfigError for what the method does not have, with the nearest name.
        """
        refine = (
            read_refine(given["refine"], self.refine, f"{where}refine") if "refine" in given else self.refine
        )
        return {**self._chosen(given, where), "refine": refine}

    def _chosen(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        parts = {slot: given[slot] for slot in SLOTS if slot in given}
        settings = given.get("settings") or {}
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"{where}settings is {settings!r}: give settings by name, as in {{NAME: VALUE}}"
            )
        if self.build is None:
            if settings:
                raise ConfigError(
                    f"unknown setting '{where}settings.{next(iter(settings))}': {self.name} has no settings of its "
                    f"own; set its parts, {where}group, {where}score and {where}allocate"
                )
            return dict(self.recipe.replaced(parts, where) if self.recipe else free(parts, where))
        replaced = [slot for slot, value in parts.items() if value is not None]
        assert self.settings is not None
        if replaced:
            raise ConfigError(
                f"{where}{replaced[0]}: {self.name} is not a recipe, so no part can be replaced; {where}settings has "
                f"{', '.join(self.settings.model_fields)}"
            )
        return {"settings": parse(self.settings, settings, f"{where}settings").model_dump(mode="json")}


def free(parts: Mapping[str, Any], where: str) -> Recipe:
    """A recipe of three parts that a config names. Raises: ConfigError where one of them is missing."""
    for slot in SLOTS:
        if slot not in parts:
            null = f"; {where}score=null for an allocator that looks at none" if slot == "score" else ""
            raise ConfigError(
                f"method: recipe needs group, score and allocate; {where}{slot} is missing{null}"
            )
    made = {slot: read_part(slot, parts[slot], None, f"{where}{slot}") for slot in SLOTS}
    return Recipe(**made).checked(where)


METHODS: Registry[Method] = Registry("method")


def preset(
    name: str, recipe: Recipe, summary: str, paper: str = "", refine: Refine | None = None, cost: Cost = FREE
) -> Method:
    """Register a recipe under a name. refine: what is done to its selection. cost: beside that of its parts."""
    made = Method(name, summary, paper, recipe, refine=refine, own_cost=cost)
    METHODS.register(name)(made)
    return made


def driver(
    name: str, settings: type[Record], summary: str, paper: str = "", cost: Cost = FREE
) -> Callable[[Build], Build]:
    """Register a method that loops over parts. cost: per sample of the pool, over all of its loop."""

    def decorate(build: Build) -> Build:
        made = Method(
            name, summary, paper, settings=settings, build=build, parts="in its loop", own_cost=cost
        )
        METHODS.register(name)(made)
        return build

    return decorate


class Choice(Record):
    """A method as a config names it, resolved: every part is there with all its settings."""

    method: str
    group: AnyGrouper | None = None
    score: AnyScorer | None = None
    allocate: AnyAllocator | None = None
    refine: Refine | None = None
    """Who rewrites what was selected; null leaves it as it is."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of a method that is not a recipe."""

    @model_validator(mode="before")
    @classmethod
    def _resolved(cls, data: Any) -> Any:
        return resolved(data) if isinstance(data, Mapping) else data

    @property
    def recipe(self) -> Recipe | None:
        """The three parts; None of a method that is not a recipe."""
        if self.group is None or self.allocate is None:
            return None
        return Recipe(group=self.group, score=self.score, allocate=self.allocate)

    def build(self, setup: Setup) -> Stage:
        """The selection. Raises: ConfigError for a model or file that the parts name and that is not there."""
        if self.recipe:
            return self.recipe.build(setup)
        method = METHODS.get(self.method)
        assert method.build is not None and method.settings is not None
        return method.build(parse(method.settings, self.settings, "settings"), setup)

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        """How rows are chosen, in a line, and who rewrites them."""
        chosen = self.origin(llms)
        return f"{chosen}, {self.refine.describe(llms)}" if self.refine else chosen

    def origin(self, llms: Mapping[str, LLMSettings]) -> str:
        """The recipe in a line; of a method that is none, its summary."""
        return self.recipe.describe(llms) if self.recipe else METHODS.get(self.method).summary

    @property
    def budgeted(self) -> bool:
        """Whether it takes no more rows than the budget."""
        return self.allocate is None or self.allocate.budgeted


def resolved(data: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The settings of an arm with its method's parts filled in; any other keys stay as they are.

    Raises: ConfigError naming the path of what is wrong.
    """
    name = data.get("method")
    if not isinstance(name, str) or name not in METHODS:
        return dict(data)  # said by the field's own check
    return {**data, **METHODS.get(name).chosen(data, where)}
