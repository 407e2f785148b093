"""What a recipe is put together from: groupers, scorers, allocators.

    selection = group x score x allocate

A part is a frozen record with a name (`by` in YAML) and typed settings. It says which stages it reads, what of it
changes the answer, and has one hook that does the work: `group`, `score` or `allocate`. A whole scorer:

    @scorer("words", summary="number of words in the response")
    class Words(Scorer):
        def score(self, pool: Pool, job: Job) -> Scores:
            return Scores(np.array([len(text.split()) for text in pool.responses], dtype=np.float64))

Three registries hold the parts by name; `tacos parts` lists them. `tacos.methods.recipe` puts three together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import SerializeAsAny, SerializerFunctionWrapHandler, model_serializer, model_validator

from tacos.cost import FREE, Cost
from tacos.errors import ConfigError, nearest
from tacos.hooks import check_groups, check_scores
from tacos.llm.estimate import Asked
from tacos.llm.settings import LLMSettings
from tacos.models.embedder import EmbedderSettings
from tacos.premises import check_premises
from tacos.registry import Registry
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.own_code import code_of, file_code
from tacos.types import Pool, Record

Estimate = Callable[[Pool, Mapping[str, Path]], Asked]
Size = int | Callable[[Pool], int]
"""How many rows a stage will give, as far as that is known of a pool."""
Trainer = Callable[[Stage, Size, Mapping[str, Any], int], Stage]
"""(rows, how many, changed settings, seed) -> the run's base fine-tuned on these rows: `model/` in its folder."""
Arms = Callable[[str], Stage | None]
"""The rows that another arm of the experiment trains on, `selection.jsonl`; None where no arm has that name."""
P = TypeVar("P", bound="Part")


@dataclass(frozen=True)
class Setup:
    """What parts build on: the pool, the budget, the seed, and the models at hand.

    budget: rows to select; None for methods that take everything.
    base: the model that is to be fine-tuned, by name, or the stage that makes it (`model/` in its folder).
    train: fine-tunes it, for what needs a trained model; None where the run does not train.
    arm: what the experiment's other arms train on, by name; None outside an experiment.
    """

    pool: Stage
    budget: int | None
    seed: int
    embedder: EmbedderSettings
    llms: Mapping[str, LLMSettings]
    base: Stage | str = ""
    train: Trainer | None = None
    arm: Arms | None = None

    def trained(self, rows: Stage, size: Size, where: str, **changed: Any) -> Stage:
        """The base fine-tuned on some rows. rows: a stage with `selection.jsonl`. size: about how many, for plans.

        Raises: ConfigError where the run does not train.
        """
        if self.train is None:
            raise ConfigError(f"{where} trains a model on the way, and train is null: set train to a recipe")
        return self.train(rows, size, changed, self.seed)

    def llm(self, name: str, where: str) -> LLMSettings:
        """Raises: ConfigError when `llms.<name>` is not configured."""
        if name not in self.llms:
            raise ConfigError(
                f"{where} asks for the LLM {name!r}, which is not configured: add llms.{name}.model and "
                f"llms.{name}.endpoint ({nearest(name, self.llms)})"
            )
        return self.llms[name]


