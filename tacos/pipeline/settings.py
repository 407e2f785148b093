"""What a config file may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from eval.benchmarks import BenchmarksSettings, with_annotators_judge
from eval.factors import Factors, arms_of
from tacos.answering.candidate import GenerateSettings
from tacos.answering.judge import LLMJudgeSettings
from tacos.config import merged, parse
from tacos.errors import ConfigError, nearest
from tacos.llm.prices import price_tables, priced
from tacos.llm.settings import LLMSettings
from tacos.methods import METHODS, Choice, resolved
from tacos.models.embedder import EmbedderSettings
from tacos.pipeline.controls import CONTROLS, Control, with_controls
from tacos.pipeline.pool_settings import PoolSettings
from tacos.store.names import FileName, file_name
from tacos.tracking.settings import TrackingSettings
from tacos.types import Record
from train.settings import TrainSettings
from train.tiny import TINY, TinySettings

ZERO_SHOT = "zero-shot"
GIVEN = "given"
"""The method of an arm whose training set is given."""
FINISHED = "model"
"""The method of an arm that is a finished model."""


class BaseModelSettings(Record):
    """The model that is fine-tuned."""

    model: str = TINY
    """"tiny" builds and pretrains a small LLaMA on the spot; else a hub id or a folder."""
    tiny: TinySettings = TinySettings()


UNTRAINED = (ZERO_SHOT, FINISHED)
"""Methods that train nothing."""


class ArmSettings(Choice):
    """One row of the experiment: a method, any of its parts replaced; a training set that is given (`data`); a
    finished model (`model`); or "zero-shot" for the base model as it is."""

    method: str = GIVEN
    data: str | None = None
    """A file of samples, or a hub id, in any form that a pool may have, in place of a method; all rows are taken."""
    model: str | None = None
    """A finished model, by hub id or folder, in place of a method: nothing is selected or trained."""
    budget: int | None = Field(None, ge=1)
    """Samples that it takes; null is the experiment's."""
    train: dict[str, Any] = Field(default_factory=dict)
    """What is changed of the experiment's `train`, such as {epochs: 15}; or {recipe: FILE}, another one."""
    base: BaseModelSettings | None = None
    """Another base model; null is the experiment's."""

    @model_validator(mode="before")
    @classmethod
    def _one_way_to_get_rows(cls, said: Any) -> Any:
        if not isinstance(said, Mapping):
            return said
        if said.get("model") is not None and "method" not in said:
            said = {**said, "method": FINISHED}
        method = said.get("method", GIVEN)
        if (method == GIVEN) != (said.get("data") is not None) or (method == FINISHED) != (
            said.get("model") is not None
        ):
            raise ValueError(
                "an arm names a method, its training set as data: FILE, or a finished model as model: FOLDER, and not "
                "two of them"
            )
        parts = [name for name in ("group", "score", "allocate", "settings") if said.get(name)]
        if method in (GIVEN, *UNTRAINED) and parts:
            raise ValueError(f"no row is selected by {method}, so {parts[0]} has no effect: leave it out")
        idle = [name for name in ("refine", "budget", "train") if said.get(name)]
        if method == FINISHED and said.get("base"):
            idle.append("base")
        if method in UNTRAINED and idle:
            raise ValueError(f"nothing is trained for {method}, so {idle[0]} has no effect: leave it out")
        return said

    @field_validator("method")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in (ZERO_SHOT, GIVEN, FINISHED, *METHODS):
            raise ValueError(f"unknown method {name!r}: {nearest(name, [*METHODS, ZERO_SHOT])}")
        return name

    @property
    def budgeted(self) -> bool:
        return self.method not in (GIVEN, *UNTRAINED) and super().budgeted

    def origin(self, llms: Mapping[str, LLMSettings]) -> str:
        if self.model:
            return f"finished model {self.model}"
        return f"given set {Path(self.data).name}" if self.data else super().origin(llms)


class JudgeSettings(LLMJudgeSettings):
    """Who compares answers, and how an LLM is asked."""

    by: Literal["reference", "llm"] = "reference"
    llm: str = "judge"
    """Which of the configured `llms` judges."""
    rule: Literal["lenient", "strict"] = "lenient"
    """How two orders combine; lenient is the papers' rule."""
    unparsed: Literal["count", "tie"] = "count"
    """A question with an unreadable verdict is left out and counted, or a tie as in the papers."""


class EvalSettings(Record):
    """How the fine-tuned models are examined."""

    generate: GenerateSettings = GenerateSettings()
    judge: JudgeSettings = JudgeSettings()


