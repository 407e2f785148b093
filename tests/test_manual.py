"""The tables of settings on the manual pages say what the code says: names, defaults, none left out."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from eval.lm_tasks.settings import LMTasksSettings
from tacos.llm.settings import LLMSettings
from tacos.methods import METHODS
from tacos.methods.hard_space import IterSelectTuneSettings
from tacos.methods.refining import Refine
from tacos.models.embedder import EmbedderSettings
from tacos.part import ALLOCATORS, GROUPERS, SCORERS
from tacos.pipeline.evaluate import EvaluateSettings
from tacos.pipeline.pool_settings import PoolSettings
from tacos.pipeline.settings import ExperimentSettings
from tacos.scoring.designs import Design
from tacos.scoring.learned import LearnedSettings
from tacos.scoring.readout.readout import Readout
from tacos.store.fingerprint import plain
from tests.pages import page
from train.settings import EXECUTION, TrainSettings

METHODS_PAGE = page("tacos/methods")


def sections(title: str) -> list[str]:
    """The parts that have a section of their own."""
    section = METHODS_PAGE.text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^### `(\w+)`$", section, re.MULTILINE)


PARTS = [
    ("tacos/methods", f"`{slot}` of {name}", registry.get(name))
    for title, slot, registry in (("Groupers", "group", GROUPERS), ("Scorers", "score", SCORERS))
    for name in sections(title)
    if registry.get(name).model_fields
]
"""Of those that the page shows: a part of one's own is one file, and needs no place in the manual."""
WHOLE: list[tuple[str, str, type[BaseModel]]] = [
    *PARTS,
    ("tacos/methods", "`fit`", LearnedSettings),
    ("tacos/methods", "`refine`", Refine),
    ("tacos/methods", "`embedder`", EmbedderSettings),
    ("tacos/scoring", "`score.design`", Design),
    ("tacos/scoring", "`score.readout`", Readout),
    ("tacos/llm", "`llms.<name>`", LLMSettings),
    ("configs", "setting of an experiment", ExperimentSettings),
    ("eval", "`lm_tasks`", LMTasksSettings),
]
"""Folder, head of the table, and the record that it shows whole."""
SELECTED: list[tuple[str, str, type[BaseModel]]] = [
    ("tacos/methods", "`settings` of iterselecttune", IterSelectTuneSettings),
    ("train", "`train`", TrainSettings),
    ("train", "`train`, execution", TrainSettings),
    ("configs", "`pool`", PoolSettings),
    ("eval", "setting of `tacos eval`", EvaluateSettings),
]


def shown(folder: str, head: str) -> dict[str, str]:
    """Path of a setting -> its default as it is written."""
    return {row[0].strip("`"): row[1] for row in page(folder).table(head)}


def default(record: type[BaseModel], path: str) -> Any:
    """The default of a setting as YAML has it; None where it must be given. Raises: KeyError where there is none."""
    first, *rest = path.split(".")
    field = record.model_fields[first]
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True)
    for name in rest:
        value = type(value).model_fields[name] and getattr(value, name)
    return plain(value)


@pytest.mark.parametrize(
    ("folder", "head", "record"), WHOLE + SELECTED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_defaults_are_those_of_the_code(folder: str, head: str, record: type[BaseModel]) -> None:
    for path, written in shown(folder, head).items():
        real = default(record, path)
        if written:
            assert yaml.safe_load(written.strip("`")) == real, path
        else:
            assert real is None or isinstance(real, dict), f"{path}: the default {real!r} is not shown"


def left_out(record: type[BaseModel], paths: set[str]) -> list[str]:
    """Settings that no row names, by itself or by its own settings."""
    missing = []
    for name, field in record.model_fields.items():
        inner = {path.removeprefix(f"{name}.") for path in paths if path.startswith(f"{name}.")}
        if inner:
            nested = type(field.get_default(call_default_factory=True))
            missing += [f"{name}.{path}" for path in left_out(nested, inner)]
        elif name not in paths:
            missing.append(name)
    return missing


@pytest.mark.parametrize(("folder", "head", "record"), WHOLE, ids=lambda v: v if isinstance(v, str) else "")
def test_no_setting_is_left_out(folder: str, head: str, record: type[BaseModel]) -> None:
    assert left_out(record, set(shown(folder, head))) == []


def test_training_is_shown_whole_and_execution_apart() -> None:
    identity, execution = (set(shown("train", head)) for head in ("`train`", "`train`, execution"))
    assert left_out(TrainSettings, identity | execution) == []
    assert {path.split(".")[0] for path in execution} == EXECUTION


def test_allocators_are_shown_with_their_settings() -> None:
    for name, settings, _ in METHODS_PAGE.table("`allocate`"):
        part = ALLOCATORS.get(name.strip("`"))
        found = dict(re.findall(r"`(\w+)` \(`([\w.-]+)`", settings))
        assert {key: yaml.safe_load(value) for key, value in found.items()} == {
            key: default(part, key) for key in part.model_fields
        }


def test_every_method_is_shown_with_its_parts() -> None:
    rows = {
        row[0].strip("`"): [re.sub("`|;.*", "", c) for c in row[1:4]] for row in METHODS_PAGE.table("method")
    }
    assert set(rows) == set(METHODS)
    for name, parts in rows.items():
        if recipe := METHODS.get(name).recipe:
            assert parts == [recipe.group.by, recipe.score.by if recipe.score else "", recipe.allocate.by]