class Part(Record):
    """One exchangeable piece of a recipe.

    summary, paper, needs, cost: for `tacos parts`; cost is per sample of the pool.
    verb: the name of its stage. seeded: whether the seed changes its answer.
    version: to be raised where other code gives other answers; code: of a part outside of tacos, which tells by itself.
    """

    name: ClassVar[str] = ""
    """Of a registered part."""
    summary: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    cost: ClassVar[Cost] = FREE
    verb: ClassVar[str]
    seeded: ClassVar[bool] = False
    version: ClassVar[int] = 1
    code: ClassVar[str] = ""

    @property
    def by(self) -> str:
        """The part's name in YAML."""
        return self.name

    @model_validator(mode="before")
    @classmethod
    def _without_its_name(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("by") == cls.name:
            return {key: value for key, value in data.items() if key != "by"}
        return data

    @model_serializer(mode="wrap")
    def _with_its_name(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"by": self.name, **handler(self)}

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        """The part in a few words, with who does its work where that is an LLM or stands in for one."""
        return self.name

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        """The stages that `job.inputs` names beside the pool."""
        return {}

    def identity(self, setup: Setup) -> dict[str, Any]:
        """What of the settings changes the answer; where and how fast it runs is left out."""
        return self.model_dump(mode="json")

    def stage(
        self,
        setup: Setup,
        work: Callable[[Job], Outcome],
        inputs: Mapping[str, Stage] | None = None,
        estimate: Estimate | None = None,
    ) -> Stage:
        """The part as a node of the graph. inputs: beside the pool and its own."""
        identity = {"by": self.name, **self.identity(setup)} | ({"seed": setup.seed} if self.seeded else {})
        identity |= {"code": self.code} if self.code else {}
        reads = {"pool": setup.pool, **self.inputs(setup), **(inputs or {})}
        code = file_code(type(self))
        return Stage(self.verb, work, identity, reads, self.version, estimate, code=code)


class Grouper(Part):
    """Groups of rows; a row may stand in several groups, or in none."""

    verb: ClassVar[str] = "group"

    @property
    def per_row(self) -> int:
        """Groups that a row is expected to stand in, for estimates made before there are any."""
        return 1

    def group(self, pool: Pool, job: Job) -> Groups:
        """The hook."""
        raise NotImplementedError

    def build(self, setup: Setup) -> Stage | None:
        """`groups.jsonl`; None where the whole pool is one group."""

        def work(job: Job) -> Outcome:
            pool = job.pool()
            groups = check_groups(self.group(pool, job), len(pool), self.name)
            tables.write_groups(job.out, groups)
            sizes = [len(members) for members in groups.members]
            metrics = {"groups": len(groups), "memberships": sum(sizes), "smallest": min(sizes, default=0)}
            return Outcome(rows_in=len(pool), rows_out=len(groups.covered), metrics=metrics)

        return self.stage(setup, work)


class Scorer(Part):
    """A number for each row, higher is better; a row without one is missing and says why.

    within_groups: the score comes from rows of the same group, and holds there first of all.
    by_length: it is meant to read the length of the response; of another one that mostly does, a warning tells.
    targeted: it says what a row is worth to each of some query rows.
    """

    verb: ClassVar[str] = "score"
    within_groups: ClassVar[bool] = False
    by_length: ClassVar[bool] = False
    targeted: ClassVar[bool] = False

    def score(self, pool: Pool, job: Job) -> Scores:
        """The hook. Scores.values is (n_samples,) float64, NaN where missing."""
        raise NotImplementedError

    def estimate(self, setup: Setup, per_row: int) -> Estimate | None:
        """What the stage will ask of a language model, for `tacos plan`; None where it asks nothing.

        per_row: groups that a row is expected to stand in, as long as they are not known.
        """
        return None

    def build(self, setup: Setup, grouper: Grouper | None = None) -> Stage:
        """`scores.parquet`. grouper: read where scores hold inside groups."""
        grouping = grouper.build(setup) if grouper and self.within_groups else None

        def work(job: Job) -> Outcome:
            pool = job.pool()
            scores = check_scores(self.score(pool, replace(job, budget=setup.budget)), len(pool), self.name)
            tables.write_scores(job.out, pool, scores)
            metrics = check_premises(self.by, pool, scores, self.by_length)
            return Outcome(
                rows_in=len(pool), rows_out=scores.scored, rows_failed=scores.failed, metrics=metrics
            )

        estimate = self.estimate(setup, grouper.per_row if grouper else 1)
        return self.stage(setup, work, {"groups": grouping} if grouping else None, estimate)


class Allocator(Part):
    """Spends the budget: picks in the order they were taken, best first.

    reads_scores: without scores it cannot choose (True), it looks at none (False), or it takes them where there are
    some (None). reads_targets: it looks at what rows are worth to query rows. budgeted: takes no more than the budget.
    """

    verb: ClassVar[str] = "select"
    reads_scores: ClassVar[bool | None] = True
    reads_targets: ClassVar[bool] = False
    budgeted: ClassVar[bool] = True

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """The hook. A row is picked once; a missing score never before a present one.

        Raises: BudgetError when the budget cannot be met.
        """
        raise NotImplementedError


GROUPERS: Registry[type[Grouper]] = Registry("grouper")
SCORERS: Registry[type[Scorer]] = Registry("scorer")
ALLOCATORS: Registry[type[Allocator]] = Registry("allocator")

AnyGrouper = SerializeAsAny[Grouper]
AnyScorer = SerializeAsAny[Scorer]
AnyAllocator = SerializeAsAny[Allocator]


def _part(
    registry: Registry[Any], name: str, cost: Cost | str = FREE, **said: str
) -> Callable[[type[P]], type[P]]:
    def decorate(part: type[P]) -> type[P]:
        part.name, part.cost, part.code = name, Cost.of(cost), code_of(part)
        for field, text in said.items():
            setattr(part, field, text)
        registry.register(name)(part)
        return part

    return decorate


def grouper(name: str, cost: Cost | str = FREE, **said: str) -> Callable[[type[P]], type[P]]:
    """Register a grouper; said: summary, paper, needs. cost: nothing by default."""
    return _part(GROUPERS, name, cost, **said)


def scorer(name: str, cost: Cost | str = FREE, **said: str) -> Callable[[type[P]], type[P]]:
    """Register a scorer; said: summary, paper, needs. cost: nothing by default."""
    return _part(SCORERS, name, cost, **said)


def allocator(name: str, cost: Cost | str = FREE, **said: str) -> Callable[[type[P]], type[P]]:
    """Register an allocator; said: summary, paper, needs. cost: nothing by default."""
    return _part(ALLOCATORS, name, cost, **said)