class ModelsSettings(Record):
    """What selection itself may use; shared by experiments and single selections."""

    embedder: EmbedderSettings = EmbedderSettings()
    llms: dict[FileName, LLMSettings] = Field(default_factory=dict)
    """Named models, e.g. `tagger`, `scorer`, `judge`."""
    prices: str | None = None
    """A YAML file of prices that go before those of `tacos llm prices`; settings of an LLM go before both."""
    base: BaseModelSettings = BaseModelSettings()
    """The model that is fine-tuned, and that methods look at which ask what it can do already."""
    train: TrainSettings | None = TrainSettings()
    """How models are fine-tuned: the arms of an experiment, and those that a method trains on the way; null trains
    none, so that an experiment selects and audits only."""
    tracking: TrackingSettings = TrackingSettings()
    artifacts: str = "artifacts"
    """Folder of finished stages, shared by all runs."""
    shared: str | None = None
    """Where machines without a common disk share finished stages: an fsspec URL, such as s3://bucket/tacos."""
    runs: str = "runs"
    """Folder of run folders."""

    @property
    def replies(self) -> Path:
        """The reply cache, beside the artifacts."""
        return Path(self.artifacts) / "replies.sqlite"

    def models(self) -> dict[str, LLMSettings]:
        """`llms` with their prices. Raises: ConfigError for a price file that cannot be read."""
        tables = price_tables(Path(self.prices) if self.prices else None) if self.llms else []
        return {name: priced(settings, tables) for name, settings in self.llms.items()}


class SelectSettings(ModelsSettings, Choice):
    """`tacos select`: one method, one budget."""

    pool: PoolSettings = PoolSettings()
    method: str = "tacos"
    budget: int = Field(1000, ge=1)
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _resolved(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        if "arms" in data:
            raise ConfigError(
                "it has arms: this reads like a config of `tacos run`; one method is selected with here"
            )
        return resolved({"method": "tacos", **data})

    @field_validator("method")
    @classmethod
    def _known(cls, name: str) -> str:
        METHODS.get(name, "method")
        return name


class ExperimentSettings(ModelsSettings):
    """`tacos run`: arms under one budget, trained, judged and reported."""

    name: str
    """Names the run folder: letters, digits, dot, dash, underscore."""
    pool: PoolSettings = PoolSettings()
    budget: int = Field(..., ge=1)
    """Samples each selecting arm takes."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    """Each seed selects and trains anew."""
    arms: dict[FileName, ArmSettings]
    baseline: str
    """The arm that all others are compared with."""
    focus: str | None = None
    """The arm that the headline is about; null is the first one that selects and is not the baseline."""
    controls: tuple[Control, ...] = CONTROLS
    """Rows that are added where no arm has their method; the report says which are left out."""
    factors: Factors = Field(default_factory=dict)
    """What the arms vary, where they are an ablation by design: factor -> level -> arms."""
    eval: EvalSettings = EvalSettings()
    benchmarks: BenchmarksSettings = BenchmarksSettings()
    page: int = Field(2000, ge=0)
    """Samples in the page beside the report, which its numbers link to; 0 writes none."""

    _annotators_judge = model_validator(mode="before")(with_annotators_judge)
    _controls = model_validator(mode="before")(with_controls)

    @field_validator("arms", mode="before")
    @classmethod
    def _resolved(cls, arms: Any) -> Any:
        if not isinstance(arms, Mapping):
            return arms
        return {
            name: resolved(arm, f"arms.{name}.") if isinstance(arm, Mapping) else arm
            for name, arm in arms.items()
        }

    @field_validator("name")
    @classmethod
    def _a_folder_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ValueError("use letters, digits, dot, dash and underscore only")
        return file_name(name)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) != len(seeds):
            raise ValueError("give at least one seed, each once")
        return seeds

    @model_validator(mode="after")
    def _arms_can_train(self) -> ExperimentSettings:
        for name, arm in self.arms.items():
            if arm.train and self.train is None:
                raise ValueError(f"arms.{name}.train changes a training, and train is null")
            self.train_of(name)
        return self

    def budget_of(self, arm: str) -> int:
        """Samples that an arm takes."""
        return self.arms[arm].budget or self.budget

    def base_of(self, arm: str) -> BaseModelSettings:
        return self.arms[arm].base or self.base

    def train_of(self, arm: str) -> TrainSettings | None:
        """How an arm is trained. Raises: ConfigError for a setting that training does not have."""
        if self.train is None:
            return None
        changed = self.arms[arm].train
        if "recipe" not in changed:
            changed = merged(self.train.model_dump(mode="json"), changed)
        return parse(TrainSettings, changed, f"arms.{arm}.train")

    @model_validator(mode="after")
    def _named_arms_are_arms(self) -> ExperimentSettings:
        for role in ("baseline", "focus"):
            name = getattr(self, role)
            if name is not None and name not in self.arms:
                raise ValueError(f"{role} {name!r} is not an arm: {nearest(name, self.arms)}")
        for arm in arms_of(self.factors):
            if arm not in self.arms:
                raise ValueError(f"factors: {arm!r} is not an arm: {nearest(arm, self.arms)}")
        if self.focus == self.baseline:
            raise ValueError(f"focus {self.focus!r} is the baseline: name the arm that is compared with it")
        return self

    @model_validator(mode="after")
    def _benchmarks_have_judges(self) -> ExperimentSettings:
        self.benchmarks.check(self.llms, self.arms)
        return self


def run_settings(data: Mapping[str, Any]) -> ExperimentSettings | SelectSettings:
    """The settings of an experiment, which has arms, or of a selection. Raises: ConfigError."""
    return parse(ExperimentSettings, data) if "arms" in data else parse(SelectSettings, data)
