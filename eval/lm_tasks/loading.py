"""From names to tasks of lm-eval: found without reading all 14,000 of its YAML files, refused before they do harm.

lm-eval's own index takes seconds. Here a search of the files' text tells which of its folders name a task, and only
those are indexed; where a group needs more, the whole index is made after all. Measured 2026-11-26, one core, files in
the page cache: 0.6 s for gsm8k and 0.9 s for the seven of `instruct`, against 6.9 s for all.

Code that is run: a task may bring Python of its own (`!function` in its YAML), which runs as any program does, so give
only folders that you trust. Tasks that execute what the model wrote are marked `unsafe_code` and refused unless
`allow_code` is set; this is looked up before they are loaded, as some of them run code when they are.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.lm_tasks.settings import LMTasksSettings, is_path
from tacos.errors import ConfigError, TacosError, first_line, nearest

NAMED = re.compile(rb"^(?:task|group|tag):[ \t]*(?:\n- *)?[\"']?([\w.+-]+)", re.MULTILINE)
"""A name that a YAML file gives to its task or group, or a tag that it has."""
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
CODE_EVAL = "HF_ALLOW_CODE_EVAL"
"""The consent that the metric of code tasks asks for."""
SEEDS = (0, 1234)
"""Of `random`, and of numpy, while tasks are made: lm-eval's, as some tasks shuffle their choices then."""


@dataclass
class LoadedTasks:
    """tasks: every task that is asked, by name. groups: those that hold them. roots: what was asked for by name; a
    folder's or a tag's are spelled out."""

    tasks: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)


def load_tasks(settings: LMTasksSettings) -> LoadedTasks:
    """Raises: ConfigError for a name that there is not, and for tasks that run code without consent; TacosError where
    a task's data cannot be had."""
    manager = _manager(settings)
    index: Mapping[str, Any] = manager.task_index
    names = [name for given in settings.asked for name in _named(given, index)]
    for name in names:
        if name not in index:
            raise ConfigError(f"lm-eval has no task {name!r}: {nearest(name, index)}; see `include_path`")
        _refuse_code(leaves(name, index), index, settings)
    found = LoadedTasks()
    with seeded(), consent(settings.allow_code):
        for name in dict.fromkeys(names):
            _load(manager, name, found)
    marked = [name for name, task in found.tasks.items() if getattr(task, "UNSAFE_CODE", False)]
    if marked and not settings.allow_code:
        raise ConfigError(_no_consent(marked))
    return found


def _load(manager: Any, name: str, found: LoadedTasks) -> None:
    try:
        made = manager.load([name])
    except Exception as error:  # of the data set, the network, the task's own code
        raise TacosError(_not_loaded(name, error)) from error
    found.tasks |= made["tasks"]
    found.groups |= made.get("groups") or {}
    found.roots += [name] if name in found.groups or name in made["tasks"] else list(made["tasks"])


def _not_loaded(name: str, error: Exception) -> str:
    offline = [variable for variable in OFFLINE if os.environ.get(variable) not in (None, "", "0")]
    said = f"the task {name!r} cannot be loaded: {type(error).__name__}: {first_line(error)}"
    if offline:
        return (
            f"{said}; {offline[0]} is set, so nothing is downloaded: unset it where there is a network, or give tasks "
            "of your own with `dataset_path: json`, which need none"
        )
    return f"{said}; most tasks download their data from the hub, and ifeval a tokenizer: check the network"


def _manager(settings: LMTasksSettings) -> Any:
    from lm_eval.tasks import TaskManager

    for folder in settings.folders:
        if not folder.is_dir():
            raise ConfigError(f"no folder {folder}: `include_path` names folders with tasks in YAML files")
    own: list[str | Path] = [str(folder) for folder in settings.folders]
    names = {name for name in settings.asked if not is_path(name)}
    manager = TaskManager(include_path=own, include_defaults=False)
    missing = _missing(names, manager.task_index)
    if missing and (folders := _folders(missing)):
        manager = TaskManager(include_path=[*folders, *own], include_defaults=False)
        missing = _missing(names, manager.task_index)
    return TaskManager(include_path=own) if missing else manager


