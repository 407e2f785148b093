"""From settings to the graph of stages: every arm with every seed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tacos.assets import Assets
from tacos.config import merged, parse
from tacos.errors import ConfigError, TacosError
from tacos.part import Setup, Size, Trainer
from tacos.pipeline.benchmarks import BenchmarkStages
from tacos.pipeline.given_set import given_stage
from tacos.pipeline.pool import load_stage
from tacos.pipeline.settings import UNTRAINED, ExperimentSettings, ModelsSettings, SelectSettings
from tacos.pipeline.stages import answer_stage, base_stage, judge_stage, train_stage
from tacos.stage import Job, Outcome, Stage
from train.settings import TrainSettings

MODELS = ("base", "train", "answer", "embed", "lm_tasks")
"""Stages that train or run a model on this machine, and those whose names begin so."""


def runs_a_model(stage: Stage) -> bool:
    """Whether a stage trains or runs a model; one that tells its forward passes beforehand does."""
    return stage.passes is not None or stage.name.startswith(MODELS)


@dataclass(frozen=True)
class ArmStages:
    """One arm with one seed; later stages are None where the experiment does not have them."""

    arm: str
    method: str
    seed: int
    select: Stage | None
    refine: Stage | None = None
    train: Stage | None = None
    answer: Stage | None = None
    judge: Stage | None = None
    benchmarks: Mapping[str, Stage] = field(default_factory=dict)
    """Name -> answering or judging stage of a public benchmark (`tacos.pipeline.benchmarks`)."""

    @property
    def data(self) -> Stage | None:
        """What is trained on: the selection, or what refinement made of it."""
        return self.refine or self.select

    def stages(self) -> dict[str, Stage]:
        named = {
            "select": self.select,
            "refine": self.refine,
            "train": self.train,
            "answer": self.answer,
            **self.benchmarks,
            "judge": self.judge,
        }
        return {name: stage for name, stage in named.items() if stage is not None}


def trainer(base: Stage | None, model: str, recipe: TrainSettings) -> Trainer:
    """What fine-tunes the base on the way to a selection, by the recipe where a method changes nothing."""

    def train(rows: Stage, size: Size, changed: Mapping[str, Any], seed: int) -> Stage:
        with on_the_way(changed):
            how = parse(TrainSettings, merged(recipe.model_dump(mode="json"), changed), "train")
        stage = train_stage(rows, base, model, how, seed, size)

        def work(job: Job) -> Outcome:
            with on_the_way(changed):
                return stage.work(job)

        return replace(stage, work=work)

    return train


@contextmanager
def on_the_way(changed: Iterable[str]) -> Iterator[None]:
    """changed: settings that a method has of its own, so that those of the run's recipe have no effect.

    Raises: what is raised inside, with those of them that it speaks of.
    """
    try:
        yield
    except TacosError as error:
        named = [name for name in changed if re.search(rf"\b{name}\b", str(error))]
        own = f", whose {', '.join(named)} the method sets" if named else ""
        raise type(error)(f"a training on the way to a selection{own}: {error}") from error


class Experiment:
    """The graph of an experiment; building it does no work beyond hashing the inputs.

    assets: upstream's files, which public benchmarks read.

    Raises: ConfigError for settings a method does not know, before anything runs.
    """

    def __init__(self, settings: ExperimentSettings, assets: Assets | None = None):
        self.settings, self.assets = settings, assets
        self.llms = settings.models()
        self.public = _public(settings, assets)
        self.load = load_stage(settings.pool, self.public.question_files() if self.public else {})
        self._made: dict[tuple[str, int], ArmStages | None] = {}

    @cached_property
    def arms(self) -> list[ArmStages]:
        """All arms of the first seed, then of the next; judged against the baseline arm of their seed."""
        return [arm for seed in self.settings.seeds for arm in self._seed(seed)]

    def _seed(self, seed: int) -> Iterator[ArmStages]:
        made = {name: self._arm(name, seed) for name in self.settings.arms}
        opponent = made[self.settings.baseline].answer
        answers = {name: arm.benchmarks for name, arm in made.items()}
        for name, arm in made.items():
            if self.public and arm.benchmarks:
                arm = replace(arm, benchmarks={**arm.benchmarks, **self.public.judged(name, answers)})
            if arm.answer and opponent and name != self.settings.baseline:
                arm = replace(
                    arm, judge=judge_stage(arm.answer, opponent, self.load, self.settings, self.llms)
                )
            yield arm

    def _arm(self, name: str, seed: int) -> ArmStages:
        chosen, settings = self.settings.arms[name], self.settings
        arm, recipe = self._data(name, seed), settings.train_of(name)
        if recipe is None:
            return arm
        base, model_name = self._base(name)
        trained = None
        if arm.data is not None:
            rows = settings.budget_of(name) if chosen.budgeted else None
            trained = train_stage(arm.data, base, model_name, recipe, seed, rows)
        model: Stage | str = trained or chosen.model or base or model_name
        if self.public:
            arm = replace(arm, benchmarks=self.public.answers(model, recipe, seed))
            if not settings.pool.asks:
                return replace(arm, train=trained)
        # Greedy answers do not depend on the seed, so the base model as it is answers once for all seeds.
        answer_seed = seed if settings.eval.generate.draws else 0
        answer = answer_stage(model, self.load, settings.eval, recipe, answer_seed)
        return replace(arm, train=trained, answer=answer)

    def _base(self, arm: str) -> tuple[Stage | None, str]:
        """The stage that makes an arm's base, and the base by name where none does."""
        chosen = self.settings.base_of(arm)
        return base_stage(self.load, chosen), chosen.model

    def _data(self, name: str, seed: int) -> ArmStages:
        """An arm up to the rows that it trains on; made once, since other arms may look at them.

        Raises: ConfigError, which names the arm.
        """
        if (name, seed) not in self._made:
            self._made[name, seed] = None
            try:
                self._made[name, seed] = self._selected(name, seed)
            except TacosError as error:
                raise type(error)(f"arms.{name}: {error}") from error
        made = self._made[name, seed]
        if made is None:
            raise ConfigError(f"what arms.{name} selects depends on itself: name another arm")
        return made

    def _selected(self, name: str, seed: int) -> ArmStages:
        chosen, settings = self.settings.arms[name], self.settings
        if chosen.method in UNTRAINED:
            return ArmStages(name, chosen.method, seed, None)
        (base, model), recipe = self._base(name), settings.train_of(name)
        train = trainer(base, model, recipe) if recipe else None
        setup = Setup(
            self.load,
            settings.budget_of(name),
            seed,
            settings.embedder,
            self.llms,
            base or model,
            train,
            lambda other: self._rows_of(other, seed),
        )
        if chosen.data is not None:
            select = given_stage(self.load, chosen.data, settings.pool.decontaminate)
        else:
            select = chosen.build(setup)
        refine = chosen.refine.build(setup, select) if chosen.refine else None
        return ArmStages(name, chosen.method, seed, select, refine)

    def _rows_of(self, arm: str, seed: int) -> Stage | None:
        """What another arm trains on; None where there is no such arm. Raises: ConfigError where that is nothing."""
        if arm not in self.settings.arms:
            return None
        rows = self._data(arm, seed).data
        if rows is None:
            raise ConfigError(f"the arm {arm!r} trains on no rows: name one that does")
        return rows

    def walk(self) -> list[Stage]:
        """Every stage once, inputs before what rests on them."""
        seen: dict[str, Stage] = {}
        for arm in self.arms:
            for target in arm.stages().values():
                for stage in target.walk():
                    seen.setdefault(stage.fingerprint, stage)
        return list(seen.values())

    def users(self) -> dict[str, list[str]]:
        """Fingerprint of a stage -> the arms with their seeds that rest on it, as "tacos/seed0"."""
        found: dict[str, list[str]] = {}
        for arm in self.arms:
            rests_on = {s.fingerprint for target in arm.stages().values() for s in target.walk()}
            for name in rests_on:
                found.setdefault(name, []).append(f"{arm.arm}/seed{arm.seed}")
        return found


def _public(settings: ExperimentSettings, assets: Assets | None) -> BenchmarkStages | None:
    """What makes the stages of public benchmarks; None where there are none."""
    if not settings.benchmarks.asked:
        return None
    if assets is None:
        raise ConfigError("`benchmarks` need upstream's files: hand `assets` to the experiment")
    return BenchmarkStages(settings.benchmarks, settings.models(), assets, settings.baseline)


def selection_stage(settings: SelectSettings) -> Stage:
    """The graph of `tacos select`: the selection, refined where that is asked for."""
    setup = selecting_setup(settings, load_stage(settings.pool), settings.budget, settings.seed)
    selection = settings.build(setup)
    return settings.refine.build(setup, selection) if settings.refine else selection


def selecting_setup(settings: ModelsSettings, load: Stage, budget: int, seed: int) -> Setup:
    """What parts build on where there are no arms. load: the pool."""
    made = base_stage(load, settings.base)
    return Setup(
        load,
        budget,
        seed,
        settings.embedder,
        settings.models(),
        made or settings.base.model,
        trainer(made, settings.base.model, settings.train) if settings.train else None,
    )
