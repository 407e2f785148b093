"""How an arm differs from the experiment that it stands in, in budget, training or base: what makes it unequal.

arms: {full: {method: full, train: {epochs: 3}}}  beside  train: {epochs: 15}     ->     "train.epochs 3 for 15"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tacos.pipeline.settings import ExperimentSettings


def differences(settings: ExperimentSettings, name: str) -> list[str]:
    """In words, "what it has for what the experiment has"; empty for an arm that is like the others."""
    arm = settings.arms[name]
    if arm.model:
        return [f"finished model {arm.model}"]
    found = []
    if arm.budgeted and settings.budget_of(name) != settings.budget:
        found.append(f"budget {settings.budget_of(name):,} for {settings.budget:,}")
    if arm.base and arm.base != settings.base:
        found.append(f"base {arm.base.model} for {settings.base.model}")
    own = settings.train_of(name)
    if own and settings.train and own.identity() != settings.train.identity():
        found += [f"train.{line}" for line in _changed(own.identity(), settings.train.identity())]
    return found


def _changed(own: Mapping[str, Any], usual: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in own.items():
        if isinstance(value, Mapping) and isinstance(usual[key], Mapping):
            yield from _changed(value, usual[key], f"{path}{key}.")
        elif value != usual[key]:
            yield f"{path}{key} {value} for {usual[key]}"