def _missing(names: set[str], index: Mapping[str, Any]) -> set[str]:
    """Names that the index lacks, among them those that its groups need."""
    reached = set(names)
    for name in names & index.keys():
        reached |= set(_reached(name, index))
    return {name for name in reached if name not in index}


def _folders(names: set[str]) -> list[Path]:
    """The folders in lm-eval's `tasks` that name one of these, whole families at a time."""
    import lm_eval.tasks

    root, wanted = Path(str(lm_eval.tasks.__file__)).parent, {name.encode() for name in names}
    found = set()
    for path in root.rglob("*.yaml"):
        family = root / path.relative_to(root).parts[0]
        if family.is_dir() and family not in found and wanted & set(NAMED.findall(path.read_bytes())):
            found.add(family)
    return sorted(found)


def _named(given: str, index: Mapping[str, Any]) -> list[str]:
    """What a name, a YAML file or a folder stands for; of a folder, no task that a group in it holds.

    Raises: ConfigError where a file or folder holds no task.
    """
    if not is_path(given):
        return [given]
    path = Path(given).resolve()
    inside = [
        name
        for name, entry in index.items()
        if entry.yaml_path
        and (own := Path(entry.yaml_path).resolve())
        and (own == path or path in own.parents)
    ]
    held = {part for name in inside for part in _reached(name, index) if part != name}
    if not inside:
        raise ConfigError(f"{given} holds no task of lm-eval: a YAML file names one under `task` or `group`")
    return [name for name in inside if name not in held]


def _reached(name: str, index: Mapping[str, Any]) -> Iterator[str]:
    """The name, and all that it holds: groups, tags, tasks. Tasks that a group spells out itself are left out."""
    todo, seen = [name], {name}
    while todo:
        current = todo.pop()
        yield current
        entry = index.get(current)
        config = (entry.cfg or {}) if entry else {}
        members = config.get("task") if "group" in config else None
        parts = list(entry.tags) if entry and entry.kind.name == "TAG" else members or []
        for part in parts if isinstance(parts, list) else [parts]:
            inner = part if isinstance(part, str) else part.get("task")
            spelled_out = isinstance(part, dict) and ("dataset_path" in part or "group" in part)
            if isinstance(inner, str) and not spelled_out and inner not in seen:
                seen.add(inner)
                todo.append(inner)


def leaves(name: str, index: Mapping[str, Any]) -> list[str]:
    """The tasks that a name stands for, as far as the index tells."""
    return [part for part in _reached(name, index) if part in index and "TASK" in index[part].kind.name]


def _refuse_code(names: Sequence[str], index: Mapping[str, Any], settings: LMTasksSettings) -> None:
    marked = [name for name in names if (index[name].cfg or {}).get("unsafe_code")]
    if marked and not settings.allow_code:
        raise ConfigError(_no_consent(marked))


def _no_consent(tasks: Sequence[str]) -> str:
    return (
        f"{', '.join(tasks)}: the task runs the code that the model writes, on this machine: set allow_code "
        "(--allow-code) where that can do no harm, such as in a container without a network"
    )


@contextmanager
def seeded() -> Iterator[None]:
    """lm-eval's seeds of the global generators, which are put back afterwards."""
    import numpy as np

    states = random.getstate(), np.random.get_state()
    random.seed(SEEDS[0])
    np.random.seed(SEEDS[1])
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


@contextmanager
def consent(given: bool) -> Iterator[None]:
    """Tells the metric of code tasks that its user agreed; afterwards the environment is as it was."""
    if not given:
        yield
        return
    before = os.environ.get(CODE_EVAL)
    os.environ[CODE_EVAL] = "1"
    try:
        yield
    finally:
        os.environ.pop(CODE_EVAL, None)
        if before is not None:
            os.environ[CODE_EVAL] = before
